"""Retries: which outcome is followed by another attempt, and what is kept of the last one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from offloop.errors import FetchFailed, Refused
from offloop.outbound.fetch import OutboundResponse
from offloop.outbound.outcome import RETRIED
from offloop_server.io.http import retries
from offloop_server.io.http.retries import Attempts

pytestmark = pytest.mark.anyio

BROKE = FetchFailed("it broke off")
UNFIT = FetchFailed("its body is too large", code="too_large", retryable=False)


def response(status: int, **headers: str) -> OutboundResponse:
    """A response without a body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OutboundResponse(status, "https://example.org/", named, "text/plain", "", 0, "", (), 0.0, 0.0)


async def run(attempts: Attempts, *outcomes: OutboundResponse | Exception) -> int:
    """Go through the attempts, each with its outcome; answers how many there were."""
    calls = 0
    async for attempt in attempts:
        with attempt:
            outcome = outcomes[calls]
            calls += 1
            if isinstance(outcome, Exception):
                raise outcome
            attempt.response = outcome
    return calls


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_FIRST_PAUSE", 0.001)


@pytest.mark.parametrize("again", [BROKE, *(response(status) for status in sorted(RETRIED))])
async def test_a_failure_that_may_pass_is_followed_by_another_attempt(again: OutboundResponse | Exception) -> None:
    attempts = Attempts(2, 5)
    assert await run(attempts, again, response(200)) == 2
    assert (attempts.outcome().status, attempts.outcome().attempts) == (200, 2)


@pytest.mark.parametrize("last", [UNFIT, response(200), response(404), response(500)])
async def test_a_conclusive_outcome_is_the_last(last: OutboundResponse | Exception) -> None:
    attempts = Attempts(2, 5)
    assert await run(attempts, last) == 1
    if isinstance(last, OutboundResponse):
        assert attempts.outcome().status == last.status
    else:
        with pytest.raises(FetchFailed, match=r"^its body is too large$") as failed:
            attempts.outcome()
        assert (failed.value.reason, failed.value.retryable) == ("too_large", False)


async def test_no_attempt_is_made_when_none_is_left_or_its_pause_would_take_all_time() -> None:
    attempts = Attempts(1, 5)
    assert await run(attempts, response(503), BROKE) == 2
    with pytest.raises(FetchFailed, match=r"It was asked 2 times\.$"):
        attempts.outcome()
    attempts = Attempts(5, 5)
    assert await run(attempts, response(503, retry_after="5")) == 1
    assert attempts.outcome().status == 503
    assert await run(Attempts(5, 0), BROKE) == 1


async def test_an_error_of_another_kind_ends_the_attempts() -> None:
    attempts = Attempts(5, 5)
    with pytest.raises(Refused, match="never"):
        await run(attempts, Refused("never"))
    with pytest.raises(RuntimeError, match="no attempt"):
        Attempts(5, 5).outcome()


async def test_waiting_for_permits_takes_nothing_from_the_time() -> None:
    @asynccontextmanager
    async def slow(_host: str) -> AsyncIterator[float]:
        yield 3.0

    attempts = Attempts(0, 5)
    async with attempts.counting(slow)("example.org") as waited:
        assert waited == 3
    assert attempts.spent < 0
    assert attempts.left > 5
    assert await run(attempts, response(200)) == 1
    assert attempts.outcome().waited == 3
