"""Declared light tools: requirements on the function, and the processes that load it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from offloop import Context, Model, job, tool
from offloop.errors import SettingsError
from offloop.kinds import catalogue
from offloop.kinds.catalogue import Catalogue
from offloop.kinds.tool import DeclaredTool, ToolOptions
from offloop_workers.children import registry

_TOOLS = '''
from offloop import Model, tool

class Number(Model):
    """A number."""
    value: int

@tool(seconds=2, read_only=True)
def double_number(number: Number) -> Number:
    """Twice the number."""
    return Number(value=2 * number.value)

@tool()
async def triple_number(number: Number) -> Number:
    """Three times the number."""
    return Number(value=3 * number.value)
'''


class Nothing(Model):
    """No fields."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; what is imported from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_of_tools_alone_is_enough_for_both_sides_and_workers_pass_them_by(folder: Path) -> None:
    (folder / "own_tools_of_a_test.py").write_text(_TOOLS)
    importlib.invalidate_caches()
    found = catalogue.load(["own_tools_of_a_test"], tightened="render_pdf.seconds=5")
    assert list(found.tools) == ["double_number", "triple_number"]
    assert found.queues == catalogue.load().queues
    assert not {"double_number", "triple_number"} & set(found)
    assert not {"double_number", "triple_number"} & set(registry.load(["own_tools_of_a_test"], queues=[]))


def test_a_tool_says_what_its_function_says(folder: Path) -> None:
    (folder / "own_tools_of_a_test.py").write_text(_TOOLS)
    importlib.invalidate_caches()
    tools = catalogue.load(["own_tools_of_a_test"]).tools
    double, triple = tools["double_number"], tools["triple_number"]
    assert (double.description, double.seconds, double.read_only) == ("Twice the number.", 2, True)
    assert (double.asynchronous, triple.asynchronous) == (False, True)
    assert double(double.input.model_validate({"value": 2})).value == 4
    assert asyncio.run(triple(triple.input.model_validate({"value": 2}))).value == 6


def _no_words(value: Nothing) -> Nothing:
    return value


def _no_input() -> Nothing:
    """Without input."""
    return Nothing()


def _with_context(value: Nothing, _context: Context) -> Nothing:
    """Wants a context."""
    return value


def _no_model(value: int) -> int:
    """No models."""
    return value


def _two(value: Nothing) -> Iterator[Nothing]:
    """Several answers."""
    yield value


@pytest.mark.parametrize("function", [_no_words, _no_input, _with_context, _no_model, _two])
def test_a_function_that_does_not_fit_is_refused_with_instructions(function: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match=rf"@tool {function.__name__}: write it as"):
        tool()(function)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "Loud-Name"}, "lower-case"),
        ({"seconds": 0}, "above 0"),
        ({"seconds": 601}, "job"),
        ({"family": "pfd"}, r"there is no family 'pfd'; did you mean pdf\?"),
    ],
)
def test_a_name_a_time_or_a_family_that_does_not_fit_is_refused(changed: dict[str, Any], message: str) -> None:
    declared: dict[str, Any] = {
        "name": "a",
        "description": "b",
        "input": Nothing,
        "output": Nothing,
        "function": inspect.cleandoc,
    }
    with pytest.raises(SettingsError, match=message):
        DeclaredTool(**(declared | changed))


def test_an_option_that_does_not_exist_is_refused_with_a_suggestion() -> None:
    wrong: dict[str, Any] = {"readonly": True}
    with pytest.raises(TypeError, match=r"a tool has no option 'readonly'; did you mean read_only\?"):
        tool(**wrong)


def test_the_options_are_the_fields_of_a_tool_with_the_same_types() -> None:
    declared = get_type_hints(DeclaredTool)
    for name in ("name", "description", "input", "output", "function"):
        del declared[name]
    assert get_type_hints(ToolOptions) == declared


def test_a_tool_may_not_have_the_name_of_another_or_of_a_job() -> None:
    def same(value: Nothing) -> Nothing:
        """A function."""
        return value

    one, other, kind = tool()(same), tool()(same), job()(same)
    assert Catalogue([], [one, one]).tools == {"same": one}
    with pytest.raises(SettingsError, match="the name of another tool"):
        Catalogue([], [one, other])
    with pytest.raises(SettingsError, match="the name of a job"):
        Catalogue([kind], [one])
