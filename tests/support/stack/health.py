"""Health check of a front end, cheap enough to be polled: httpx2 would load all CA certificates each time."""

from __future__ import annotations

import http.client
from contextlib import closing
from urllib.parse import urlsplit


def healthy(base: str) -> bool:
    """Whether the front end at this URL is up, with or without its Redis."""
    with closing(http.client.HTTPConnection(urlsplit(base).netloc, timeout=5)) as connection:
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
