"""Output of children: whole lines in the worker's log, a bound for each job, and a count of dropped bytes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from offloop_workers.children.output import LOG_BYTES, OutputPipe
from support.waiting import eventually

pytestmark = pytest.mark.anyio


class Log:
    """The text on standard error so far."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._text = ""

    def __call__(self) -> str:
        self._text += self._capfd.readouterr().err
        return self._text

    async def has(self, wanted: str) -> None:
        """Wait until it is exactly this."""

        async def same() -> bool:
            return self() == wanted

        await eventually(same)


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Log:
    """The text on standard error."""
    return Log(capfd)


@pytest.fixture
async def pipe() -> AsyncIterator[OutputPipe]:
    """A pipe whose other end the test writes into."""
    pipe = OutputPipe()
    pipe.begin("a-job")
    yield pipe
    pipe.close()


async def test_lines_stay_whole(pipe: OutputPipe, log: Log) -> None:
    """Output of others comes between lines, never inside one."""
    os.write(pipe.writing, b"one\ntw")
    await log.has("one\n")
    os.write(pipe.writing, b"o\n")
    await log.has("one\ntwo\n")


async def test_the_end_of_a_job_ends_its_last_line(pipe: OutputPipe, log: Log) -> None:
    os.write(pipe.writing, b"one\ntwo")
    await log.has("one\n")
    pipe.end()
    assert log() == "one\ntwo\n"


async def test_the_last_words_of_a_child_are_written_when_it_is_gone(pipe: OutputPipe, log: Log) -> None:
    os.write(pipe.writing, b"free(): invalid pointer")
    pipe.close()
    assert log() == "free(): invalid pointer\n"


async def test_each_job_has_a_bound_of_its_own_and_the_log_reports_dropped_output(pipe: OutputPipe, log: Log) -> None:
    line = b"x" * 1023 + b"\n"
    for job_id in ("first", "second"):
        pipe.begin(job_id)
        with capture_logs() as logged:
            for _ in range(3 * LOG_BYTES // len(line)):
                await _write(pipe, line)
            pipe.end()
        assert logged == [
            {
                "event": "a job printed more than the log takes, the rest was dropped",
                "log_level": "warning",
                "job_id": job_id,
                "kept": LOG_BYTES,
                "dropped": 2 * LOG_BYTES,
            }
        ]
    assert len(log()) == 2 * LOG_BYTES
    pipe.begin("third")
    os.write(pipe.writing, b"as ever\n")
    await log.has(line.decode() * (2 * LOG_BYTES // len(line)) + "as ever\n")


async def _write(pipe: OutputPipe, line: bytes) -> None:
    """Write as a child does that waits where the pipe is full."""
    os.set_blocking(pipe.writing, False)

    async def written() -> bool:
        try:
            return os.write(pipe.writing, line) == len(line)
        except BlockingIOError:
            return False

    await eventually(written)
