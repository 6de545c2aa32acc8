"""Large bytes by digest, on obstore: a local folder, or S3, GCS and Azure in production. Redis holds only records.

A blob lies at ``<hour>/<sha256>``, where the hour (UTC) is the one in which it may be forgotten. So equal files of the
same hour are stored once, an expired hour is deleted as a whole, and no reference counts can be wrong after a crash.
An artifact is a record that points to a blob and belongs to one principal; its id has 128 random bits.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError as StoreError
from obstore.store import LocalStore, from_url

from offloop import logs, wire
from offloop.errors import Conflict, NotFound, SettingsError, Unavailable
from offloop.queue import answering

if TYPE_CHECKING:
    from arq.connections import ArqRedis
    from obstore.store import ObjectStore

_PENDING: Final = -1
_HOUR: Final = 3600
_GRACE_HOURS: Final = 2
"""Hours a blob outlives its records at least: clocks differ, and a download may have begun in time."""
_CHUNK: Final = 1 << 20

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a job made or a principal uploaded.

    Attributes:
        artifact_id: 128 random bits, url-safe.
        name: for display; never used as a path.
        mime_type: as declared by its maker.
        size: bytes; -1 for an upload that has not arrived.
        sha256: lower-case hexadecimal, ``""`` for an upload that has not arrived.
        expires: until when it can be read, in ms since 1970.
        blob: where the bytes lie in the store.
    """

    artifact_id: str
    name: str
    mime_type: str
    size: int
    sha256: str
    expires: int
    blob: str

    @property
    def pending(self) -> bool:
        """Whether this is an upload whose bytes have not arrived."""
        return self.size == _PENDING

    def to_wire(self) -> dict[str, Any]:
        """As plain data, for the outcome of a job."""
        return asdict(self)


class ArtifactStore:
    """Artifacts of all principals.

    Args:
        url: ``file:///folder``, ``s3://…``, ``gs://…`` or ``az://…``; credentials come from the environment.
        redis: where the records are.
        retention_seconds: how long an artifact can be read.
    """

    def __init__(self, url: str, redis: ArqRedis, *, retention_seconds: int) -> None:
        """Open the store; a local folder is made.

        Raises:
            SettingsError: the URL does not name a store.
        """
        self._redis = redis
        self._retention = retention_seconds
        self._store, self._folder = _open(url)

    async def put(self, path: Path, *, principal: str, name: str, mime_type: str, digest: str) -> Artifact:
        """Keep a file as an artifact of a principal.

        Args:
            path: the file; it is copied.
            principal: the owner.
            name: for display.
            mime_type: as a client is told.
            digest: the SHA-256 of the file, in hexadecimal.

        Raises:
            Unavailable: Redis or the store does not answer.
        """
        artifact = Artifact(
            artifact_id=secrets.token_urlsafe(16),
            name=name,
            mime_type=mime_type,
            size=(await asyncio.to_thread(path.stat)).st_size,
            sha256=digest,
            expires=_now() + self._retention * 1000,
            blob="",
        )
        artifact = replace(artifact, blob=await self._keep(path, artifact))
        await self._write(artifact, principal)
        return artifact

    async def reserve(self, *, principal: str, name: str, mime_type: str) -> Artifact:
        """Make the record of an upload whose bytes are still to come.

        Raises:
            Unavailable: Redis does not answer.
        """
        expires = _now() + self._retention * 1000
        artifact = Artifact(secrets.token_urlsafe(16), name, mime_type, _PENDING, "", expires, "")
        await self._write(artifact, principal)
        return artifact

    async def complete(self, artifact_id: str, path: Path, *, digest: str) -> Artifact:
        """Fill a reserved artifact with the bytes that arrived; only once.

        Raises:
            NotFound: nothing is reserved under this id, or not any more.
            Conflict: its bytes are already there.
            Unavailable: Redis or the store does not answer.
        """
        owner, artifact = await self.find(artifact_id)
        if not artifact.pending:
            message = f"artifact {artifact_id} already has its bytes; create another upload for other bytes"
            raise Conflict(message)
        size = (await asyncio.to_thread(path.stat)).st_size
        artifact = replace(artifact, size=size, sha256=digest)
        artifact = replace(artifact, blob=await self._keep(path, artifact))
        await self._write(artifact, owner)
        return artifact

    async def get(self, artifact_id: str, *, principal: str) -> Artifact:
        """Read a principal's artifact.

        Raises:
            NotFound: the principal has none of this id.
            Unavailable: Redis does not answer.
        """
        owner, artifact = await self.find(artifact_id)
        if owner != principal:
            raise NotFound.artifact(artifact_id)
        return artifact

    async def find(self, artifact_id: str) -> tuple[str, Artifact]:
        """Read an artifact whose id is proof enough (a signed link), and its owner.

        Raises:
            NotFound: there is none of this id.
            Unavailable: Redis does not answer.
        """
        async with answering():
            reading = self._redis.hgetall(wire.artifact_key(artifact_id))
            fields = await cast("Awaitable[dict[bytes, bytes]]", reading)
        if not fields:
            raise NotFound.artifact(artifact_id)
        text = {name.decode(): value.decode() for name, value in fields.items()}
        owner = text.pop("principal")
        size, expires = int(text.pop("size")), int(text.pop("expires"))
        return owner, Artifact(artifact_id=artifact_id, size=size, expires=expires, **text)

    async def stream(self, artifact: Artifact, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end` (default: the end), in pieces of about 1 MiB.

        Raises:
            Unavailable: the store does not answer or has lost the blob.
        """
        end = artifact.size if end is None else end
        while start < end:
            until = min(start + _CHUNK, end)
            piece = obstore.get_range_async(self._store, artifact.blob, start=start, end=until)
            yield bytes(await self._answered(piece))
            start = until

    async def local_path(self, artifact: Artifact, folder: Path) -> Path:
        """A file with the artifact's bytes: the store's own where it is a local folder, else a copy in `folder`.

        Raises:
            Unavailable: the store does not answer.
        """
        if self._folder is not None:
            return self._folder / artifact.blob
        path = folder / artifact.artifact_id
        with path.open("xb") as file:
            async for piece in self.stream(artifact):
                await asyncio.to_thread(file.write, piece)
        return path

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
        """Delete the blobs of hours that are long over; answers how many there were.

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
        return count

    async def _keep(self, path: Path, artifact: Artifact) -> str:
        blob = f"{_hour(artifact.expires / 1000)}/{artifact.sha256}"
        try:
            await obstore.head_async(self._store, blob)
        except FileNotFoundError:
            await self._answered(obstore.put_async(self._store, blob, path))
        except StoreError as error:
            raise _failed(error) from error
        return blob

    async def _write(self, artifact: Artifact, principal: str) -> None:
        fields: dict[str, Any] = {**asdict(artifact), "principal": principal}
        del fields["artifact_id"]
        key = wire.artifact_key(artifact.artifact_id)
        async with answering(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping=fields)
            pipe.pexpireat(key, artifact.expires)
            await pipe.execute()

    async def _answered(self, call: Any) -> Any:
        try:
            return await call
        except (StoreError, FileNotFoundError, OSError) as error:
            raise _failed(error) from error


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hexadecimal; blocks, so call it in a thread."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(url: str) -> tuple[ObjectStore, Path | None]:
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            folder = Path(unquote(parts.path))
            return LocalStore(folder, mkdir=True, automatic_cleanup=True), folder
        return from_url(url), None
    except Exception as error:
        message = f"OFFLOOP_ARTIFACTS_URL: cannot open {url!r}: {error}"
        raise SettingsError(message) from error


def _failed(error: Exception) -> Unavailable:
    # What a store says names its paths or buckets: that is for the operator, not for a caller.
    log.warning("the artifact store does not answer", error=_first_line(error))
    return Unavailable("The artifact store does not answer. Try again; if it goes on, ask the operator.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _hour(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y%m%d%H")
