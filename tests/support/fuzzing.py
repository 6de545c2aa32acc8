"""Fuzzing: profiles of hypothesis for the extents of a test run, and ``--fuzz-seconds``.

The default run draws few examples, ``--all`` more; both the same ones each time, since the check of a change must not
fail by an input that the change has nothing to do with. ``--fuzz-seconds 60`` searches: it runs nothing but the
properties and models, each again and again for that long with new examples, and counts them; a failure prints the
decorator that reproduces it. Regressions are kept as ``@example`` or as tests of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

import pytest
from arq.connections import ArqRedis
from hypothesis import HealthCheck, is_hypothesis_test, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from offloop.errors import OffloopError
from offloop.redis.connection import connect
from support.redis import immortal

ResultT = TypeVar("ResultT")

MARK: Final = "fuzz"
"""The marker of properties, which have it by themselves, and of models."""

EXAMPLES: Final = {"daily": 25, "all": 150, "long": 100}
"""Examples of one property by profile; for ``long`` those of one round."""

_SHRINK_SECONDS: Final = 400
_COUNTED: Final = "examples"
_counts: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("extent of the run").addoption(
        "--fuzz-seconds",
        type=float,
        default=0,
        metavar="N",
        help="fuzz only: run each property and model for N seconds",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile of this run, unless one is named on the command line."""
    config.addinivalue_line("markers", f"{MARK}: draws its input; --fuzz-seconds runs it for longer")
    for name, examples in EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,  # machines are noisy
            database=None,
            derandomize=name != "long",
            print_blob=name != "daily",
            suppress_health_check=[HealthCheck.too_slow],
        )
    if not config.getoption("hypothesis_profile"):
        settings.load_profile("long" if config.option.fuzz_seconds else "all" if config.option.all else "daily")


class Looped:
    """A connection to the Valkey of this process, on a loop of its own: hypothesis calls functions, not coroutines.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self.redis: ArqRedis = self.run(self._connected(url))

    def run(self, steps: Awaitable[ResultT]) -> ResultT:
        """Await something on the loop."""

        async def awaited() -> ResultT:
            return await steps

        return self._runner.run(awaited())

    def close(self) -> None:
        """Close the connection and the loop."""
        self.run(self.redis.aclose(close_connection_pool=True))
        self._runner.close()

    @staticmethod
    async def _connected(url: str) -> ArqRedis:
        return connect(url)


@pytest.fixture(scope="module")
def looped(valkey: str) -> Iterator[Looped]:
    """A connection for examples without a loop."""
    made = Looped(valkey)
    yield made
    made.close()


class RedisModel(RuleBasedStateMachine):
    """A model beside the real scripts: each rule changes both, and invariants compare them.

    Args:
        looped: the connection; the server is flushed for each example.
    """

    def __init__(self, looped: Looped) -> None:
        super().__init__()
        self.run = looped.run
        self.redis = looped.redis
        self.run(self.redis.flushall())
        count_example()

    def teardown(self) -> None:
        """Check that every key expires that should."""
        assert self.run(immortal(self.redis)) == set()


def explore(model: type[RedisModel], looped: Looped, share: float = 0.3) -> None:
    """Run a model with this share of the profile's examples."""
    made: Any = partial(model, looped)
    run_state_machine_as_test(made, settings=costly(share))


def check_refusal(error: OffloopError, *, most: int = 1000, reason: str | None = None) -> None:
    """Check that a refusal can be sent: its message is short, and text."""
    assert 0 < len(error.message) <= most
    error.message.encode()
    assert reason in (None, error.reason)


def costly(share: float = 0.2) -> settings:
    """Settings of a property whose examples cost more than a millisecond: it draws this share of them."""
    return settings(max_examples=max(3, round(settings().max_examples * share)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark properties; with the option, leave out everything else and give each test its time."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(MARK)
        if item.get_closest_marker(MARK):  # a failure is shrunk, which takes a while
            item.add_marker(pytest.mark.timeout(_SHRINK_SECONDS + 2 * config.option.fuzz_seconds), append=False)
    if config.option.fuzz_seconds:
        others = [item for item in items if not item.get_closest_marker(MARK)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.get_closest_marker(MARK)]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """With the option, repeat a property for its time, and report the number of examples."""
    seconds = pyfuncitem.config.option.fuzz_seconds
    if not seconds:
        return (yield)
    test = pyfuncitem.obj
    _count_examples(test)
    _counts.clear()

    def repeated(**arguments: Any) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            test(**arguments)

    pyfuncitem.obj = repeated
    try:
        return (yield)
    finally:
        pyfuncitem.obj = test
        pyfuncitem.user_properties.append((_COUNTED, _counts.total()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the number of examples of each property."""
    if not config.option.fuzz_seconds:
        return
    terminalreporter.section("examples")
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for count in (value for name, value in report.user_properties if name == _COUNTED):
                terminalreporter.write_line(f"{count:>10} {outcome} {report.nodeid}")


def count_example() -> None:
    """Count one example; models call it, properties are counted by themselves."""
    _counts["examples"] += 1


def _count_examples(test: Any) -> None:
    """Count the calls of a property's function, which hypothesis lets plugins replace."""
    if not is_hypothesis_test(test) or hasattr(test.hypothesis.inner_test, "counted"):
        return
    inner = test.hypothesis.inner_test

    def counted(*arguments: Any, **named: Any) -> Any:
        count_example()
        return inner(*arguments, **named)

    counted.counted = True  # type: ignore[attr-defined]
    test.hypothesis.inner_test = counted
