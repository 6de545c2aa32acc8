"""Webhook dispatcher: each delivery arrives at least once under one id, and none reaches an address inside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.connections import ArqRedis
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from structlog.testing import capture_logs

from offloop import Model, declare
from offloop.artifacts.links import Links, shared_key
from offloop.artifacts.store import Artifact
from offloop.errors import BadInput, JobError
from offloop.queue.client import new_id
from offloop.queue.record import Cancelled, Done, Failed, Outcome
from offloop.queue.subscription import WebhookSubscription, webhook_policy
from offloop.redis import codec, schema, scripts
from offloop.redis.connection import connect_blocking
from offloop.redis.subscriber import Subscriber
from offloop.settings import load
from offloop.webhooks.deliveries import Delivery, DeliveryState, Webhooks
from offloop_workers.engine.worker import new_owner
from offloop_workers.webhooks import sender
from offloop_workers.webhooks.dispatcher import MAX_PER_DESTINATION, SCHEDULE, WebhookDispatcher
from support.caller import ALICE, Caller
from support.hosts.receiver import LOCAL, NETWORK, Receiver, Reply, receiving
from support.steps import Steps
from support.waiting import eventually

pytestmark = pytest.mark.anyio
SOON = (0.02, 0.02, 0.02)
FOR_EVER = (0.02,) * 1000


class Text(Model):
    """An input."""

    text: str = ""


kind = declare("count_words", Text, Text, description="d")


class Bench:
    """A principal that submits, a worker that ends jobs, and dispatchers."""

    def __init__(self, redis: ArqRedis, caller: Caller, url: str) -> None:
        self.redis = redis
        self.webhooks = Webhooks(redis)
        self.settings = load({}).replaced(redis_url=url, webhook_hosts=(LOCAL, "127.0.0.2"), fetch_networks=(NETWORK,))
        self._caller = caller
        self._worker = Steps(redis)

    async def submit(self, url: str, principal: str = ALICE) -> str:
        """Queue a job with a subscription of the URL."""
        subscription = WebhookSubscription.to(url, webhook_policy(self.settings))
        return await self._caller.submit(
            kind, Text(), subscription=subscription, wait_seconds=0, principal=principal, job_id=new_id()
        )

    async def ended(self, url: str, outcome: Outcome | None = None, principal: str = ALICE) -> str:
        """A job that has ended, with a subscription of the URL."""
        job_id = await self.submit(url, principal)
        assert await self._worker.finish(await self._worker.claim_one(job_id), outcome)
        return job_id

    @asynccontextmanager
    async def dispatching(
        self, schedule: tuple[float, ...] = SOON, seconds: float = 5, *, announced: bool = True, **settings: Any
    ) -> AsyncIterator[WebhookDispatcher]:
        """A dispatcher that sends while the block is open; its worker listens unless nothing is to be announced."""
        owner = new_owner()
        subscriptions = connect_blocking(self.settings.redis_url or "")
        changed = self.settings.replaced(**settings)
        async with WebhookDispatcher(changed, self.redis, owner, schedule=schedule, seconds=seconds) as dispatcher:

            def receive(message: bytes) -> None:
                assert codec.unpack_order(message) == [b"deliver"]
                dispatcher.wake()

            channel = Subscriber(subscriptions, schema.CONTROL_CHANNEL + owner, receive, ready=dispatcher.wake)
            listening = asyncio.create_task(channel.listen()) if announced else None
            try:
                yield dispatcher
            finally:
                if listening:
                    listening.cancel()
                    await asyncio.wait([listening])
        await subscriptions.aclose(close_connection_pool=True)

    async def delivery(self, job_id: str, principal: str = ALICE) -> Delivery:
        """The one delivery of a job."""
        [delivery] = (await self.webhooks.deliveries(principal=principal, job_id=job_id)).deliveries
        return delivery

    async def until(self, job_id: str, *states: str, principal: str = ALICE) -> Delivery:
        """Wait for the delivery of a job to be in one of the states."""

        async def found() -> Delivery | None:
            delivery = await self.delivery(job_id, principal)
            return delivery if delivery.state in states else None

        delivery = await eventually(found, f"the delivery is {' or '.join(states)}")
        assert delivery
        return delivery

    async def secret(self) -> str:
        """A secret that signs, as only Redis knows it."""
        return str((await self.redis.zrevrange(schema.SECRETS + ALICE, 0, 0))[0].decode())


@pytest.fixture
def bench(redis: ArqRedis, caller: Caller, valkey: str) -> Bench:
    """All that a delivery needs but its receiver."""
    return Bench(redis, caller, valkey)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes what is sent to 127.0.0.1."""
    with receiving() as one:
        yield one


OUTCOMES: dict[str, Outcome] = {
    "job.completed": Done({"words": 3}, (), ("a word was dropped",)),
    "job.failed": Failed(JobError("too long: send less", code="too_long", retryable=True)),
    "job.cancelled": Cancelled(),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_the_end_of_a_job_is_sent_signed_and_once(bench: Bench, receiver: Receiver, name: str) -> None:
    """The reference library verifies it with the secret; its content is that of job_status."""
    new = await bench.webhooks.rotate(principal=ALICE)
    async with bench.dispatching():
        job_id = await bench.ended(receiver.url(), OUTCOMES[name])
        delivery = await bench.until(job_id, "delivered")
    [request] = receiver.received
    event = request.verified(new.secret)
    assert (delivery.attempts, delivery.status, delivery.error) == (1, 204, "")
    assert request.delivery_id == delivery.delivery_id
    assert request.headers["content-type"] == "application/json"
    assert event["type"] == name
    data = event["data"]
    assert (data["job_id"], data["kind"], data["state"]) == (job_id, "count_words", name.removeprefix("job."))
    assert (data["attempt"], event["timestamp"]) == (1, data["finished_at"])
    assert data["omitted"] == []
    assert data["output"] == ({"words": 3} if name == "job.completed" else None)
    assert data["warnings"] == (["a word was dropped"] if name == "job.completed" else [])
    failure = {"code": "too_long", "message": "too long: send less", "retryable": True}
    assert data["error"] == (failure if name == "job.failed" else None)


async def test_the_files_of_a_job_are_named_and_linked_where_clients_have_an_address(
    bench: Bench, receiver: Receiver
) -> None:
    artifact = Artifact("0123456789abcdef", "a.txt", "text/plain", 5, "ab" * 32, 4_000_000_000_000, "an/inner/place")
    outcome = Done({}, (artifact.to_wire(),))
    async with bench.dispatching():
        await bench.until(await bench.ended(receiver.url("/bare"), outcome), "delivered")
    async with bench.dispatching(public_url="https://jobs.example.org"):
        await bench.until(await bench.ended(receiver.url("/linked"), outcome), "delivered")
    [bare], [linked] = ([json.loads(each.body) for each in receiver.at(path)] for path in ("/bare", "/linked"))
    assert bare["data"]["artifacts"] == [
        {
            "artifact_id": "0123456789abcdef",
            "name": "a.txt",
            "mime_type": "text/plain",
            "size": 5,
            "sha256": "ab" * 32,
            "expires_at": "2096-10-02T07:06:40.000Z",
        }
    ]
    url = linked["data"]["artifacts"][0]["download_url"]
    links = Links(await shared_key(bench.redis), "https://jobs.example.org")
    assert url.partition("?")[0] == "https://jobs.example.org/files/0123456789abcdef"
    expires, signature = (part.partition("=")[2] for part in url.partition("?")[2].split("&"))
    assert links.holds("GET", artifact.artifact_id, expires, signature)


async def test_an_output_too_large_to_push_is_left_out_and_named(bench: Bench, receiver: Receiver) -> None:
    async with bench.dispatching():
        job_id = await bench.ended(receiver.url(), Done({"text": "é" * 200_000}))
        await bench.until(job_id, "delivered")
    [request] = receiver.received
    assert len(request.body) < 20_000
    data = json.loads(request.body)["data"]
    assert (data["output"], data["omitted"], data["job_id"]) == (None, ["output"], job_id)


async def test_a_delivery_to_a_failing_receiver_is_retried_under_the_same_id(bench: Bench, receiver: Receiver) -> None:
    receiver.plan(Reply(500), Reply(503), Reply(404), Reply(200, body=b"thanks"))
    async with bench.dispatching():
        delivery = await bench.until(await bench.ended(receiver.url()), "delivered")
    assert (delivery.attempts, delivery.status) == (4, 200)
    assert {request.delivery_id for request in receiver.received} == {delivery.delivery_id}
    assert len({request.body for request in receiver.received}) == 1, "a retry says the same"
    for request in receiver.received:
        request.verified(await bench.secret())


async def test_a_receiver_that_was_down_for_a_while_gets_its_delivery_when_it_is_back(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.stop()
    async with bench.dispatching(FOR_EVER):
        job_id = await bench.ended(receiver.url())

        async def tried() -> bool:
            return (await bench.delivery(job_id)).attempts >= 3

        await eventually(tried, "it is tried again")
        assert "no connection" in (await bench.delivery(job_id)).error
        receiver.start()
        delivery = await bench.until(job_id, "delivered")
    assert [request.delivery_id for request in receiver.received] == [delivery.delivery_id]


async def test_a_receiver_that_does_not_answer_in_time_gets_the_delivery_again(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.plan(Reply(hangs=True), Reply())
    async with bench.dispatching(seconds=0.2):
        delivery = await bench.until(await bench.ended(receiver.url()), "delivered")
    assert delivery.attempts == 2
    assert len({request.delivery_id for request in receiver.received}) == 1


async def test_a_delivery_with_a_notification_does_not_wait_for_the_next_poll(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first attempt nor a retry."""
    monkeypatch.setattr("offloop_workers.webhooks.dispatcher.POLL_SECONDS", 60)
    receiver.plan(Reply(500), Reply())
    async with bench.dispatching():
        await bench.until(await bench.ended(receiver.url()), "delivered")
        await bench.until(await bench.ended(receiver.url()), "delivered")


@pytest.mark.slow
async def test_a_delivery_without_a_notification_is_found_by_the_next_poll(bench: Bench, receiver: Receiver) -> None:
    async with bench.dispatching(announced=False):
        assert (await bench.until(await bench.ended(receiver.url()), "delivered")).attempts == 1


async def test_a_slow_host_holds_up_no_other(bench: Bench, receiver: Receiver) -> None:
    """A few of its deliveries are in flight, the rest waits for them; deliveries to other hosts are sent meanwhile."""
    receiver.plan(Reply(hangs=True))
    async with bench.dispatching():
        slow = [await bench.ended(receiver.url()) for _ in range(MAX_PER_DESTINATION + 3)]
        with receiving("127.0.0.2") as quick:
            for _ in range(3):
                await bench.until(await bench.ended(quick.url()), "delivered")
        assert len(receiver.received) == receiver.max_concurrent == MAX_PER_DESTINATION
        receiver.release()
        for job_id in slow:
            assert (await bench.until(job_id, "delivered")).attempts == 1


async def test_principals_do_not_hold_up_each_other_at_one_host(bench: Bench, receiver: Receiver) -> None:
    receiver.plan(Reply(hangs=True), path="/slow")
    async with bench.dispatching():
        for _ in range(MAX_PER_DESTINATION + 1):
            await bench.ended(receiver.url("/slow"))
        await bench.until(await bench.ended(receiver.url("/quick"), principal="bob"), "delivered", principal="bob")
        receiver.release()


async def test_after_the_last_retry_a_delivery_has_failed_and_can_be_replayed(bench: Bench, receiver: Receiver) -> None:
    """The replay is the same delivery, so a receiver that had it after all knows it by its id."""
    receiver.plan(Reply(500))
    async with bench.dispatching():
        job_id = await bench.ended(receiver.url())
        failed = await bench.until(job_id, "failed")
        assert (failed.attempts, failed.status, failed.next_attempt) == (len(SOON) + 1, 500, None)
        assert failed.error == "HTTP 500"
        assert await bench.redis.pttl(schema.DELIVERY + failed.delivery_id) > 86_400_000
        receiver.plan(Reply(500), Reply())
        await bench.redis.delete(schema.RECORD + job_id, schema.RESULT + job_id)
        await bench.webhooks.replay(failed.delivery_id, principal=ALICE)
        assert (await bench.until(job_id, "delivered")).attempts == len(SOON) + 3
    assert len({(request.delivery_id, request.body) for request in receiver.received}) == 1


async def test_a_url_that_answers_gone_gets_nothing_more_until_a_delivery_is_replayed(
    bench: Bench, receiver: Receiver
) -> None:
    """Pending deliveries are set aside, new ones are refused; other URLs and other principals go on."""
    receiver.plan(Reply(410))
    async with bench.dispatching():
        on_its_way = await bench.submit(receiver.url())
        worker = Steps(bench.redis)
        taken = await worker.claim_one(on_its_way)
        first = await bench.until(await bench.ended(receiver.url()), "disabled")
        assert (first.attempts, first.status) == (1, 410)
        await worker.finish(taken)
        aside = await bench.until(on_its_way, "disabled")
        assert (aside.attempts, len(receiver.received)) == (0, 1)
        with pytest.raises(BadInput, match="410 Gone"):
            await bench.submit(receiver.url())
        receiver.plan(Reply())
        await bench.until(await bench.ended(receiver.url("/other")), "delivered")
        await bench.until(await bench.ended(receiver.url(), principal="bob"), "delivered", principal="bob")
        await bench.webhooks.replay(aside.delivery_id, principal=ALICE)
        await bench.until(on_its_way, "delivered")
        await bench.until(await bench.ended(receiver.url()), "delivered")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_never_followed(bench: Bench, receiver: Receiver, status: int) -> None:
    receiver.plan(Reply(status, {"Location": receiver.url("/elsewhere")}))
    async with bench.dispatching(()):
        delivery = await bench.until(await bench.ended(receiver.url()), "failed")
    assert delivery.error == f"HTTP {status}: redirects are not followed"
    assert [request.path for request in receiver.received] == ["/hook"]


@pytest.mark.parametrize("url", ["https://localhost/hook", "https://localhost:80/hook"])
async def test_a_name_that_leads_inside_is_refused_when_it_is_sent_to(bench: Bench, url: str) -> None:
    """At the submit it is a name like any other; where it leads is seen once, when it is dialled."""
    bench.settings = load({}).replaced(redis_url=bench.settings.redis_url)
    async with bench.dispatching(FOR_EVER):
        delivery = await bench.until(await bench.ended(url), "failed")
    assert "not public" in delivery.error
    assert "127.0.0.1" not in delivery.error
    assert "::1" not in delivery.error
    assert delivery.attempts == 1, "it is not tried again, so nothing can be probed"


async def test_a_url_allowed_at_the_submit_is_checked_again_when_it_is_sent(bench: Bench, receiver: Receiver) -> None:
    job_id = await bench.ended(receiver.url())
    async with bench.dispatching(webhook_hosts=("*",), fetch_networks=("10.0.0.0/8",)):
        assert "not public" in (await bench.until(job_id, "failed")).error
    assert receiver.received == []


async def test_a_retry_waits_as_long_as_the_receiver_asks_for(bench: Bench, receiver: Receiver) -> None:
    receiver.plan(Reply(429, {"Retry-After": "3000"}))
    async with bench.dispatching():
        job_id = await bench.ended(receiver.url())

        async def tried() -> Delivery | None:
            delivery = await bench.delivery(job_id)
            return delivery if delivery.status else None

        delivery = await eventually(tried, "it was answered")
    seconds, micros = await bench.redis.time()
    assert delivery
    assert delivery.next_attempt
    assert 2900 < delivery.next_attempt / 1000 - (int(seconds) + int(micros) / 1e6) < 3001


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("7", 7),
        ("99999999", 43_200),
        ("-1", 0),
        ("soon", 0),
        ("", 0),
        ("²", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 +9999999999999", 0),
        ("1 Jan 99999999999999999999 00:00:00 GMT", 0),
    ],
)
def test_retry_after_of_a_receiver_is_parsed_strictly(asked: str, seconds: float) -> None:
    assert sender._seconds(asked) == seconds


def test_a_date_far_ahead_counts_as_half_a_day() -> None:
    assert sender._seconds("Fri, 31 Dec 2100 23:59:59 GMT") == 43_200


def test_retries_go_on_for_most_of_a_day() -> None:
    assert 20 * 3600 < sum(SCHEDULE) < 24 * 3600


async def test_a_dispatcher_that_is_lost_in_the_middle_leaves_its_delivery_to_another(
    bench: Bench, receiver: Receiver
) -> None:
    """Its lease lapses, the other sends the same id; a late result of the lost one does not count."""
    job_id = await bench.ended(receiver.url())
    take = scripts.load(bench.redis, scripts.CLAIM_DELIVERIES)
    [packed], _, _ = await take(args=[100, 1, 1, 1, codec.pack({}), 60_000])
    lost = codec.unpack_row(packed, binary=("event", "snapshot"))
    async with bench.dispatching():
        delivery = await bench.until(job_id, "delivered")
    assert (delivery.attempts, receiver.received[0].delivery_id) == (2, lost["delivery_id"])
    settle = scripts.load(bench.redis, scripts.SETTLE_DELIVERY)
    assert await settle(args=[lost["delivery_id"], lost["attempt"], "failed", 500, "late", 0, 60_000, b"", 0]) == 0
    assert (await bench.delivery(job_id)).state is DeliveryState.DELIVERED


@pytest.mark.slow
async def test_a_delivery_in_flight_stays_with_its_dispatcher_however_long_it_takes(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offloop_workers.webhooks.dispatcher.LEASE_MS", 400)
    monkeypatch.setattr("offloop_workers.webhooks.dispatcher.RENEW_SECONDS", 0.1)
    receiver.plan(Reply(hangs=True))
    async with bench.dispatching(), bench.dispatching():
        job_id = await bench.ended(receiver.url())
        await eventually(lambda: asyncio.sleep(0, receiver.received), "it is being sent")
        await asyncio.sleep(1.2)  # three leases
        receiver.release()
        assert (await bench.until(job_id, "delivered")).attempts == 1


@pytest.mark.slow
async def test_a_dispatcher_that_stops_releases_what_it_cannot_end(bench: Bench, receiver: Receiver) -> None:
    """The next one sends it without delay; the attempt that was cut short costs none of the retries."""
    receiver.plan(Reply(hangs=True), Reply())
    async with bench.dispatching(()):
        job_id = await bench.ended(receiver.url())
        await eventually(lambda: asyncio.sleep(0, receiver.received), "it is being sent")
    assert (await bench.delivery(job_id)).state is DeliveryState.PENDING
    async with bench.dispatching(()):
        delivery = await bench.until(job_id, "delivered")
    assert [request.delivery_id for request in receiver.received] == [delivery.delivery_id] * 2


async def test_the_end_of_a_job_whose_record_has_expired_is_sent_all_the_same(bench: Bench, receiver: Receiver) -> None:
    job_id = await bench.ended(receiver.url())
    await bench.redis.delete(schema.RECORD + job_id, schema.RESULT + job_id)
    async with bench.dispatching():
        await bench.until(job_id, "delivered")
    event = json.loads(receiver.received[0].body)
    assert (event["type"], event["data"]["job_id"], event["data"]["state"]) == ("job.completed", job_id, "completed")
    assert event["data"]["error"]["code"] == "expired"


async def test_an_event_that_cannot_be_made_is_a_failed_attempt_of_its_schedule(
    bench: Bench, receiver: Receiver
) -> None:
    """Not one that is begun again whenever its lease lapses; and it holds up no other."""
    poison = await bench.ended(receiver.url())
    await bench.redis.hset(schema.RECORD + poison, mapping={"created": "no number"})  # type: ignore[misc]
    with capture_logs() as logged:
        async with bench.dispatching():
            good = await bench.ended(receiver.url())
            await bench.until(good, "delivered")
            failed = await bench.until(poison, "failed")
    assert (failed.attempts, failed.status) == (len(SOON) + 1, None)
    assert failed.error == "its event could not be made"
    assert [json.loads(request.body)["data"]["job_id"] for request in receiver.received] == [good]
    lines = [line for line in logged if line["event"] == "the event of a delivery could not be made"]
    assert [line["job_id"] for line in lines] == [poison] * failed.attempts


async def test_without_a_secret_of_their_own_a_principal_gets_one_and_all_is_signed(
    bench: Bench, receiver: Receiver
) -> None:
    async with bench.dispatching():
        for _ in range(2):
            await bench.until(await bench.ended(receiver.url()), "delivered")
    for request in receiver.received:
        request.verified(await bench.secret())


async def test_while_a_secret_is_rotated_the_old_one_signs_too(bench: Bench, receiver: Receiver) -> None:
    """Until it is revoked, or its time is over."""
    old = await bench.webhooks.rotate(principal=ALICE)
    new = await bench.webhooks.rotate(principal=ALICE)
    assert (old.until, new.until is not None) == (None, True)
    async with bench.dispatching():
        await bench.until(await bench.ended(receiver.url()), "delivered")
        for secret in (old.secret, new.secret):
            receiver.received[0].verified(secret)
        newest = await bench.webhooks.rotate(principal=ALICE, overlap_seconds=0)
        assert newest.until is None
        await bench.until(await bench.ended(receiver.url()), "delivered")
    receiver.received[1].verified(newest.secret)
    for secret in (old.secret, new.secret):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(receiver.received[1].body, dict(receiver.received[1].headers))


async def test_an_answer_without_end_is_not_waited_for(bench: Bench, receiver: Receiver) -> None:
    """The status is the answer; a body that is announced and never comes changes nothing."""
    receiver.plan(Reply(200, {"Content-Length": "99999999999"}))
    async with bench.dispatching():
        delivery = await bench.until(await bench.ended(receiver.url()), "delivered")
    assert delivery.attempts == 1
