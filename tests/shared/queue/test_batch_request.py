"""Batches as the script gets them: the record, the outcomes it may end with, and its items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from offloop import FileReference, Model, declare
from offloop.errors import BadInput, Busy
from offloop.kinds.kind import Kind
from offloop.queue.batches import KIND, MAX_ITEMS, Batches
from offloop.queue.client import Bounds
from offloop.queue.record import Cancelled, Done, Failed, unpack_outcome
from offloop.queue.request import Request
from offloop.queue.subscription import WebhookSubscription, webhook_policy
from offloop.redis import codec, schema, scripts
from offloop.redis.schema import SNAPSHOT_FIELDS
from offloop.settings import load

pytestmark = pytest.mark.anyio


class Text(Model):
    """An input."""

    text: str = ""
    files: tuple[FileReference, ...] = ()


kind = declare("count_words", Text, Text, description="d", queue="words", retries=2)
pure = declare("read_words", Text, Text, description="d", pure=True)
BOUNDS: Final = Bounds(retention_seconds=60, max_queued=10, max_queued_per_principal=7)
SNAPSHOT: Final = [[{"state": b"running"}.get(name) for name in SNAPSHOT_FIELDS], None]


class Script:
    """Keeps what it was called with.

    Attributes:
        batch: the record of the batch.
        items: its items.
    """

    def __init__(self) -> None:
        self.answer: list[Any] = [b"new", b"batch", SNAPSHOT]
        self.batch: dict[str, Any] = {}
        self.items: dict[str, Any] = {}
        self.waiter = self.job_id = ""

    async def __call__(self, *, args: list[Any]) -> list[Any]:
        self.job_id, self.waiter, batch, items = args
        self.batch = codec.unpack_row(batch, binary=())
        whole = self.batch["whole"]
        self.batch["whole"] = {name: value if name == "retention" else unpacked(value) for name, value in whole.items()}
        self.items = codec.unpack_row(items, binary=())
        return self.answer


def unpacked(value: str) -> dict[str, Any]:
    """An outcome, and the names in its envelope."""
    packed = value.encode("utf-8", "surrogateescape")
    envelope = codec.unpack(packed)
    outcome = unpack_outcome(packed)
    found: dict[str, Any] = {name: envelope[name] for name in ("id", "f", "q", "t")}
    match outcome:
        case Done(output):
            return {**found, "output": output}
        case Failed(error):
            return {**found, "error": error.to_wire()}
        case Cancelled():
            return {**found, "cancelled": True}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Instead of the one in Redis."""
    recorded = Script()
    with monkeypatch.context() as patch:
        patch.setattr(scripts, "load", lambda _redis, script: recorded if script is scripts.SUBMIT_BATCH else None)
        yield recorded


async def submit(
    *values: Model, of: Kind[Any, Any] = kind, bounds: Bounds = BOUNDS, job_id: str = "batch", **options: Any
) -> Any:
    """Submit a batch of alice's."""
    batches = Batches(None, bounds, front_end="front")  # type: ignore[arg-type]
    return await batches.submit(of, values, principal="alice", job_id=job_id, **options)


ENVELOPE: Final = {"id": "batch", "f": KIND, "q": "words", "t": 1}


def failed(message: str, code: str) -> dict[str, Any]:
    return {**ENVELOPE, "error": {"code": code, "message": message, "retryable": False}}


async def test_a_batch_is_a_record_with_the_outcomes_it_may_end_with(script: Script) -> None:
    submission = await submit(Text(text="a"), Text(text="b"))
    assert (submission.joined, submission.record.job_id) == (False, "batch")
    assert (script.job_id, script.waiter) == ("batch", "")
    assert script.batch.pop("fingerprint")
    assert script.batch == {
        "principal": "alice",
        "kind": KIND,
        "queue": "words",
        "level": "batch",
        "key": "",
        "index": schema.index_key("alice"),
        "fresh": 0,
        "max_queued": 10,
        "max_queued_per_principal": 7,
        "keep": BOUNDS.pending_ms,
        "allowed": 1,
        "stop": "",
        "whole": {
            "retention": 60_000,
            "completed": {**ENVELOPE, "output": {"kind": "count_words"}},
            "failed": failed("None of the 2 items of count_words succeeded; each item tells why.", "batch_failed"),
            "stopped": failed("An item failed: stop_on_error ends the others.", "batch_stopped"),
            "cancelled": {**ENVELOPE, "cancelled": True},
        },
    }


async def test_the_options_of_a_batch_are_in_its_record(script: Script) -> None:
    subscription = WebhookSubscription.to("https://example.org/hook", webhook_policy(load({})))
    for key in (None, "k"):
        await submit(Text(), key=key, wait=True, subscription=subscription, stop_on_error=True)
        assert script.waiter == "front"
        assert script.batch["stop"] == "1"
        assert script.batch["key"] == (schema.idempotency_key("alice", "k") if key else "")
        wire = subscription.to_wire("alice", KIND, keyed=bool(key), keep_ms=schema.BATCH_KEPT_MS)
        assert script.batch["notify"] == codec.unpack(codec.pack_for_lua(wire))


async def test_each_item_is_a_job_with_the_terms_of_its_kind(script: Script) -> None:
    """Equal items of a kind that is not pure are run each."""
    values = [Text(text="a"), Text(text="b", files=(FileReference("https://example.org/a"),)), Text(text="a")]
    await submit(*values)
    assert script.items["each"] == {
        "kind": "count_words",
        "allowed": 3,
        "keep": BOUNDS.pending_ms,
        "level": "batch",
    }
    assert script.items["fresh"] == 30_000
    assert script.items["indices"] == [1, 2, 3]
    ids = [job[0] for job in script.items["jobs"]]
    assert len(set(ids)) == 3
    requests = [Request.of(kind, value, "alice", compared=True) for value in values]
    assert [[part.encode("utf-8", "surrogateescape") for part in job[1:]] for job in script.items["jobs"]] == [
        [request.payload, request.key.encode(), request.fingerprint.encode(), request.references]
        for request in requests
    ]


async def test_equal_items_of_a_pure_kind_are_one_job(script: Script) -> None:
    await submit(*(Text(text=text) for text in "abacb"), of=pure)
    assert script.items["indices"] == [1, 2, 1, 3, 2]
    assert len(script.items["jobs"]) == 3
    assert script.items["each"]["allowed"] == 1


async def test_batches_are_equal_by_kind_items_in_order_and_option(script: Script) -> None:
    """A key that names another batch is a conflict."""
    a, b = Text(text="a"), Text(text="b")
    other = declare("other_words", Text, Text, description="d")
    marks: list[str] = []
    for values, of, stop in (
        ((a, b), kind, False),
        ((b, a), kind, False),
        ((a, b), kind, True),
        ((a, b), other, False),
        ((a,), kind, False),
        ((a, b), kind, False),
    ):
        await submit(*values, of=of, stop_on_error=stop, job_id=str(len(marks)))
        marks.append(script.batch["fingerprint"])
    assert len(set(marks)) == 5
    assert marks[0] == marks[-1]


@pytest.mark.parametrize(
    ("queued", "share", "most"), [(10, 7, 7), (6, 7, 6), (10_000, 10_000, MAX_ITEMS)], ids=["share", "queue", "items"]
)
async def test_a_batch_has_one_item_to_as_many_as_may_wait(script: Script, queued: int, share: int, most: int) -> None:
    bounds = Bounds(retention_seconds=60, max_queued=queued, max_queued_per_principal=share)
    for count in (0, most + 1):
        with pytest.raises(BadInput, match=f"a batch has 1 to {most} items, {count} were sent"):
            await submit(*[Text()] * count, bounds=bounds)
    assert not script.batch
    for count in (1, most):
        await submit(*[Text()] * count, bounds=bounds)
        assert len(script.items["indices"]) == count


async def test_a_batch_without_room_says_so_and_when_to_come_back(script: Script) -> None:
    script.answer = [b"busy", 9, 2500, b"queue"]
    with pytest.raises(Busy, match=r"^There is no room for all 2 items\. The queue 'words' is full") as error:
        await submit(Text(), Text())
    assert error.value.retry_after == 3
