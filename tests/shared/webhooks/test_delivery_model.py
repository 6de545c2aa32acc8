"""Webhook deliveries against a model: due, claimed, lost, retried, replayed; none is lost, none is sent twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from offloop.errors import BadInput, Conflict, NotFound
from offloop.queue.client import Bounds, JobQueue, new_id
from offloop.queue.subscription import WebhookSubscription
from offloop.redis import codec, schema, scripts
from offloop.webhooks.deliveries import DeliveryState, Webhooks
from support.caller import Nothing, kind
from support.fuzzing import Looped, RedisModel, explore
from support.steps import Steps

LEASE_MS = 600_000
LATER_MS = 300_000
PRINCIPALS = ("alice", "bob")
URLS = ("https://one.example/a", "https://one.example/b", "https://two.example/a")
MOST_OF_PRINCIPAL = 3
MOST_OF_DESTINATION = 2


@dataclass(slots=True)
class Expected:
    """A delivery as the model sees it; `due` is False while it is leased, or waits for a retry."""

    principal: str
    url: str
    job_id: str
    state: str = "waiting"
    attempts: int = 0
    step: int = 0
    due: bool = False
    leased: bool = False
    expired: bool = False

    @property
    def destination(self) -> str:
        return f"{self.url.split('/')[2]}|{self.principal}"


@dataclass(frozen=True, slots=True)
class Sending:
    """An attempt that a dispatcher has claimed, perhaps long ago."""

    delivery_id: str
    attempt: int


class DeliveryModel(RedisModel):
    """Deliveries of two principals, and a dispatcher whose steps come in any order."""

    def __init__(self, looped: Looped) -> None:
        super().__init__(looped)
        self.queue = JobQueue(self.redis, Bounds(60, 100, 100))
        self.worker = Steps(self.redis)
        self.webhooks = Webhooks(self.redis)
        self.scripts = {
            name: scripts.load(self.redis, getattr(scripts, f"{name}_DELIVER{'Y' if name == 'SETTLE' else 'IES'}"))
            for name in ("CLAIM", "RENEW", "SETTLE")
        }
        self.deliveries: dict[str, Expected] = {}
        self.attempts: list[Sending] = []
        self.gone: set[tuple[str, str]] = set()

    # --- the model ---

    def _pick(self, number: int) -> tuple[str, Expected]:
        delivery_id = list(self.deliveries)[number % len(self.deliveries)]
        return delivery_id, self.deliveries[delivery_id]

    def _current(self, sending: Sending) -> Expected | None:
        """The delivery of an attempt, while that attempt may decide about it."""
        delivery = self.deliveries[sending.delivery_id]
        current = delivery.attempts == sending.attempt and delivery.state == "pending" and not delivery.expired
        return delivery if current else None

    def _claimable(self) -> dict[str, Expected]:
        return {each: found for each, found in self.deliveries.items() if found.state == "pending" and found.due}

    async def _call(self, name: str, *arguments: Any) -> Any:
        return await self.scripts[name](args=list(arguments))

    async def _pass_time(self, delivery_id: str, delivery: Expected) -> None:
        """Make a delivery due, as if its lease or its pause were over."""
        if not delivery.expired:
            await self.redis.hset(schema.DELIVERY + delivery_id, "leased", "1")  # type: ignore[misc]
        await self.redis.zadd(schema.DESTINATION + delivery.destination, {delivery_id: 1}, xx=True)
        await self.redis.zadd(schema.DESTINATIONS, {delivery.destination: 1}, xx=True)

    # --- what can happen ---

    @rule(principal=st.sampled_from(PRINCIPALS), url=st.sampled_from(URLS))
    def submit(self, principal: str, url: str) -> None:
        """A job with a subscription; a URL that is gone is refused."""
        subscription = WebhookSubscription(f"msg_{new_id()}", url, url.split("/")[2])
        job_id = new_id()
        submit = self.queue.submit(kind, Nothing(), principal=principal, job_id=job_id, subscription=subscription)
        try:
            self.run(submit)
        except BadInput:
            assert (principal, url) in self.gone
            return
        assert (principal, url) not in self.gone
        self.deliveries[subscription.delivery_id] = Expected(principal, url, job_id)

    @precondition(lambda self: any(each.state == "waiting" for each in self.deliveries.values()))
    @rule(expired=st.booleans())
    def end_job(self, expired: bool) -> None:  # noqa: FBT001 -- drawn
        """The next job ends, or its record expires."""
        found = self.run(self.worker.claim())
        if found:
            if expired:
                self.run(self.redis.delete(schema.RECORD + found[0].job_id))
                self.run(self.worker.lapse(found[0].job_id))
                self.run(self.worker.sweep())
            else:
                assert self.run(self.worker.finish(found[0]))
            for delivery in self.deliveries.values():
                if delivery.job_id == found[0].job_id and delivery.state == "waiting":
                    delivery.state, delivery.due = "pending", True

    @rule(most=st.integers(1, 6))
    def claim(self, most: int) -> None:
        """A dispatcher claims what is due; what it has in flight counts towards the limits."""
        flying = [found for each in self.attempts if (found := self._current(each)) and found.leased]
        flying = list({id(each): each for each in flying}.values())
        busy = Counter([each.destination for each in flying] + [each.principal for each in flying])
        bounds = [LEASE_MS, most, MOST_OF_DESTINATION, MOST_OF_PRINCIPAL]
        rows, _, _ = self.run(self._call("CLAIM", *bounds, codec.pack(dict(busy)), 60_000))
        claimable = self._claimable()
        claimed: set[str] = set()
        for packed in rows:
            row = codec.unpack_row(packed, binary=("event", "snapshot"))
            delivery = claimable[row["delivery_id"]]
            assert row["delivery_id"] not in claimed
            assert not delivery.leased, "sent twice without a lapse"
            assert (delivery.principal, delivery.url) not in self.gone
            claimed.add(row["delivery_id"])
            delivery.attempts, delivery.step = delivery.attempts + 1, delivery.step + 1
            delivery.due, delivery.leased = False, True
            assert (row["attempt"], row["step"], row["job_id"]) == (delivery.attempts, delivery.step, delivery.job_id)
            busy.update([delivery.destination, delivery.principal])
            self.attempts.append(Sending(row["delivery_id"], row["attempt"]))
        assert len(claimed) <= most
        # A late renewal of an attempt that is to be retried may lease more than the limits; a claim never does.
        for delivery in (self.deliveries[each] for each in claimed):
            assert busy[delivery.destination] <= MOST_OF_DESTINATION
            assert busy[delivery.principal] <= MOST_OF_PRINCIPAL
        self._drop_or_explain({each: found for each, found in claimable.items() if each not in claimed}, busy, most)

    def _drop_or_explain(self, left: dict[str, Expected], busy: Counter[str], most: int) -> None:
        """Deliveries that were due and not claimed were dropped, or had no room."""
        for delivery_id, delivery in left.items():
            still = self.run(self.redis.zscore(schema.DESTINATION + delivery.destination, delivery_id))
            lost = delivery.expired or (delivery.principal, delivery.url) in self.gone
            if still is None:
                assert lost, "a delivery was lost"
                delivery.state, delivery.due = "disabled" if not delivery.expired else "lost", False
        claimed = sum(count for name, count in busy.items() if "|" in name)
        for delivery in left.values():
            if delivery.due and not any(each.state in ("disabled", "lost") for each in left.values()):
                full = busy[delivery.destination] >= MOST_OF_DESTINATION
                assert full or busy[delivery.principal] >= MOST_OF_PRINCIPAL or claimed >= most, "room was left"

    @precondition(lambda self: self.attempts)
    @rule(number=st.integers(0, 9), result=st.sampled_from(["delivered", "failed", "disabled", "retry", "again"]))
    def settle(self, number: int, result: str) -> None:
        """An attempt ends, perhaps much too late."""
        sending = self.attempts[-1 - number % len(self.attempts)]
        delivery = self._current(sending)
        outcome = [result, 0, "", LATER_MS if result == "retry" else 0, 60_000, b"", 60_000]
        assert self.run(self._call("SETTLE", sending.delivery_id, sending.attempt, *outcome)) == bool(delivery)
        if delivery:
            delivery.leased = False
            delivery.step -= result == "again"
            delivery.due = result == "again"
            if result not in ("retry", "again"):
                delivery.state = result
            if result == "disabled":
                self.gone.add((delivery.principal, delivery.url))

    @precondition(lambda self: self.attempts)
    @rule(number=st.integers(0, 9))
    def renew(self, number: int) -> None:
        """A dispatcher renews a lease; one that has lapsed and is not taken by another is renewed too."""
        sending = self.attempts[-1 - number % len(self.attempts)]
        delivery = self._current(sending)
        self.run(self._call("RENEW", LEASE_MS, sending.delivery_id, sending.attempt))
        if delivery:
            delivery.leased, delivery.due = True, False

    @precondition(lambda self: self.deliveries)
    @rule(number=st.integers(0, 19))
    def pass_time(self, number: int) -> None:
        """A lease lapses, or the pause before a retry is over."""
        delivery_id, delivery = self._pick(number)
        if delivery.state == "pending":
            self.run(self._pass_time(delivery_id, delivery))
            delivery.due, delivery.leased = True, False

    @precondition(lambda self: self.deliveries)
    @rule(number=st.integers(0, 19))
    def replay(self, number: int) -> None:
        """The principal replays a delivery; another principal cannot."""
        delivery_id, delivery = self._pick(number)
        other = PRINCIPALS[delivery.principal == PRINCIPALS[0]]
        with pytest.raises(NotFound):
            self.run(self.webhooks.replay(delivery_id, principal=other))
        if delivery.expired:
            return
        if delivery.state == "waiting":
            with pytest.raises(Conflict):
                self.run(self.webhooks.replay(delivery_id, principal=delivery.principal))
            return
        found = self.run(self.webhooks.replay(delivery_id, principal=delivery.principal))
        assert found.state is DeliveryState.PENDING
        if not delivery.leased:
            self.gone.discard((delivery.principal, delivery.url))
            delivery.state, delivery.step, delivery.due = "pending", 0, True

    @precondition(lambda self: self.deliveries)
    @rule(number=st.integers(0, 19))
    def expire(self, number: int) -> None:
        """A delivery is older than it is kept."""
        delivery_id, delivery = self._pick(number)
        if delivery.state != "waiting":
            delivery.expired = True
            self.run(self.redis.delete(schema.DELIVERY + delivery_id))

    # --- the comparison ---

    @invariant()
    def deliveries_are_the_models(self) -> None:
        """State, attempts and step of each; and none is missing from the schedule of its destination."""
        self.run(self._compare())

    async def _compare(self) -> None:
        scheduled: set[str] = set()
        for destination in {each.destination for each in self.deliveries.values()}:
            found = await self.redis.zrange(schema.DESTINATION + destination, 0, -1, withscores=True)
            first = await self.redis.zscore(schema.DESTINATIONS, destination)
            # A renewed lease leaves it earlier than need be, never later.
            assert not found or (first is not None and first <= found[0][1]), "a delivery is due and not looked for"
            scheduled |= {name.decode() for name, _ in found}
        assert scheduled == {each for each, found in self.deliveries.items() if found.state == "pending"}
        for delivery_id, delivery in self.deliveries.items():
            if not delivery.expired:
                reading: Any = self.redis.hmget(schema.DELIVERY + delivery_id, ["state", "attempts", "step"])
                state, attempts, step = await reading
                assert (state.decode(), int(attempts), int(step)) == (delivery.state, delivery.attempts, delivery.step)
        for principal in PRINCIPALS:
            page = await self.webhooks.deliveries(principal=principal, limit=100)
            own = {each for each, found in self.deliveries.items() if found.principal == principal}
            assert {each.delivery_id for each in page.deliveries} <= own


@pytest.mark.slow
@pytest.mark.fuzz
def test_no_delivery_is_lost_or_sent_by_two_dispatchers(looped: Looped) -> None:
    explore(DeliveryModel, looped)
