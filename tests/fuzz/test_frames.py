"""Messages of a child that a document has taken over, and jobs as a client of arq may enqueue them."""

from __future__ import annotations

import asyncio
import math
import struct
from typing import Any

import msgpack
from arq.jobs import serialize_job
from hypothesis import example, given
from hypothesis import strategies as st

from offloop import Kind, Model
from offloop.errors import JobError
from offloop.kinds.job_context import MAX_MESSAGE_LENGTH, MAX_WARNING_LENGTH, MAX_WARNINGS
from offloop.queue.record import Cancelled, Done, Failed, Outcome, Progress, pack_outcome, unpack_outcome
from offloop.redis.codec import pack, timestamp, unpack
from offloop_workers.children import result
from offloop_workers.children.frames import MAX_FRAME, FrameStream, ProtocolError, encode
from offloop_workers.children.payload import input_of, kind_of
from support.fuzzing import check_refusal


class Parts(Model):
    """Input and output with several types."""

    text: str = ""
    number: float = 0
    parts: tuple[dict[str, int], ...] = ()


KIND: Kind[Any, Any] = Kind(name="parts", description="Parts.", input=Parts, output=Parts)

_leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=8), st.binary(max_size=8)
)
_keys = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["f", "k", "a", "r", "done", "total", "message", "code", "retryable", "output"]),
)
plain = st.recursive(
    _leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)
_ext = st.builds(msgpack.ExtType, st.integers(0, 5), st.one_of(st.binary(max_size=8), plain.map(msgpack.packb)))
packed = st.one_of(
    st.binary(max_size=60),
    plain.map(msgpack.packb),
    st.dictionaries(_keys, st.one_of(plain, _ext), max_size=4).map(msgpack.packb),
    st.lists(_ext, max_size=3).map(msgpack.packb),
)


class Transport(asyncio.Transport):
    """A transport that nothing is sent through."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def _frames(data: bytes, sizes: list[int]) -> list[dict[str, Any]]:
    """Frames of a stream that comes in pieces and ends."""
    stream = FrameStream()
    stream.connection_made(Transport())

    async def feed() -> None:
        rest = data
        for size in [*sizes, len(data)]:
            if rest:
                stream.data_received(rest[:size])
                rest = rest[size:]
                await asyncio.sleep(0)
        stream.eof_received()

    feeding = asyncio.create_task(feed())
    found = []
    try:
        while True:
            found.append(await stream.read())
    except EOFError:
        return found
    finally:
        await feeding


@given(
    st.lists(st.dictionaries(st.text(max_size=5), plain, max_size=3), max_size=4),
    st.lists(st.integers(1, 9), max_size=9),
)
def test_frames_arrive_as_they_were_sent_however_they_are_cut(sent: list[dict[str, Any]], sizes: list[int]) -> None:
    found = asyncio.run(_frames(b"".join(map(encode, sent)), sizes))
    assert repr(found) == repr(sent)  # a NaN is not equal to itself


@given(packed, st.integers(0, 2**32 - 1), st.booleans(), st.lists(st.integers(1, 9), max_size=9))
@example(body=msgpack.packb({"done": msgpack.ExtType(2, b"\x80")}), length=0, honest=True, sizes=[])
@example(body=b"\x91" * 5000, length=0, honest=True, sizes=[])
@example(body=b"\x81\x80\xc0", length=0, honest=True, sizes=[])
@example(body=b"", length=MAX_FRAME + 1, honest=False, sizes=[])
def test_a_stranger_on_a_socket_breaks_the_protocol_and_nothing_else(
    body: bytes,
    length: int,
    honest: bool,  # noqa: FBT001 -- drawn
    sizes: list[int],
) -> None:
    try:
        found = asyncio.run(_frames(struct.pack("!I", len(body) if honest else length) + body, sizes))
    except ProtocolError:
        return
    assert all(isinstance(frame, dict) for frame in found)


@given(st.one_of(plain, st.fixed_dictionaries({"done": _leaves, "total": _leaves, "message": st.text(max_size=300)})))
@example({"done": math.nan, "total": 1, "message": ""})
@example({"done": 1, "total": math.inf, "message": "x" * 1000})
@example({"done": 2**64 - 1, "total": None, "message": ""})
def test_progress_of_a_child_can_be_stored_and_answered(step: object) -> None:
    try:
        found = result.progress(step)
    except ProtocolError:
        return
    assert Progress(*unpack(found.pack())) == found
    assert math.isfinite(found.done)
    assert len(found.message) <= MAX_MESSAGE_LENGTH


_failures = st.fixed_dictionaries({"code": _leaves, "message": st.text(max_size=9), "retryable": _leaves})


@given(st.one_of(plain, _failures))
@example({"code": "x", "message": "x" * 100_000, "retryable": False})
def test_a_failure_of_a_child_can_be_stored_and_answered(failed: object) -> None:
    try:
        error = result.failure(failed)
    except ProtocolError:
        return
    outcome = unpack_outcome(pack_outcome(Failed(error), job_id="i", kind="k", queue="q"))
    assert isinstance(outcome, Failed)
    assert outcome.error.to_wire() == error.to_wire()
    assert len(error.message) <= result.MAX_FAILURE


_output = st.fixed_dictionaries({}, optional={"text": _leaves, "number": _leaves, "parts": plain, "other": plain})
_file = st.fixed_dictionaries(
    {"path": _leaves, "name": st.text(max_size=9), "mime_type": st.just("a/b"), "sha256": _leaves}
)
_results = st.fixed_dictionaries(
    {"output": _output, "warnings": st.lists(st.text(max_size=9), max_size=3), "artifacts": st.lists(_file, max_size=2)}
)


@given(st.one_of(plain, _results))
@example({"output": {"parts": [{"a": 2**64 - 1}]}, "warnings": ["x" * 9999] * 200, "artifacts": []})
@example({"output": {"number": math.nan}, "warnings": [], "artifacts": []})
def test_a_result_of_a_child_fits_its_kind_or_is_refused(done: object) -> None:
    try:
        found = result.validated(KIND, done)
    except JobError as error:
        check_refusal(error, most=500)
        return
    Parts.model_validate(found.output)
    assert len(found.warnings) <= MAX_WARNINGS
    assert all(len(warning) <= MAX_WARNING_LENGTH for warning in found.warnings)
    pack_outcome(Done(found.output, (), tuple(found.warnings)), job_id="i", kind="k", queue="q")


@given(packed)
@example(serialize_job("parts", (), {"parts": [{"a": 1}]}, None, 0, serializer=pack))
@example(serialize_job("parts", (1,), {}, None, 0, serializer=pack))
def test_a_payload_is_an_input_or_is_bad_input(payload: bytes) -> None:
    for read in (kind_of, lambda data: input_of(data, KIND)):
        try:
            found = read(payload)
        except JobError as error:
            check_refusal(error, reason="bad_input")
        else:
            assert isinstance(found, (str, Parts))


@given(plain)
def test_plain_data_is_decoded_as_it_was_encoded(value: object) -> None:
    assert repr(unpack(pack(value))) == repr(value)


_outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Done, st.dictionaries(st.text(max_size=4), plain, max_size=3), st.just(()),
    st.lists(st.text(max_size=4)).map(tuple)),
    st.builds(lambda text, code, again: Failed(JobError(text, code=code, retryable=again)), st.text(),
    st.text(min_size=1), st.booleans()),
    st.just(Cancelled()),
)  # fmt: skip


@given(_outcomes)
def test_an_outcome_is_decoded_as_it_was_encoded(outcome: Outcome) -> None:
    found = unpack_outcome(pack_outcome(outcome, job_id="i", kind="k", queue="q"))
    if isinstance(outcome, Failed):
        assert isinstance(found, Failed)
        assert found.error.to_wire() == outcome.error.to_wire()
    else:
        assert repr(found) == repr(outcome)


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_written_to_the_millisecond(ms: int) -> None:
    text = timestamp(ms)
    assert len(text) == len("2026-11-30T12:00:00.000Z")
    assert text.endswith(f".{ms % 1000:03}Z")
