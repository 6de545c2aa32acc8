"""Values on their way to a Lua script and back, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offloop.redis import codec
from offloop.redis.connection import connect
from support.fuzzing import costly


class Server:
    """A connection with a loop of its own, for examples without one."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._redis = self._runner.run(self._connected(url))

    async def _connected(self, url: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return connect(url)

    def run(self, script: str, *arguments: bytes) -> bytes:
        """The answer of a script."""
        answer: bytes = self._runner.run(self._redis.execute_command("EVAL", script, 0, *arguments))
        return answer

    def close(self) -> None:
        self._runner.run(self._redis.aclose(close_connection_pool=True))
        self._runner.close()


@pytest.fixture(scope="module")
def server(valkey: str) -> Iterator[Server]:
    """The server of this process."""
    made = Server(valkey)
    yield made
    made.close()


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
def test_a_row_comes_back_as_it_was_sent(server: Server, row: dict[str, object]) -> None:
    answer = server.run("return cmsgpack.pack(cmsgpack.unpack(ARGV[1]))", codec.pack_for_lua(row))
    assert codec.unpack_row(answer, binary=("payload", "references")) == row


@costly(0.5)
@given(_texts, st.one_of(st.none(), st.binary(max_size=30)), st.lists(st.binary(max_size=9), max_size=4))
def test_a_push_comes_back_as_it_was_sent(
    server: Server, job_id: str, outcome: bytes | None, fields: list[bytes]
) -> None:
    sent = codec.pack_for_lua({"id": job_id, "fields": fields, "outcome": outcome})
    script = "local v = cmsgpack.unpack(ARGV[1]); return cmsgpack.pack({v.id, {v.fields, v.outcome}})"
    found, (values, result) = codec.unpack_push(server.run(script, sent)), (None, None)
    job, (values, *rest) = found
    result = rest[0] if rest else None
    assert (job, list(values), result) == (job_id, fields, outcome)
