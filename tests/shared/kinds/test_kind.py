"""Kinds: accepted and refused declarations, and one-function jobs."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from pydantic import ValidationError

from offloop import Context, Kind, Limits, Model, declare, job, performs
from offloop.errors import SettingsError
from offloop.kinds.options import KindOptions


class Text(Model):
    """An input."""

    text: str


class Count(Model):
    """An output."""

    words: int


class Taken(Model):
    """An input with a name that every tool has."""

    wait_seconds: int


def _count(text: Text) -> Count:
    """Count the words."""
    return Count(words=len(text.text.split()))


def test_a_function_says_name_description_and_schemas() -> None:
    kind = job(seconds=5, memory_mb=64, queue="words", isolation="fork", pure=True, retries=2)(_named())
    assert (kind.name, kind.description) == ("count_words", "Count the words of a text.\n\nFor tests.")
    assert (kind.input, kind.output) == (Text, Count)
    assert kind.limits == Limits(5, 64, 256)
    assert (kind.queue, kind.isolation, kind.pure, kind.retries) == ("words", "fork", True, 2)


def _named() -> Any:
    def count_words(text: Text, _context: Context) -> Count:
        """Count the words of a text.

        For tests.
        """
        return Count(words=len(text.text.split()))

    return count_words


def test_a_one_function_job_is_called_like_a_function() -> None:
    def count_words(text: Text) -> Count:
        """Count."""
        return _count(text)

    kind = job()(count_words)
    assert kind(Text(text="a b c")) == Count(words=3)
    assert kind(Text(text="a b c"), None) == Count(words=3)
    assert job()(_named())(Text(text="a b"), None) == Count(words=2)


def test_a_contract_and_its_work_are_a_pair() -> None:
    kind = declare("count_words", Text, Count, description="  Count.\n    More.", seconds=3)
    assert kind.description == "Count.\nMore."

    @performs(kind)
    def work(text: Text, _context: Context) -> Count:
        return _count(text)

    assert work.kind is kind
    assert work(Text(text="a"), None) == Count(words=1)
    with pytest.raises(TypeError, match="its work is elsewhere, marked @performs"):
        kind(Text(text="a"))


@pytest.mark.parametrize("name", ["", "Words", "2words", "count-words", "count words", "w" * 64, "wörter"])
def test_a_name_that_is_no_tool_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="lower-case words joined by underscores"):
        declare(name, Text, Count, description="d")


def test_an_input_may_not_take_the_names_every_tool_has() -> None:
    with pytest.raises(SettingsError, match="'wait_seconds' is taken"):
        declare("count_words", Taken, Count, description="d")


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"memory_mb": -1}, {"output_mb": 0}])
def test_limits_that_let_nothing_run_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="above zero"):
        declare("count_words", Text, Count, description="d", **limits)


def test_negative_retries_are_refused() -> None:
    with pytest.raises(SettingsError, match="retries must be 0 or more"):
        declare("count_words", Text, Count, description="d", retries=-1)


def test_a_family_that_does_not_exist_is_refused_with_a_suggestion() -> None:
    wrong: dict[str, Any] = {"family": "image"}
    with pytest.raises(SettingsError, match=r"kind count_words: there is no family 'image'; did you mean images\?"):
        declare("count_words", Text, Count, description="d", **wrong)
    assert declare("count_words", Text, Count, description="d").family is None
    assert job(family="images")(_named()).family == "images"


def test_an_option_that_does_not_exist_is_refused_with_a_suggestion() -> None:
    wrong: dict[str, Any] = {"memory": 512}
    with pytest.raises(TypeError, match=r"a job has no option 'memory'; did you mean memory_mb\?"):
        declare("count_words", Text, Count, description="d", **wrong)
    with pytest.raises(TypeError, match=r"a job has no option 'memory'"):
        job(**wrong)
    with pytest.raises(TypeError, match=r"a job has no option 'x'; there are: seconds, memory_mb, .*family"):
        job(x=1)  # type: ignore[call-arg]  # the mistake that this is about


def test_the_options_are_the_fields_of_kinds_and_limits_with_the_same_types() -> None:
    """The options are typed once more for editors and type checkers, so nothing may be missing or differ."""
    declared = {**get_type_hints(Limits), **get_type_hints(Kind)}
    for name in ("name", "description", "input", "output", "limits", "work"):
        del declared[name]
    assert get_type_hints(KindOptions) == declared


def test_options_that_are_left_out_have_the_defaults_of_kinds_and_limits() -> None:
    plain = declare("count_words", Text, Count, description="d")
    assert plain == Kind(name="count_words", description="d", input=Text, output=Count)
    assert declare("count_words", Text, Count, description="d", pages=3).limits == Limits(pages=3)


def _no_docstring(text: Text) -> Count:
    return _count(text)


def _no_input() -> Count:
    """Count nothing."""
    return Count(words=0)


def _plain_input(text: str) -> Count:
    """Count."""
    return Count(words=len(text))


def _plain_output(text: Text) -> int:
    """Count."""
    return len(text.text)


def _other_second(text: Text, number: int) -> Count:
    """Count."""
    return Count(words=len(text.text) * number)


def _three(text: Text, context: Context, more: Context) -> Count:
    """Count."""
    assert context is more
    return _count(text)


@pytest.mark.parametrize(
    "function", [_no_docstring, _no_input, _plain_input, _plain_output, _other_second, _three], ids=lambda f: f.__name__
)
def test_a_signature_that_does_not_say_input_and_output_is_refused_with_the_form(function: Any) -> None:
    with pytest.raises(SettingsError, match=r"write it as `def .*with a docstring"):
        job()(function)


def test_models_refuse_unknown_fields_and_do_not_change() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Text.model_validate({"text": "a", "txet": "b"})
    with pytest.raises(ValidationError, match="frozen"):
        Text(text="a").text = "b"


def test_only_kinds_that_wait_may_run_without_a_process() -> None:
    def count_words(text: Text) -> Count:
        """Count."""
        return _count(text)

    async def ask_words(text: Text) -> Count:
        """Ask."""
        return _count(text)

    assert job(isolation="none")(ask_words).isolation == "none"
    with pytest.raises(SettingsError, match="must not be blocked: write `async def`"):
        job(isolation="none")(count_words)
    with pytest.raises(SettingsError, match="the work asks the network itself"):
        job(isolation="none", fetches=1)(ask_words)
    with pytest.raises(SettingsError, match="contract and work in one place"):
        declare("count_words", Text, Count, description="d", isolation="none")
    with pytest.raises(SettingsError, match='network=True needs isolation="fork"'):
        job(isolation="none", network=True)(ask_words)
