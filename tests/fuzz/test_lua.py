"""Values on their way to a Lua script and back, through a real server."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from offloop.redis import codec
from support.fuzzing import Looped, costly


def answer(looped: Looped, script: str, *arguments: bytes) -> bytes:
    """The answer of a script."""

    async def run() -> bytes:
        found: bytes = await looped.redis.execute_command("EVAL", script, 0, *arguments)  # type: ignore[no-untyped-call]
        return found

    return looped.run(run())


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_rows = st.fixed_dictionaries(
    {"job_id": _texts, "kind": _texts, "attempt": st.integers(-(2**53), 2**53), "payload": st.binary(max_size=40)},
    optional={
        "references": st.lists(st.binary(max_size=9), min_size=1, max_size=3),
        "finished": st.integers(0, 10**13),
    },
)


@costly(0.5)
@given(_rows)
@example({"job_id": "\0", "kind": "", "attempt": 10**13, "payload": b"\xff\x00\xed\xa0\x80"})
def test_a_row_comes_back_as_it_was_sent(looped: Looped, row: dict[str, object]) -> None:
    packed = answer(looped, "return cmsgpack.pack(cmsgpack.unpack(ARGV[1]))", codec.pack_for_lua(row))
    assert codec.unpack_row(packed, binary=("payload", "references")) == row


@costly(0.5)
@given(_texts, st.one_of(st.none(), st.binary(max_size=30)), st.lists(st.binary(max_size=9), max_size=4))
def test_a_push_comes_back_as_it_was_sent(
    looped: Looped, job_id: str, outcome: bytes | None, fields: list[bytes]
) -> None:
    sent = codec.pack_for_lua({"id": job_id, "fields": fields, "outcome": outcome})
    script = "local v = cmsgpack.unpack(ARGV[1]); return cmsgpack.pack({v.id, {v.fields, v.outcome}})"
    job, (values, *rest) = codec.unpack_push(answer(looped, script, sent))
    assert (job, list(values), rest) == (job_id, fields, [] if outcome is None else [outcome])
