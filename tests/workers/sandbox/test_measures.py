"""Measures that a child takes for a kind, recorded; the children of `test_policy` take them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from offloop import FileReference, Model, declare
from offloop.kinds.references import FolderReference
from offloop.settings import Settings, load
from offloop_workers.sandbox import landlock, policy, seccomp
from offloop_workers.sandbox.policy import Abilities, Sandbox
from offloop_workers.sandbox.seccomp import Refusals

ALL = Abilities(calls=True, landlock=6)


class Input(Model):
    """Names files."""

    file: FileReference | None = None
    folder: FolderReference | None = None


standard = declare("standard", Input, Input, description="d")
strict = declare("strict", Input, Input, description="d", sandbox="strict", isolation="fork")
online = declare("online", Input, Input, description="d", network=True, isolation="fork")

STANDARD = ("filter", True, False, (7, 8))
STRICT = ("filter", True, True, (7, 8))
ONLINE = ("filter", False, False, (7, 8))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Measures in order: filters with what they refuse, domains with what they restrict."""
    found: list[tuple[object, ...]] = []

    class Filter:
        def __init__(self, refusals: Refusals) -> None:
            self._refusals = refusals

        def install(self) -> None:
            refusals = self._refusals
            found.append(("filter", refusals.sockets, refusals.processes, tuple(refusals.spared)))

    def restrict(known: int, *, network: bool, files: landlock.Files | None) -> None:
        found.append(("domain", known, network, files and (set(files.read), list(files.write))))

    monkeypatch.setattr(seccomp, "Filter", Filter)
    monkeypatch.setattr(landlock, "restrict", restrict)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Folders of their own."""
    state = tmp_path / "state"
    state.mkdir()
    return load({}).replaced(state_dir=state)


def sandbox(settings: Settings, abilities: Abilities = ALL) -> Sandbox:
    return Sandbox(abilities, settings, iter([7, 8]))


def test_a_standard_kind_takes_its_measures_once(taken: list[tuple[object, ...]], settings: Settings) -> None:
    """A child is reused for kinds without network only."""
    child = sandbox(settings)
    child.enter(standard)
    child.enter(standard)
    assert taken == [STANDARD, ("domain", 6, False, None)]


def test_a_reused_child_takes_those_of_a_strict_kind_in_addition(
    taken: list[tuple[object, ...]], settings: Settings
) -> None:
    child = sandbox(settings)
    child.enter(standard)
    child.enter(strict)
    assert taken == [STANDARD, ("domain", 6, False, None), STRICT]


def test_a_strict_kind_gets_its_domain_with_its_files(taken: list[tuple[object, ...]], settings: Settings) -> None:
    sandbox(settings).enter(strict)
    assert taken == [STRICT]


def test_a_kind_with_network_may_open_sockets(taken: list[tuple[object, ...]], settings: Settings) -> None:
    sandbox(settings).enter(online)
    assert taken == [ONLINE, ("domain", 6, True, None)]


@pytest.mark.parametrize(
    ("abilities", "measures"),
    [
        (Abilities(calls=False, landlock=0), []),
        (Abilities(calls=True, landlock=0), [STANDARD]),
        (Abilities(calls=False, landlock=1), [("domain", 1, False, None)]),
    ],
)
def test_measures_that_the_kernel_lacks_are_left_out(
    taken: list[tuple[object, ...]], settings: Settings, abilities: Abilities, measures: list[tuple[object, ...]]
) -> None:
    child = sandbox(settings, abilities)
    child.enter(standard)
    if not abilities.landlock:
        child.enclose(Input(), {}, [], [])
    assert taken == measures


def test_a_strict_job_keeps_the_libraries_its_inputs_the_roots_it_names_and_its_folders(
    taken: list[tuple[object, ...]], settings: Settings
) -> None:
    child = sandbox(settings)
    child.enclose(Input(), {"docs": Path("/docs")}, [], [])
    assert taken.pop() == ("domain", 6, False, (set(child._libraries), ["/dev/null"]))
    named = Input(file=FileReference("root:docs/a"), folder=FolderReference("root:gone"))
    roots = {"docs": Path("/docs"), "other": Path("/other")}
    child.enclose(named, roots, ["/input/one", "/input/two"], ["/work", "/temporary"])
    read = {*child._libraries, "/input/one", "/input/two", "/docs"}
    assert taken == [("domain", 6, False, (read, ["/dev/null", "/work", "/temporary"]))]


def libraries(settings: Settings) -> list[Path]:
    """Paths that every strict job may read."""
    return [Path(path) for path in sandbox(settings)._libraries]


def readable(path: Path, found: list[Path]) -> bool:
    return any(path.is_relative_to(outer) for outer in found)


@pytest.mark.slow
@pytest.mark.usefixtures("taken")
def test_python_offloop_and_the_system_are_libraries_each_named_once(settings: Settings) -> None:
    found = libraries(settings)
    for path in (
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(policy.__file__),
        Path(landlock.__file__),
        Path("/usr/lib"),
    ):
        assert readable(path, found), path
    assert all(path.exists() for path in found)
    assert [path for path in found if any(path != other and path.is_relative_to(other) for other in found)] == []


def imported(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that was imported from a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    module = ModuleType(name)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the private ones: the folders of temporary files and of the user lie elsewhere."""
    for name in ("tmp", "home", "cwd", "plain"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


@pytest.mark.usefixtures("taken")
def test_a_folder_of_modules_is_a_library_unless_it_holds_private_files(
    settings: Settings, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a private folder, only the packages and modules that are in use."""
    shop = elsewhere / "shop"
    imported("own_jobs", shop / "own_jobs.py", monkeypatch)
    imported("helping.more", shop / "helping" / "more.py", monkeypatch)
    imported("other_name", shop / "deep" / "unrelated.py", monkeypatch)
    (shop / ".env").write_text("SECRET=1")
    monkeypatch.syspath_prepend(shop)
    monkeypatch.syspath_prepend(elsewhere / "plain")
    monkeypatch.setattr(sys, "path", [*sys.path, "relative"])
    (elsewhere / "cwd" / "relative").mkdir()
    found = libraries(settings.replaced(file_roots={"a": shop / "root"}))
    assert readable(elsewhere / "plain" / "any", found)
    assert readable(shop / "own_jobs.py", found)
    assert readable(shop / "helping" / "else", found)
    for path in (shop / ".env", shop / "deep" / "unrelated.py", shop / "root", elsewhere / "cwd" / "relative"):
        assert not readable(path, found), path
    assert readable(shop / ".env", libraries(settings)), "nothing private is in it"


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize("private", ["tmp", "home", "cwd", "state", "artifacts of the store"])
def test_private_folders_are_no_libraries_even_on_the_path_of_modules(
    settings: Settings, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, private: str
) -> None:
    folder = elsewhere / private
    folder.mkdir(exist_ok=True)
    (folder / "secret").touch()
    monkeypatch.syspath_prepend(folder)
    found = libraries(settings.replaced(artifacts_url=(elsewhere / "artifacts of the store").as_uri()))
    assert not readable(folder / "secret", found)


@pytest.mark.parametrize(
    ("abilities", "applied", "missing"),
    [
        (Abilities(calls=True, landlock=7), ["system calls filtered", "Landlock 7"], 0),
        (Abilities(calls=False, landlock=5), ["Landlock 5"], 2),
        (Abilities(calls=True, landlock=0), ["system calls filtered"], 1),
        (Abilities(calls=False, landlock=0), [], 2),
    ],
)
def test_the_report_of_the_doctor_lists_what_is_applied_and_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, abilities: Abilities, applied: list[str], missing: int
) -> None:
    monkeypatch.setattr(policy, "probe", lambda: abilities)
    found = json.loads(policy.describe())
    assert found == {"applied": ["no rights gained", *applied], "missing": abilities.missing}
    assert len(found["missing"]) == missing
