"""Signature of a delivery: Standard Webhooks 1.0, https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"


def new_secret() -> str:
    """A signing secret: 256 random bits in base64, behind ``whsec_``."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(delivery_id: str, seconds: int, signers: Sequence[str], body: bytes) -> dict[str, str]:
    """The headers of one attempt.

    Args:
        delivery_id: the same at every attempt.
        seconds: the time of this attempt, since 1970.
        signers: the secrets that sign, newest first.
        body: as it is sent.
    """
    signed = f"{delivery_id}.{seconds}.".encode() + body
    return {
        "content-type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in signers),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
