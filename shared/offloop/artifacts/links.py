"""Signed links: each permits reading or uploading one artifact, for a short time.

The signature is HMAC-SHA256 over method, id and expiry, with a key that all front ends share through Redis; the first
that needs it creates it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from offloop.artifacts.store import Artifact
    from offloop.redis import RedisClient

LINK_SECONDS: Final = 900
_SECONDS: Final = re.compile(r"[0-9]{1,12}")  # int() itself raises on thousands of digits
_SECRET: Final = "offloop:secret"  # noqa: S105 -- the name of the key, not the secret


async def shared_key(redis: RedisClient) -> bytes:
    """The signing key of this deployment, 256 random bits."""
    await redis.set(_SECRET, secrets.token_bytes(32), nx=True)
    key: bytes = await redis.get(_SECRET)
    return key


class Links:
    """Creates and verifies links for one base URL.

    Args:
        key: from `shared_key`.
        base_url: URL of this front end for its clients, or a function that returns it, called for each link.
    """

    def __init__(self, key: bytes, base_url: str | Callable[[], str]) -> None:
        self._key = key
        self._base_url = base_url

    def download(self, artifact: Artifact) -> str:
        """A link that reads an artifact, for 15 minutes or as long as it is kept."""
        return self._link("GET", artifact)

    def upload(self, artifact: Artifact) -> str:
        """A link for one PUT of the bytes of a reserved artifact."""
        return self._link("PUT", artifact)

    def expires(self, artifact: Artifact) -> int:
        """Expiry of a link created now, in seconds since 1970."""
        return min(int(time.time()) + LINK_SECONDS, artifact.expires // 1000)

    def holds(self, method: str, artifact_id: str, expires: str, signature: str) -> bool:
        """Whether the signature is valid and the link has not expired."""
        if not _SECONDS.fullmatch(expires) or int(expires) < time.time():
            return False
        return hmac.compare_digest(self._sign(method, artifact_id, expires).encode(), signature.encode())

    def _link(self, method: str, artifact: Artifact) -> str:
        expires = str(self.expires(artifact))
        signature = self._sign(method, artifact.artifact_id, expires)
        query = urlencode({"expires": expires, "signature": signature})
        base = self._base_url if isinstance(self._base_url, str) else self._base_url()
        return f"{base.rstrip('/')}/files/{artifact.artifact_id}?{query}"

    def _sign(self, method: str, artifact_id: str, expires: str) -> str:
        text = f"{method}\n{artifact_id}\n{expires}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
