"""Registry of work, and warm-up before the first job."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from offloop import testing
from offloop.errors import JobError, SettingsError
from offloop.jobs.pdf import Page
from offloop.kinds import catalogue
from offloop_workers.children import registry, warm

Write = Callable[[str, str], str]

ONE_FILE = '''
from offloop import Context, Model, job

class Text(Model):
    text: str

class Count(Model):
    words: int

@job(seconds=10, memory_mb=256)
def count_words(text: Text, context: Context) -> Count:
    """Count the words of a text."""
    return Count(words=len(text.text.split()))
'''
CONTRACT = """
from offloop import Model, declare

class Empty(Model):
    pass

nothing = declare("do_nothing", Empty, Empty, description="Nothing.")
"""
WORK = """
from offloop import performs
from {contract} import Empty, nothing

@performs(nothing)
def work(value, context):
    return Empty()
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Put a module in a folder that Python looks into, under a name no other test uses."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def module(name: str, source: str) -> str:
        unique = f"{name}_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{unique}.py").write_text(source)
        importlib.invalidate_caches()
        names.append(unique)
        return unique

    yield module
    for name in names:
        sys.modules.pop(name, None)


def test_every_shipped_contract_has_its_work_and_no_work_is_without_contract() -> None:
    found = registry.load()
    kinds = catalogue.load()
    shipped = {name for name, kind in kinds.items() if kind.work is None}
    assert set(found) == set(kinds)
    assert {"edit_pdf", "hash_file", "preview_pdf", "render_pdf", "transform_image"} <= shipped
    assert all(found[name].kind is kinds[name] for name in kinds)


def test_a_job_in_one_file_is_found(write: Write) -> None:
    name = write("mine", ONE_FILE)
    found = registry.load([name])["count_words"]
    module = sys.modules[name]
    assert found(module.Text(text="two words"), None) == module.Count(words=2)


def test_contract_and_work_may_be_two_modules(write: Write) -> None:
    contract = write("contract", CONTRACT)
    work = write("work", WORK.format(contract=contract))
    assert registry.load([contract, work])["do_nothing"].kind is sys.modules[contract].nothing


def test_a_contract_without_work_is_an_error(write: Write) -> None:
    with pytest.raises(SettingsError, match="do_nothing is declared, but no loaded module performs it"):
        registry.load([write("contract", CONTRACT)])


def test_two_works_of_one_kind_are_an_error(write: Write) -> None:
    with pytest.raises(SettingsError, match="two functions perform 'count_words'"):
        registry.load([write("mine", ONE_FILE), write("yours", ONE_FILE)])


def test_a_work_imported_by_another_module_counts_once(write: Write) -> None:
    name = write("mine", ONE_FILE)
    assert "count_words" in registry.load([name, write("again", f"from {name} import count_words"), name])


def test_a_module_that_cannot_be_imported_is_an_error() -> None:
    with pytest.raises(SettingsError, match="cannot import 'no_such_module'"):
        registry.load(["no_such_module"])


def test_only_families_of_the_served_queues_are_loaded() -> None:
    assert set(registry.load(queues=["hash"])) == {"find_duplicates", "hash_file", "hash_tree", "verify_manifest"}
    assert registry.families(["pdf", "default"]) == ["pdf"]
    assert registry.families([]) == []


@pytest.mark.parametrize("error", [ImportError("No module named 'weasyprint'"), OSError("cannot load libpango-1.0-0")])
def test_a_family_that_cannot_be_loaded_answers_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    modules = registry.modules

    def broken(family: str) -> Iterator[ModuleType]:
        if family == "pdf":
            raise error
        return modules(family)

    monkeypatch.setattr(registry, "modules", broken)
    found = registry.load()
    context = testing.context(tmp_path)
    with pytest.raises(JobError, match="render_pdf is not available on this worker") as failed:
        found["render_pdf"](Page.model_validate({"html": "x"}), context)
    assert str(error) in failed.value.message
    assert "libpango" in failed.value.message
    assert failed.value.reason == "not_installed"
    assert set(found) == set(catalogue.load())
    with pytest.raises(JobError, match="edit_pdf is not available on this worker"):
        found["edit_pdf"](None, context)


WARM = """
import sys
from offloop_workers.children import warm
warm.warm(sys.argv[1].split(","))
heavy = [name for name in ("PIL", "weasyprint", "blake3") if name in sys.modules]
print(warm.lasting_threads(), *heavy)
"""


@pytest.mark.slow  # each is a new interpreter
@pytest.mark.parametrize(
    ("queues", "heavy"), [("pdf,image,hash,default", "PIL weasyprint blake3"), ("hash", "blake3"), ("default", "")]
)
def test_warming_up_loads_what_the_queues_need_and_leaves_one_thread(queues: str, heavy: str) -> None:
    """In a process of its own: this one has threads of the test runner, and has loaded everything."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", WARM, queues]
    done = subprocess.run(command, env=environment, timeout=100, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.split()) == ("", ["1", *heavy.split()])


ENDING = """
import threading
from offloop_workers.children import warm
kept, ending = threading.Event(), threading.Timer(0.2, lambda: None)
ending.start()
print(warm.lasting_threads(30), ending.is_alive())
threading.Thread(target=kept.wait).start()
print(warm.lasting_threads(0.05))
kept.set()
"""


@pytest.mark.slow  # a new interpreter
def test_a_thread_that_ends_is_awaited_and_one_that_lasts_is_counted() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ENDING]
    done = subprocess.run(command, env=environment, timeout=100, capture_output=True, text=True, check=False)
    assert (done.stderr, done.stdout.split()) == ("", ["1", "False", "2"])


def test_a_family_that_fails_to_warm_up_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[str] = []

    def modules(family: str) -> list[ModuleType]:
        module = ModuleType(family)

        def prepare() -> None:
            warmed.append(family)
            if family == "images":
                message = "no decoder"
                raise OSError(message)

        module.warm = prepare  # type: ignore[attr-defined]
        return [module]

    monkeypatch.setattr(registry, "modules", modules)
    monkeypatch.setattr("gc.freeze", lambda: None)
    warm.warm(["hash", "image", "pdf"])
    assert warmed == ["hashing", "images", "pdf"]
