"""Blobs: file contents by digest, on obstore: a local folder, or S3, GCS and Azure in production.

A blob lies at ``<hour>/<sha256>``, where the hour (UTC) is the one in which it may be deleted. So equal files of the
same hour are stored once, an expired hour is deleted as a whole, and no reference counts can be wrong after a crash.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError as StoreError
from obstore.store import LocalStore, from_url

from offloop import logs
from offloop.errors import SettingsError, Unavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_HOUR: Final = 3600
_GRACE_HOURS: Final = 2
"""Hours a blob outlives its records at least: clocks differ, and a download may have begun in time."""
_CHUNK: Final = 1 << 20

log = logs.get(__name__)


class Blobs:
    """The blobs of one store; a local folder is created.

    Args:
        url: ``file:///folder``, ``s3://…``, ``gs://…`` or ``az://…``; credentials come from the environment.

    Raises:
        SettingsError: the URL does not name a store.
    """

    def __init__(self, url: str) -> None:
        self._store, self._folder = _open(url)

    async def put(self, path: Path, sha256: str, expires: int) -> str:
        """Copy a file into the store, unless it is there; returns the name of its blob.

        Args:
            path: the file.
            sha256: its digest, in hexadecimal.
            expires: until when it is needed, in ms since 1970.

        Raises:
            Unavailable: the store does not answer.
        """
        blob = f"{_hour(expires / 1000)}/{sha256}"
        try:
            await obstore.head_async(self._store, blob)
        except FileNotFoundError:
            await self._answered(obstore.put_async(self._store, blob, path))
        except StoreError as error:
            raise _failed(error) from error
        return blob

    async def stream(self, blob: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end`, in pieces of about 1 MiB.

        Raises:
            Unavailable: the store does not answer or has lost the blob.
        """
        while start < end:
            until = min(start + _CHUNK, end)
            yield bytes(await self._answered(obstore.get_range_async(self._store, blob, start=start, end=until)))
            start = until

    def local_path(self, blob: str) -> Path | None:
        """The file of a blob where the store is a local folder, else None."""
        return None if self._folder is None else self._folder / blob

    async def probe(self) -> None:
        """Write, read and delete a small blob.

        Raises:
            Unavailable: one of them failed; the message says what the store answered.
        """
        name = f"probe/{secrets.token_hex(8)}"
        try:
            await obstore.put_async(self._store, name, b"offloop")
            await obstore.get_range_async(self._store, name, start=0, end=7)
            await obstore.delete_async(self._store, name)
        except (StoreError, OSError) as error:
            message = f"The artifact store does not answer ({_first_line(error)})."
            raise Unavailable(message) from error

    async def collect(self) -> int:
        """Delete the blobs of expired hours; returns their number.

        Raises:
            Unavailable: the store does not answer.
        """
        limit = _hour(time.time() - _GRACE_HOURS * _HOUR)
        listed = await self._answered(obstore.list_with_delimiter_async(self._store))
        over = [prefix for prefix in listed["common_prefixes"] if re.fullmatch(r"\d{10}", prefix) and prefix < limit]
        count = 0
        for prefix in over:
            async for batch in obstore.list(self._store, prefix=prefix):
                await self._answered(obstore.delete_async(self._store, [blob["path"] for blob in batch]))
                count += len(batch)
            if self._folder is not None:
                # Partial files of a process that was killed while it wrote are no blobs, and not listed.
                await asyncio.to_thread(shutil.rmtree, self._folder / prefix, ignore_errors=True)
        return count

    async def _answered(self, call: Any) -> Any:
        try:
            return await call
        except (StoreError, FileNotFoundError, OSError) as error:
            raise _failed(error) from error


def _open(url: str) -> tuple[ObjectStore, Path | None]:
    try:
        parts = urlsplit(url)
        if parts.scheme == "file":
            folder = Path(unquote(parts.path))
            return LocalStore(folder, mkdir=True, automatic_cleanup=True), folder
        return from_url(url), None
    except Exception as error:
        message = f"OFFLOOP_ARTIFACTS_URL: cannot open {url!r}: {error}"
        raise SettingsError(message) from error


def _failed(error: Exception) -> Unavailable:
    # The store's own message names paths or buckets: that is for the operator, not for a caller.
    log.warning("the artifact store does not answer", error=_first_line(error))
    return Unavailable("The artifact store does not answer. Try again; if it goes on, ask the operator.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _hour(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y%m%d%H")
