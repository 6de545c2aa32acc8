"""Webhooks in the store: a delivery is written with its job, due with the job's end, and belongs to its principal."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from arq.connections import ArqRedis

from offloop import Model, declare
from offloop.errors import BadInput, Busy, Conflict, JobError, NotFound
from offloop.queue.client import new_id
from offloop.queue.record import Cancelled, Done, Failed
from offloop.queue.subscription import WebhookSubscription, webhook_policy
from offloop.redis import codec, schema, scripts
from offloop.settings import load
from offloop.webhooks.deliveries import Delivery, DeliveryState, Webhooks
from offloop.webhooks.signature import new_secret
from support.caller import ALICE, Caller
from support.steps import KEEP_MS, Steps

pytestmark = pytest.mark.anyio
URL = "https://example.org/hook?token=hidden"
OTHER = "https://example.org/other"
ANY = webhook_policy(load({}))


class Text(Model):
    """An input."""

    text: str = ""


kind = declare("count_words", Text, Text, description="d", retries=2)
pure = declare("pure_words", Text, Text, description="d", pure=True)


@pytest.fixture
def webhooks(redis: ArqRedis) -> Webhooks:
    """The front end's side of deliveries."""
    return Webhooks(redis)


async def listed(webhooks: Webhooks, job_id: str) -> list[tuple[str, str]]:
    """State and URL of each delivery of a job, the oldest first."""
    page = await webhooks.deliveries(principal=ALICE, job_id=job_id)
    return sorted((each.state.value, each.url) for each in page.deliveries)


async def due(redis: ArqRedis) -> list[dict[str, Any]]:
    """Deliveries that a dispatcher would send now."""
    rows, _, _ = await scripts.load(redis, scripts.CLAIM_DELIVERIES)(args=[5000, 99, 99, 99, codec.pack({}), 60_000])
    found = [codec.unpack_row(row, binary=("event", "snapshot")) for row in rows]
    return [{"id": row["delivery_id"], "job": row["job_id"], "ended": row["ended"]} for row in found]


async def test_a_delivery_waits_with_its_job_and_is_due_with_its_end(
    redis: ArqRedis, caller: Caller, worker: Steps, webhooks: Webhooks
) -> None:
    subscription = WebhookSubscription.to(URL, ANY)
    job_id = await caller.submit(kind, Text(), subscription=subscription)
    [waiting] = (await webhooks.deliveries(principal=ALICE)).deliveries
    assert (waiting.delivery_id, waiting.job_id, waiting.kind) == (subscription.delivery_id, job_id, "count_words")
    assert (waiting.state, waiting.attempts, waiting.next_attempt) == (DeliveryState.WAITING, 0, None)
    assert waiting.url == "https://example.org/hook?…", "a query may hold a secret"
    assert await due(redis) == []
    await worker.finish(await worker.claim_one(job_id))
    assert [delivery["job"] for delivery in await due(redis)] == [job_id]
    assert await due(redis) == [], "a second dispatcher finds it leased"


async def test_a_job_without_a_subscription_leaves_no_trace_of_webhooks(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    job_id = await caller.submit(kind, Text())
    await worker.finish(await worker.claim_one(job_id))
    keys = [key.decode() async for key in redis.scan_iter()]
    ours = (
        schema.DELIVERY,
        schema.DELIVERIES_OF_JOB,
        schema.DESTINATION,
        schema.DESTINATIONS,
        schema.DISPATCHERS,
        schema.SECRETS,
        schema.deliveries_key(""),
    )
    assert [key for key in keys if key.startswith(ours)] == []


class Scene(NamedTuple):
    """The parties that may end a job."""

    caller: Caller
    worker: Steps


async def _finished(scene: Scene, job_id: str) -> str:
    await scene.worker.finish(await scene.worker.claim_one(job_id), Done({}))
    return "completed"


async def _failed(scene: Scene, job_id: str) -> str:
    await scene.worker.finish(await scene.worker.claim_one(job_id), Failed(JobError("no")))
    return "failed"


async def _cancelled_in_its_line(scene: Scene, job_id: str) -> str:
    await scene.caller.queue.cancel(job_id, principal=ALICE)
    return "cancelled"


async def _cancelled_while_it_ran(scene: Scene, job_id: str) -> str:
    taken = await scene.worker.claim_one(job_id)
    await scene.caller.queue.cancel(job_id, principal=ALICE)
    await scene.worker.finish(taken, Cancelled())
    return "cancelled"


async def _left(scene: Scene, job_id: str) -> str:
    assert await scene.caller.queue.abandon(job_id, job_id)
    return "cancelled"


async def _dropped_at_its_claim(scene: Scene, job_id: str) -> str:
    await scene.worker._redis.hset(schema.RECORD + job_id, "deadline", "1")  # type: ignore[misc]
    assert await scene.worker.claim() == []
    return "cancelled"


async def _expired_in_its_line(scene: Scene, job_id: str) -> str:
    await scene.worker._redis.delete(schema.RECORD + job_id, schema.PAYLOAD + job_id)
    assert await scene.worker.claim() == []
    return "failed"


async def _swept_away(scene: Scene, job_id: str) -> str:
    line = f"{schema.SUBQUEUE}default:interactive:{ALICE}"
    await scene.worker._redis.delete(schema.RECORD + job_id, schema.PAYLOAD + job_id, line, schema.DEPTH + "default")
    await scene.worker._redis.delete(f"{schema.ROTATION}default:interactive")
    await scene.worker.sweep()
    return "failed"


@pytest.mark.parametrize(
    "end",
    [
        _finished,
        _failed,
        _cancelled_in_its_line,
        _cancelled_while_it_ran,
        _left,
        _dropped_at_its_claim,
        _expired_in_its_line,
        _swept_away,
    ],
    ids=lambda end: end.__name__.strip("_"),
)
async def test_however_a_job_ends_its_delivery_is_due(redis: ArqRedis, caller: Caller, worker: Steps, end: Any) -> None:
    subscription = WebhookSubscription.to(URL, ANY)
    job_id = await caller.submit(kind, Text(), subscription=subscription)
    state = await end(Scene(caller, worker), job_id)
    assert await due(redis) == [{"id": subscription.delivery_id, "job": job_id, "ended": state}]


async def test_a_requeued_job_has_no_delivery_due(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    """Neither by a worker that drains, nor by one that is lost."""
    job_id = await caller.submit(kind, Text(), subscription=WebhookSubscription.to(URL, ANY))
    await worker.release(await worker.claim_one(job_id), counted=True)
    assert await due(redis) == []
    await worker.claim_one(job_id)
    await worker.lose(job_id)
    assert await due(redis) == []


async def test_a_submit_that_is_sent_twice_has_one_delivery(
    redis: ArqRedis, caller: Caller, worker: Steps, webhooks: Webhooks
) -> None:
    subscription = WebhookSubscription.to(URL, ANY)
    for _ in range(2):
        await caller.submit(kind, Text(), job_id="same", subscription=subscription)
    await worker.finish(await worker.claim_one("same"))
    await caller.submit(kind, Text(), job_id="same", subscription=subscription)
    assert len(await due(redis)) == 1
    assert len((await webhooks.deliveries(principal=ALICE)).deliveries) == 1


async def test_requests_that_share_a_job_have_a_delivery_each(
    redis: ArqRedis, caller: Caller, worker: Steps, webhooks: Webhooks
) -> None:
    """A URL that is named twice has one delivery: one job has one end."""
    ids = [
        await caller.submit(pure, Text(), subscription=WebhookSubscription.to(url, ANY)) for url in (URL, OTHER, URL)
    ]
    assert len(set(ids)) == 1
    await caller.submit(pure, Text())
    assert await listed(webhooks, ids[0]) == [("waiting", "https://example.org/hook?…"), ("waiting", OTHER)]
    await worker.finish(await worker.claim_one(ids[0]))
    assert len(await due(redis)) == 2


async def test_a_request_that_joins_an_ended_job_has_its_delivery_due_immediately(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    job_id = await caller.submit(pure, Text(), subscription=WebhookSubscription.to(URL, ANY))
    await worker.finish(await worker.claim_one(job_id))
    assert len(await due(redis)) == 1
    assert await caller.submit(pure, Text(), subscription=WebhookSubscription.to(URL, ANY)) == job_id
    assert [delivery["job"] for delivery in await due(redis)] == [job_id], "a new request of its own"


async def test_a_request_repeated_under_its_key_has_no_second_delivery(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    job_id = await caller.submit(kind, Text(), key="k", subscription=WebhookSubscription.to(URL, ANY))
    await worker.finish(await worker.claim_one(job_id))
    assert len(await due(redis)) == 1
    for url, more in ((URL, 0), (OTHER, 1)):
        assert await caller.submit(kind, Text(), key="k", subscription=WebhookSubscription.to(url, ANY)) == job_id
        assert len(await due(redis)) == more


async def test_a_job_with_a_subscription_is_never_dropped_as_abandoned(redis: ArqRedis, caller: Caller) -> None:
    reached = await caller.submit(kind, Text(), subscription=WebhookSubscription.to(URL, ANY), wait_seconds=1)
    assert not await redis.hexists(schema.RECORD + reached, "deadline")  # type: ignore[misc]
    unreached = await caller.submit(kind, Text(), wait_seconds=1)
    assert await redis.hexists(schema.RECORD + unreached, "deadline")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/hook", "must begin with https"),
        ("ftp://example.org/hook", "https"),
        ("example.org/hook", "https"),
        ("https://user:secret@example.org/", "user name or password"),
        ("https://127.0.0.1/hook", "not public"),
        ("https://[::1]/hook", "not public"),
        ("https://169.254.169.254/latest", "not public"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        ("https://2130706433/", "unusual form"),
        ("https://example.org:22/", "port 22"),
        ("https://example.org/\x1b[2J", "control character"),
        ("https://example.org/" + "a" * 2048, "2048 are allowed"),
        ("", "https"),
    ],
)
def test_a_url_that_the_policy_refuses_is_an_error_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        WebhookSubscription.to(url, ANY)
    assert "othing was queued" in refused.value.message
    assert "secret@" not in refused.value.message


def test_the_operator_allows_hosts_and_plain_http() -> None:
    policy = webhook_policy(
        load({}).replaced(webhook_hosts=("*.example.org", "10.1.2.3"), fetch_networks=("10.0.0.0/8",))
    )
    for url in ("https://a.example.org/", "http://a.example.org/", "http://10.1.2.3:8080/x"):
        assert WebhookSubscription.to(url, policy).url == url
    for url in ("https://example.com/", "https://10.1.2.4/"):
        with pytest.raises(BadInput, match="OFFLOOP_WEBHOOK_HOSTS"):
            WebhookSubscription.to(url, policy)
    with pytest.raises(BadInput, match="OFFLOOP_WEBHOOK_HOSTS allows none"):
        WebhookSubscription.to(URL, webhook_policy(load({}).replaced(webhook_hosts=())))


async def test_too_many_urls_of_one_job_are_refused_and_do_not_count_as_sharing_it(caller: Caller) -> None:
    job_id = ""
    for number in range(schema.MAX_URLS):
        job_id = await caller.submit(pure, Text(), subscription=WebhookSubscription.to(f"{OTHER}/{number}", ANY))
    with pytest.raises(BadInput, match="20 URLs are notified"):
        await caller.submit(pure, Text(), subscription=WebhookSubscription.to(URL, ANY))
    assert await caller.submit(pure, Text(), subscription=WebhookSubscription.to(f"{OTHER}/0", ANY)) == job_id
    assert (await caller.queue.cancel(job_id, principal=ALICE))[1] == schema.MAX_URLS


async def test_a_host_for_which_too_much_waits_is_busy(redis: ArqRedis, caller: Caller) -> None:
    """Only for the principal whose deliveries wait there; nothing is queued."""
    subscription = WebhookSubscription.to(URL, ANY)
    route = schema.DESTINATION + f"example.org|{ALICE}"
    await redis.zadd(route, {str(number): 9e12 for number in range(schema.MAX_WAITING_DELIVERIES)})
    await redis.expire(route, 60)
    with pytest.raises(Busy, match=r"10000 deliveries of yours wait for example\.org"):
        await caller.submit(kind, Text(), job_id="refused", subscription=subscription)
    assert not await redis.exists(schema.RECORD + "refused")
    await caller.submit(kind, Text(), subscription=subscription, principal="bob")


async def test_a_delivery_of_another_principal_is_one_that_never_was(
    caller: Caller, worker: Steps, webhooks: Webhooks
) -> None:
    job_id = await caller.submit(kind, Text(), subscription=WebhookSubscription.to(URL, ANY))
    await worker.finish(await worker.claim_one(job_id))
    [delivery] = (await webhooks.deliveries(principal=ALICE)).deliveries
    assert (await webhooks.deliveries(principal="bob")).deliveries == []
    assert (await webhooks.deliveries(principal="bob", job_id=job_id)).deliveries == []
    foreign, unknown = [], "msg_" + "A" * 22
    for delivery_id in (delivery.delivery_id, unknown):
        with pytest.raises(NotFound) as missing:
            await webhooks.replay(delivery_id, principal="bob")
        foreign.append(missing.value.message.replace(delivery_id, "?"))
    assert foreign[0] == foreign[1]
    assert (await webhooks.replay(delivery.delivery_id, principal=ALICE)).state is DeliveryState.PENDING


async def test_a_delivery_whose_job_goes_on_cannot_be_replayed(caller: Caller, webhooks: Webhooks) -> None:
    subscription = WebhookSubscription.to(URL, ANY)
    job_id = await caller.submit(kind, Text(), subscription=subscription)
    with pytest.raises(Conflict, match=f"waits for job {job_id} to end"):
        await webhooks.replay(subscription.delivery_id, principal=ALICE)


async def test_a_delivery_in_flight_is_not_sent_twice(
    redis: ArqRedis, caller: Caller, worker: Steps, webhooks: Webhooks
) -> None:
    subscription = WebhookSubscription.to(URL, ANY)
    await worker.finish(await worker.claim_one(await caller.submit(kind, Text(), subscription=subscription)))
    assert len(await due(redis)) == 1
    await webhooks.replay(subscription.delivery_id, principal=ALICE)
    assert await due(redis) == []


async def test_deliveries_are_listed_newest_first_in_pages_and_filtered(
    redis: ArqRedis, caller: Caller, worker: Steps, webhooks: Webhooks
) -> None:
    made, now = [], await worker.now()
    for number in range(5):
        subscription = WebhookSubscription.to(f"{OTHER}/{number}", ANY)
        await caller.submit(kind, Text(), subscription=subscription, job_id=f"job{number}")
        await redis.zadd(
            schema.deliveries_key(ALICE), {subscription.delivery_id: now + number}
        )  # in order, however quick
        made.append(subscription.delivery_id)
    await worker.finish(await worker.claim_one("job0"))
    seen: list[Delivery] = []
    cursor = None
    while True:
        page = await webhooks.deliveries(principal=ALICE, limit=2, cursor=cursor)
        seen += page.deliveries
        if (cursor := page.cursor) is None:
            break
    assert [delivery.delivery_id for delivery in seen] == made[::-1]
    pending = await webhooks.deliveries(principal=ALICE, state=DeliveryState.PENDING)
    assert [delivery.job_id for delivery in pending.deliveries] == ["job0"]
    with pytest.raises(BadInput, match="list_deliveries gave"):
        await webhooks.deliveries(principal=ALICE, cursor="nonsense")


async def test_a_delivery_that_has_expired_is_listed_no_more(
    redis: ArqRedis, caller: Caller, webhooks: Webhooks
) -> None:
    for subscription in (subscriptions := [WebhookSubscription.to(URL, ANY), WebhookSubscription.to(URL, ANY)]):
        await caller.submit(kind, Text(), subscription=subscription, job_id=new_id())
    await redis.delete(schema.DELIVERY + subscriptions[0].delivery_id)
    found = (await webhooks.deliveries(principal=ALICE)).deliveries
    assert [delivery.delivery_id for delivery in found] == [subscriptions[1].delivery_id]


async def test_a_rotation_says_until_when_the_earlier_secrets_sign(worker: Steps, webhooks: Webhooks) -> None:
    assert (await webhooks.rotate(principal=ALICE)).until is None
    for more, overlap in (({}, 86_400), ({"overlap_seconds": 90_000}, 90_000)):
        before = await worker.now()
        until = (await webhooks.rotate(principal=ALICE, **more)).until
        assert until is not None
        assert 0 <= until - before - overlap * 1000 < 60_000
    assert (await webhooks.rotate(principal=ALICE, overlap_seconds=0)).until is None


FIELDS = {"job": "j", "kind": "k", "url": "https://example.org/hook", "attempts": "3", "created": "5", "next": "9"}


@pytest.mark.parametrize(
    ("more", "status", "error", "following"),
    [
        ({"state": "waiting"}, None, "", None),
        ({"state": "pending"}, None, "", 9),
        ({"state": "pending", "status": "503", "error": "status 503"}, 503, "status 503", 9),
        ({"state": "pending", "status": "0", "error": "timeout"}, None, "timeout", 9),
        ({"state": "delivered", "status": "204"}, 204, "", None),
        ({"state": "failed", "error": "no such host"}, None, "no such host", None),
        ({"state": "disabled", "status": "410", "error": "gone"}, 410, "gone", None),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_a_delivery_is_read_from_its_hash(
    more: dict[str, str], status: int | None, error: str, following: int | None
) -> None:
    """Only one that is to be sent has a time for it."""
    assert Delivery.from_redis("msg_1", FIELDS | more) == Delivery(
        delivery_id="msg_1",
        job_id="j",
        kind="k",
        url="https://example.org/hook",
        state=DeliveryState(more["state"]),
        attempts=3,
        status=status,
        error=error,
        created=5,
        next_attempt=following,
    )


async def test_every_rotation_gives_another_secret_and_five_sign_at_most(redis: ArqRedis, webhooks: Webhooks) -> None:
    secrets = [(await webhooks.rotate(principal=ALICE)).secret for _ in range(7)]
    assert len(set(secrets)) == 7
    signers = scripts.load(redis, scripts.SIGNING_SECRETS)
    kept = [secret.decode() for secret in await signers(args=[ALICE, new_secret(), KEEP_MS])]
    assert (kept[0], len(kept)) == (secrets[-1], 5)
    [bobs] = await signers(args=["bob", new_secret(), KEEP_MS])
    assert bobs.decode() not in secrets


async def test_a_delivery_that_is_due_wakes_one_dispatcher_that_waits(
    redis: ArqRedis, caller: Caller, worker: Steps
) -> None:
    """The one that was woken is not woken again before it has claimed; one that is gone is passed over."""
    claim = scripts.load(redis, scripts.CLAIM_DELIVERIES)
    args: list[str | bytes | float] = [5000, 99, 99, 99, codec.pack({}), 60_000]
    await claim(args=[*args, "gone"])
    await claim(args=[*args, worker.owner])
    async with worker.listening() as orders:
        for _ in range(2):
            job_id = await caller.submit(kind, Text(), subscription=WebhookSubscription.to(URL, ANY))
            await worker.finish(await worker.claim_one(job_id))
        assert await orders.next() == ("deliver", None)
        await orders.none()
        await claim(args=[*args, worker.owner])
        job_id = await caller.submit(kind, Text(), subscription=WebhookSubscription.to(URL, ANY))
        await worker.finish(await worker.claim_one(job_id))
        assert await orders.next() == ("deliver", None)


async def test_a_dispatcher_without_room_is_not_woken(redis: ArqRedis, caller: Caller, worker: Steps) -> None:
    claim = scripts.load(redis, scripts.CLAIM_DELIVERIES)
    job_id = await caller.submit(kind, Text(), subscription=WebhookSubscription.to(URL, ANY))
    await worker.finish(await worker.claim_one(job_id))
    rows, _, _ = await claim(args=[5000, 1, 99, 99, codec.pack({}), 60_000, worker.owner])
    assert len(rows) == 1
    assert await redis.scard(schema.DISPATCHERS) == 0  # type: ignore[misc]
