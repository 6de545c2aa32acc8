"""Webhooks: signatures, bodies and URLs of deliveries."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from offloop.errors import BadInput, JobError
from offloop.outbound.policy import Policy
from offloop.queue.record import Done, Failed, Record, State
from offloop.queue.subscription import WebhookSubscription
from offloop.webhooks.events import MAX_BODY, body, event
from offloop.webhooks.signature import headers, new_secret

_secrets = st.binary(min_size=24, max_size=64).map(lambda raw: "whsec_" + base64.b64encode(raw).decode())
_ids = st.from_regex(r"msg_[A-Za-z0-9_-]{22}", fullmatch=True)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=10,
)
_objects = st.dictionaries(st.text(max_size=6), _json, max_size=4)


@given(_ids, st.lists(_secrets, min_size=1, max_size=4, unique=True), _objects.map(json.dumps))
def test_the_library_of_the_standard_verifies_every_signature(delivery: str, secrets: list[str], text: str) -> None:
    signed = headers(delivery, int(time.time()), secrets, text.encode())
    for secret in secrets:
        Webhook(secret).verify(text, signed)


@given(
    _ids,
    st.binary(max_size=40),
    st.sampled_from(["body", "webhook-id", "webhook-timestamp", "secret"]),
    st.integers(0, 200),
)
def test_a_changed_delivery_is_not_verified(delivery: str, content: bytes, part: str, position: int) -> None:
    text = json.dumps({"a": content.hex()})
    secret = new_secret()
    signed = headers(delivery, int(time.time()), [secret], text.encode())
    if part == "body":
        position %= len(text)
        text = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
    elif part == "secret":
        secret = new_secret()
    else:
        old = signed[part]
        position %= len(old)
        signed[part] = old[:position] + ("1" if old[position] != "1" else "2") + old[position + 1 :]
        assume(signed[part] != old)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(text, signed)


_artifacts = st.lists(
    st.fixed_dictionaries(
        {"artifact_id": st.text(max_size=9), "name": st.text(max_size=120), "mime_type": st.text(max_size=99),
         "size": st.integers(0),
         "sha256": st.just("0" * 64), "expires": st.integers(0, 10**13), "blob": st.text(max_size=99)}
    ), max_size=3,
)  # fmt: skip
_warnings = st.lists(st.text(max_size=500), max_size=3).map(tuple)
_outcomes = st.one_of(
    st.builds(
        Done,
        st.one_of(_objects, st.integers(0, 30_000).map(lambda size: {"x": "é" * size})),
        _artifacts.map(tuple),
        _warnings,
    ),
    st.builds(
        lambda size, code: Failed(JobError("x" * size, code=code)),
        st.integers(0, 30_000),
        st.text(min_size=1, max_size=9),
    ),
)


@given(_outcomes, st.integers(0, 10**13))
def test_any_outcome_makes_a_body_of_bounded_size(outcome: Done | Failed, at: int) -> None:
    record = Record("i" * 22, "alice", "kind", "default", outcome.state, 1, None, at, at, at, at, outcome)
    made = event(record)
    packed = body(made, None)
    assert len(packed) <= MAX_BODY
    parsed: dict[str, Any] = json.loads(packed, parse_constant=pytest.fail)
    assert parsed["data"]["state"] in {State.COMPLETED, State.FAILED}
    assert parsed["data"]["job_id"] == record.job_id


@given(st.text(max_size=60).map("https://".__add__))
def test_a_subscription_names_the_host_that_is_asked(url: str) -> None:
    try:
        subscription = WebhookSubscription.to(url, Policy(("*",)))
    except BadInput:
        return
    wire = subscription.to_wire("alice|bob", "kind", keyed=False, keep_ms=1)
    host, _, principal = wire["destination"].partition("|")
    assert (host, principal) == (subscription.host, "alice|bob")
    assert wire["url"].isascii()
