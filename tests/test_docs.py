"""The documentation is true: its code runs, and its lists are those of the code."""

from __future__ import annotations

import ast
import asyncio
import importlib
import itertools
import json
import os
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from docs import generate

import offloop_server
from offloop import Context, JobError, Limits, Model, declare
from offloop.kinds import catalogue
from offloop.kinds.options import OPTIONS
from offloop.settings import Settings, load
from offloop.testing import context
from offloop_server.cli.stack import Stack
from offloop_server.client import Offloop
from offloop_server.toolkit.light_tool import LightTool
from offloop_workers.children import registry

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "tests" / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def block(page: str, language: str, containing: str) -> str:
    """The one code block that contains these words."""
    found = [code for code in blocks(ROOT / page, language) if containing in code]
    assert len(found) == 1, f"{page} has {len(found)} {language} blocks with {containing!r}"
    return found[0]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python looks into; what was imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def saved(folder: Path, name: str, code: str) -> str:
    """Save a block as a module; returns the module's name."""
    (folder / f"{name}.py").write_text(code, "utf-8")
    importlib.invalidate_caches()
    return name


def test_the_job_of_the_readme_is_a_kind_that_works(modules: Path) -> None:
    name = saved(modules, "my_jobs", block("README.md", "python", "@job("))
    kind = catalogue.load([name])["count_words"]
    made = registry.load([name], queues=[])["count_words"]
    value = kind.input.model_validate({"text": "one two three"})
    for answer in (kind(value, context(modules)), made(value, context(modules))):
        assert answer.model_dump() == {"words": 3, "longest": "three"}


def test_the_jobs_of_the_guide_work(modules: Path) -> None:
    counting = saved(modules, "counting", block("docs/jobs.md", "python", "def count_words"))
    packing = saved(modules, "packing", block("docs/jobs.md", "python", "def pack_file"))
    contract = saved(modules, "shapes_contract", block("docs/jobs.md", "python", "# shapes_contract.py"))
    work = saved(modules, "shapes_work", block("docs/jobs.md", "python", "# shapes_work.py"))
    assert catalogue.load([contract])["square_area"].work is None
    found = registry.load([counting, packing, contract, work], queues=[])

    def done(kind: str, given: dict[str, Any], asked: Context) -> Any:
        return found[kind](found[kind].kind.input.model_validate(given), asked).model_dump()

    assert done("count_words", {"text": "one two"}, context(modules)) == {"words": 2}
    assert done("square_area", {"side": 3}, context(modules)) == {"area": 9}
    asked = context(modules)
    size = done("pack_file", {"file": "data:,hello"}, asked)["size"]
    assert [(made.name, made.size) for made in asked.artifacts] == [("packed.gz", size)]


def test_the_light_tools_of_the_guide_work_and_need_no_worker(modules: Path) -> None:
    name = saved(modules, "prices", block("docs/jobs.md", "python", "# prices.py"))
    assert name not in str(registry.load([name], queues=[]))
    tools = catalogue.load([name]).tools
    look_up, ask = tools["look_up_price"], tools["ask_the_till"]
    assert look_up(look_up.input.model_validate({"name": "tea"})).euros == 3.5
    assert asyncio.run(ask(ask.input.model_validate({"name": "cake"}))).euros == 4
    with pytest.raises(JobError, match="there are: tea, cake"):
        look_up(look_up.input.model_validate({"name": "rum"}))


@pytest.mark.parametrize("test", ["test_words_are_counted", "test_the_longest_word_is_found"])
def test_the_tests_of_the_guide_pass(modules: Path, test: str) -> None:
    saved(modules, "my_jobs", block("README.md", "python", "@job("))
    name = saved(modules, "guide_test", block("docs/jobs.md", "python", f"def {test}"))
    getattr(importlib.import_module(name), test)(modules)


@pytest.mark.timeout(240)
def test_the_clients_of_the_pages_and_the_job_of_the_readme_work_on_a_running_offloop(
    modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real stack, as `./run` starts it: the clients as they are printed, arq's too, and the new job by `call`."""
    name = saved(modules, "my_jobs", block("README.md", "python", "@job("))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(modules), *filter(None, [os.environ.get("PYTHONPATH")])]))
    guide: Any = importlib.import_module(
        saved(modules, "guide_test", block("docs/jobs.md", "python", "async def longest_word"))
    )
    simple = block("README.md", "python", "from mcp import Client")
    ours = block("docs/clients.md", "python", "offloop_server.client")
    arqs = block("docs/arq.md", "python", "enqueue_job")

    async def program(*command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=modules, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:  # left running, it would be a warning in some later test
                process.kill()
                await process.wait()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    async def scenario() -> None:
        settings = load({}).replaced(state_dir=modules / "s", port=0, slots=1, job_modules=[name], log_level="error")
        async with Stack(settings) as stack:
            assert not await stack.ready()

            def here(code: str) -> tuple[str, ...]:
                return sys.executable, "-c", code.replace("http://127.0.0.1:8750/mcp", stack.endpoint)

            monkeypatch.setenv("OFFLOOP_REDIS_URL", str(stack.settings.redis_url))
            monkeypatch.setenv("OFFLOOP_STATE_DIR", str(settings.state_dir))
            call = (sys.executable, "-P", "-m", "offloop", "call", "--json", "--url", stack.endpoint)
            async with asyncio.TaskGroup() as group:
                clients = [
                    group.create_task(program(*command))
                    for command in (
                        here(simple),
                        here(ours),
                        (sys.executable, "-c", arqs),
                        (*call, "count_words", "text=one two three"),
                    )
                ]
            printed, downloaded, enqueued, called = [client.result() for client in clients]
            async with Offloop(stack.endpoint) as offloop:  # the caller that the guide tests inline, on the real thing
                assert await guide.longest_word(offloop, "one three two") == "three"
        assert re.match(r"document\.pdf \d+ http://\S+\n", printed)
        assert (modules / downloaded.strip()).read_bytes().startswith(b"%PDF-")
        path, *fields = enqueued.split()
        assert (modules / path).read_bytes().startswith(b"%PDF-")
        assert fields == ["1", "deferred", "True"]
        assert json.loads(called)["output"] == {"words": 3, "longest": "three"}

    asyncio.run(scenario())


@pytest.mark.parametrize("page", ["settings.md", "jobs.md", "architecture.md"])
def test_the_generated_parts_are_those_of_the_code(page: str) -> None:
    path = ROOT / "docs" / page
    assert path.read_text("utf-8") == generate.pages()[path], "write it anew: ./run docs"


def test_every_generated_page_is_compared() -> None:
    assert {path.name for path in generate.pages()} == {"settings.md", "jobs.md", "architecture.md"}


def test_every_module_has_a_description_in_the_tree() -> None:
    """A test of the generator: it leaves no file out, and says something of each."""
    lines = generate.tree().splitlines()
    assert [line for line in lines if not line[generate.COLUMN :].strip()] == []
    names = [line.split()[0] for line in lines]
    modules = [path for root in ("shared", "server", "workers") for path in (ROOT / root).rglob("*.py")]
    drawn = [path.name for path in modules if path.name != "__init__.py"]
    assert sorted(name for name in names if name.endswith(".py")) == sorted(drawn)


def test_the_table_of_options_has_every_option_with_its_default() -> None:
    text = (ROOT / "docs" / "jobs.md").read_text("utf-8").split("\n## Options of a declaration\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    listed = {
        name: ast.literal_eval(default.strip("`")) for names, default, *_ in rows for name in re.findall(r"\w+", names)
    }
    plain = [Limits(), declare("plain", Model, Model, description="d")]
    defaults = {name: getattr(holder, name) for name in OPTIONS for holder in plain if hasattr(holder, name)}
    assert listed == defaults


def vocabulary(kind: str) -> set[str]:
    """Every word that a kind's arguments and answer are made of: names of fields, at any depth, and their values."""
    declared = catalogue.load()[kind]
    found = set[str]()

    def collect(schema: object) -> None:
        if isinstance(schema, dict):
            found.update(schema.get("properties", {}))
            found.update(str(value) for value in [*schema.get("enum", []), schema.get("const")])
            collect(list(schema.values()))
        elif isinstance(schema, list):
            for inner in schema:
                collect(inner)

    collect(declared.input.model_json_schema())
    collect(declared.output.model_json_schema(mode="serialization"))
    return found


def test_claims_of_the_comparison_about_offloop_are_in_the_schemas() -> None:
    """Our column names a kind first, then words of its schema: ``` `edit_pdf`: `merge`, `bookmarks` ```."""
    text = (ROOT / "docs" / "comparison.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    checked = 0
    for row in rows:
        claims = row[1].split("; ")
        for claim in claims if row[1] not in {"offloop", "no"} else []:
            words = re.findall(r"`([^`]+)`", claim)
            assert words, f"{row[0]}: {claim!r} names no kind, and is not 'no'"
            if words[0] in light_tools() or words[0].startswith("OFFLOOP_"):
                continue
            assert words[0] in catalogue.load(), f"{row[0]}: there is no kind {words[0]!r}"
            assert set(words[1:]) <= vocabulary(words[0]), f"{row[0]}: {set(words[1:]) - vocabulary(words[0])}"
            checked += len(words)
    assert checked > 100


def test_every_setting_that_a_page_names_exists() -> None:
    known = {Settings.variable(name) for name in Settings.model_fields}
    for page in PAGES:
        # OFFLOOP_SQL_ and OFFLOOP_SOURCE_ are followed by any name.
        named = set(re.findall(r"\bOFFLOOP_(?!SQL_|SOURCE_)[A-Z_]*[A-Z]\b", page.read_text("utf-8")))
        assert named <= known, f"{page.relative_to(ROOT)} names {sorted(named - known)}"


def test_only_features_built_on_a_shipped_kind_name_it() -> None:
    """As docs/architecture.md says: elsewhere in the two adapters no string is the name of a kind."""
    kinds = catalogue.load()
    work = {f"workers/offloop_workers/{kind.family}" for kind in kinds.values()}
    built = {"resources/workflows.py", "tools/previews.py", "cli/demo.py", "cli/up.py"}
    naming = set[str]()
    for path in [*(ROOT / "server").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        strings = {node.value for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Constant)}
        relative = path.relative_to(ROOT)
        if strings & set(kinds) and not work & {str(parent) for parent in relative.parents}:
            naming.add(relative.as_posix().removeprefix("server/offloop_server/"))
    assert naming == built


def light_tools() -> set[str]:
    """The names of the tools that the front end answers itself."""
    found = pkgutil.walk_packages(offloop_server.__path__, "offloop_server.")
    modules = [importlib.import_module(module.name) for module in found]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {str(one.name) for one in classes if issubclass(one, LightTool) and "name" in vars(one)}


def test_the_readme_lists_the_tools_that_there_are() -> None:
    section = (ROOT / "README.md").read_text("utf-8").split("\n## Tools\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(catalogue.load()) | light_tools(), "a new tool needs a row in the README's table of tools"


def test_the_floors_of_the_architecture_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [floors] = [contract["layers"] for contract in contracts if contract["id"] == "floors"]
    section = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("\n## The packages\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(floor.split(" | ")) for floor in floors]


def anchors(page: Path) -> set[str]:
    """Anchors of a page: its headings, as code hosts name them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leaves the repository"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_json_example_is_json(page: Path) -> None:
    for code in blocks(page, "json"):
        json.loads(code)


def test_decisions_are_numbered_without_a_gap_and_dated() -> None:
    notes = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, note in zip(itertools.count(1), notes, strict=False):
        assert note.name.startswith(f"{number:04}-")
        title, _, date = note.read_text("utf-8").splitlines()[:3]
        assert title.startswith(f"# {number}. ")
        assert re.match(r"\d{4}-\d\d-\d\d, (accepted|replaced)", date), note.name
