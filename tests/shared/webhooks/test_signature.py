"""Signature of a delivery: the headers that a receiver verifies."""

from __future__ import annotations

import base64
import json
import time

from standardwebhooks import Webhook

from offloop.webhooks.signature import headers, new_secret


def test_a_signature_is_what_the_reference_library_expects() -> None:
    old, new = new_secret(), new_secret()
    packed = json.dumps({"type": "job.completed", "data": {"é": "ü"}}).encode()
    sent = headers("msg_1", int(time.time()), [new, old], packed)
    for secret in (old, new):
        assert Webhook(secret).verify(packed, sent)["type"] == "job.completed"
    assert sent["webhook-signature"].count("v1,") == 2


def test_the_headers_are_these_four() -> None:
    """The signature is fixed: one that another version computes differently breaks every receiver."""
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    assert headers("msg_1", 1_700_000_000, [secret], b"{}") == {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,fhksJF5ElKjlPoT/jtefCO5XjQPvhf7Dhf/8R1ad9yU=",
    }


def test_a_secret_has_256_bits() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert {len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) for secret in secrets} == {32}
    assert len(secrets) == 50
