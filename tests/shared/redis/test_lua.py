"""Lua files: what a script is made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from offloop.redis import lua, schema, scripts

NAMES = {name: value for name, value in vars(scripts).items() if name.isupper() and isinstance(value, str)}
FOLDER = Path(lua.__file__).parent / "lua"
FILES = sorted(path.relative_to(FOLDER).as_posix().removesuffix(".lua") for path in FOLDER.rglob("*.lua"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scripts of this test's own."""
    monkeypatch.setattr(lua, "_FOLDER", tmp_path)
    monkeypatch.setattr(lua, "text", lua.text.__wrapped__)
    return tmp_path


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.lua").write_text(text)


def test_every_script_has_a_name_and_every_name_a_script() -> None:
    assert sorted(NAMES.values()) == lua.scripts()


def test_every_file_of_the_library_is_used() -> None:
    used = {file for script in lua.scripts() for file in lua.files(script)}
    assert used == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_fits_the_page_and_names_only_constants_that_it_uses(name: str) -> None:
    source = (FOLDER / f"{name}.lua").read_text()
    assert max(map(len, source.splitlines())) <= 120
    declared = " ".join(re.findall(r"^--- @const (.*)$", source, re.MULTILINE)).split()
    code = re.sub(r"'[^'\n]*'|--[^\n]*", "", source)
    assert sorted(declared) == sorted(set(re.findall(r"\b[A-Z][A-Z_]+\b", code)) - {"KEYS", "ARGV"})


@pytest.mark.parametrize("name", lua.scripts())
def test_a_script_begins_with_its_contract(name: str) -> None:
    head = (FOLDER / f"{name}.lua").read_text().partition("\n\n")[0]
    assert head.startswith("-- ")
    assert set(re.findall(r"^-- (\w+)", head, re.MULTILINE)) & {"KEYS", "ARGV"}


@pytest.mark.anyio
@pytest.mark.parametrize("name", lua.scripts())
async def test_the_server_accepts_every_script(redis: ArqRedis, name: str) -> None:
    assert await redis.script_load(lua.text(name))


def test_folders_stay_small() -> None:
    for path in (FOLDER, *filter(Path.is_dir, FOLDER.rglob("*"))):
        assert len(list(path.iterdir())) <= 16, path


@pytest.mark.anyio
async def test_a_file_is_included_once_and_before_those_that_need_it(folder: Path, redis: ArqRedis) -> None:
    _write(
        folder,
        count="local count = 0\n",
        add='--- @include "count"\nlocal function add() count = count + 1 end\n',
        twice='--- @include "count"\n--- @include "add"\nlocal function twice() add() add() end\n',
        script='--- @include "twice"\n--- @include "add"\ntwice() add()\nreturn count\n',
    )
    assert lua.files("script") == ["count", "add", "twice", "script"]
    assert await redis.execute_command("EVAL", lua.text("script"), 0) == 3  # type: ignore[no-untyped-call]


def test_a_circle_is_refused(folder: Path) -> None:
    _write(folder, one='--- @include "two"\n', two='--- @include "one"\n')
    with pytest.raises(ValueError, match="one > two > one"):
        lua.text("one")


def test_a_constant_is_written_where_its_name_stands_alone_and_never_inside_a_literal(folder: Path) -> None:
    _write(folder, script="--- @const QUEUE MAX_URLS\nreturn {QUEUE, 'QUEUE -- QUEUE', \"QUEUE\", MAX_URLS} -- QUEUE\n")
    assert lua.text("script") == f"return {{'{schema.QUEUE}', 'QUEUE -- QUEUE', \"QUEUE\", {schema.MAX_URLS}}}\n"


def test_a_constant_that_is_not_named_stays_a_global_that_luacheck_reports(folder: Path) -> None:
    _write(folder, script="return QUEUE\n")
    assert lua.text("script") == "return QUEUE\n"


def test_a_list_of_names_becomes_a_table(folder: Path) -> None:
    _write(folder, script="--- @const SNAPSHOT_FIELDS\nreturn SNAPSHOT_FIELDS\n")
    assert lua.text("script").startswith("return {'principal', 'kind', ")


def test_a_constant_that_does_not_exist_is_an_error(folder: Path) -> None:
    _write(folder, script="--- @const NO_SUCH_KEY\nreturn 1\n")
    with pytest.raises(AttributeError, match="NO_SUCH_KEY"):
        lua.text("script")


def test_a_script_carries_only_what_it_includes() -> None:
    assert "function" not in lua.text(scripts.BEGIN)
    assert len(lua.text(scripts.BEGIN)) < len(lua.text(scripts.SUBMIT)) < len(lua.text(scripts.SUBMIT_BATCH))
