"""Developers' functions as light tools: validated, called on the loop or in a thread, answered or refused."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from offloop import JobError, Model, tool
from offloop.errors import BadInput, LimitExceeded, SettingsError
from offloop.kinds.catalogue import Catalogue
from offloop_server.runtime.background import Background
from offloop_server.runtime.threads import Threads
from offloop_server.toolkit.toolbox import Toolbox
from offloop_server.tools import functions
from offloop_server.tools.functions import LightFunction
from support.services import only, principal

pytestmark = pytest.mark.anyio


ALICE = principal("alice")


class Number(Model):
    """A number."""

    value: int


class Thread(Model):
    """Thread that a function ran in."""

    ident: int
    twice: int


class Slow(Model):
    """Duration of a call."""

    seconds: float


class Failure(Model):
    """Kind of failure."""

    how: str


class Text(Model):
    """A text."""

    text: str


@tool(read_only=True)
def where_sync(value: Number) -> Thread:
    """Say where a def runs."""
    return Thread(ident=threading.get_ident(), twice=2 * value.value)


@tool()
async def where_async(value: Number) -> Thread:
    """Say where an async def runs."""
    await asyncio.sleep(0)
    return Thread(ident=threading.get_ident(), twice=2 * value.value)


@tool(seconds=0.05)
async def sleep_async(value: Slow) -> Slow:
    """Wait on the loop."""
    await asyncio.sleep(value.seconds)
    return value


@tool(seconds=0.05)
def sleep_sync(value: Slow) -> Slow:
    """Wait in a thread."""
    time.sleep(value.seconds)
    return value


async def _fail(error: Exception) -> None:
    raise error


@tool()
async def fail_async(value: Failure) -> Failure:
    """Fail."""
    match value.how:
        case "foreseen":
            message = "Only even numbers."
            raise JobError(message)
        case "own timeout":
            raise TimeoutError
        case "exit":
            sys.exit("enough")
        case "group":
            async with asyncio.TaskGroup() as group:
                for error in (JobError("The first is away."), JobError("The second is full."), KeyError("secret")):
                    group.create_task(_fail(error))
        case "wrong":
            return cast("Failure", 7)
    return value


@tool()
def fail_sync(value: Failure) -> Failure:
    """Fail in a thread."""
    if value.how == "foreseen":
        message = "Only odd numbers."
        raise JobError(message)
    message = "a secret of the server"
    raise ValueError(message)


@tool()
def repeat_text(value: Number) -> Text:
    """Answer a long text."""
    return Text(text="x" * value.value)


Call = Callable[..., Any]


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Calls a declared function as the front end does."""
    async with Background(grace=5) as background:
        threads = Threads(2, background)

        async def calling(declared: Any, **arguments: Any) -> Any:
            [made] = functions.tools(only(threads=threads, kinds=Catalogue([], [declared])))
            return await made.call(arguments, ALICE)

        yield calling


async def test_a_def_runs_in_a_thread_and_an_async_def_on_the_loop(call: Call) -> None:
    mine = threading.get_ident()
    sync, asynchronous = await call(where_sync, value=4), await call(where_async, value=4)
    assert sync.structured_content["ident"] != mine
    assert asynchronous.structured_content["ident"] == mine
    assert sync.structured_content["twice"] == asynchronous.structured_content["twice"] == 8
    assert Thread.model_validate_json(sync.content[0].text).twice == 8


async def test_its_description_has_both_schemas_and_its_hints() -> None:
    listed = LightFunction(where_sync, only()).describe()
    assert (listed.name, listed.description) == ("where_sync", "Say where a def runs.")
    assert listed.input_schema["required"] == ["value"]
    assert listed.output_schema is not None
    assert set(listed.output_schema["properties"]) == {"ident", "twice"}
    assert listed.annotations is not None
    assert (listed.annotations.read_only_hint, listed.annotations.open_world_hint) == (True, False)


async def test_arguments_are_checked_like_those_of_every_tool(call: Call) -> None:
    with pytest.raises(BadInput, match=r"where_sync was not run: value: .*you sent 'four'"):
        await call(where_sync, value="four")
    with pytest.raises(BadInput, match="valeu is not an argument; did you mean value"):
        await call(where_sync, valeu=4)


@pytest.mark.parametrize("declared", [sleep_async, sleep_sync])
async def test_a_call_over_its_time_is_a_clear_error(call: Call, declared: Any) -> None:
    with pytest.raises(LimitExceeded, match=rf"{declared.name} did not answer within its 0\.05 s"):
        await call(declared, seconds=0.3)


@pytest.mark.parametrize(("declared", "words"), [(fail_async, "Only even"), (fail_sync, "Only odd")])
async def test_the_words_of_a_foreseen_failure_reach_the_caller(call: Call, declared: Any, words: str) -> None:
    with pytest.raises(JobError, match=words):
        await call(declared, how="foreseen")


async def test_an_unforeseen_failure_is_raised_for_the_log_alone(call: Call) -> None:
    with pytest.raises(ValueError, match="a secret"):
        await call(fail_sync, how="not foreseen")
    with pytest.raises(TypeError, match="returned int instead of Failure"):
        await call(fail_async, how="wrong")
    with pytest.raises(TimeoutError):
        await call(fail_async, how="own timeout")
    with pytest.raises(RuntimeError, match="SystemExit"):
        await call(fail_async, how="exit")


async def test_an_exception_group_is_one_message_for_each_cause_and_no_traceback(call: Call) -> None:
    with capture_logs() as logged, pytest.raises(JobError) as raised:
        await call(fail_async, how="group")
    assert raised.value.message.splitlines() == [
        "The first is away.",
        "The second is full.",
        "fail_async failed inside the server; the operator's log has the reason.",
    ]
    assert "secret" not in raised.value.message
    assert [type(line["exc_info"]) for line in logged] == [KeyError]
    assert (task := asyncio.current_task())
    assert task.cancelling() == 0, "the server's next timeout in this task would end as a cancellation"


async def test_a_limit_is_reported_after_a_group_failed_and_was_handled_inside(call: Call) -> None:
    async def fail() -> None:
        raise KeyError

    @tool(seconds=0.2)
    async def try_again(value: Number) -> Number:
        """Fail, and wait."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(60))
        except* KeyError:
            pass
        await asyncio.sleep(60)
        return value

    with pytest.raises(LimitExceeded, match=r"did not answer within its 0\.2 s"):
        await call(try_again, value=1)


def test_a_tool_named_like_another_of_the_server_keeps_it_from_starting() -> None:
    made = [LightFunction(where_sync, only()) for _ in range(2)]
    with pytest.raises(SettingsError, match="'where_sync' is taken by a tool of the server; rename yours"):
        Toolbox(made)


async def test_an_answer_that_is_too_long_is_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "MAX_ANSWER", 1000)
    assert not (await call(repeat_text, value=10)).is_error
    with pytest.raises(LimitExceeded, match=r"may be sent\. Ask for less"):
        await call(repeat_text, value=2000)


async def test_an_async_def_that_is_left_is_cancelled_and_cleans_up(call: Call) -> None:
    begun, cleaned = asyncio.Event(), asyncio.Event()

    @tool()
    async def wait_long(value: Number) -> Number:
        """Wait."""
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            cleaned.set()
        return value

    caller = asyncio.ensure_future(call(wait_long, value=1))
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller], timeout=30)
    assert caller.cancelled()
    assert cleaned.is_set()
