"""Large bytes by digest, on obstore: a local folder, or S3, GCS and Azure in production. Redis holds only records.

A blob lies at ``<hour>/<sha256>``, where the hour (UTC) is the one in which it may be forgotten. So equal files of the
same hour are stored once, an expired hour is deleted as a whole, and no reference counts can be wrong after a crash.
An artifact is a record that points to a blob and belongs to one principal; its id has 128 random bits.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError as StoreError
from obstore.store import LocalStore, from_url

from offloop import logs
from offloop.artifacts.quota import Quota, Quotas
from offloop.errors import BadInput, Conflict, NotFound, SettingsError, Unavailable
from offloop.redis import schema, scripts
from offloop.redis.outage import answering

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from offloop.redis import RedisClient

_PENDING: Final = -1
_UPLOAD_SECONDS: Final = 3600
"""How long an upload is waited for at most: its link holds for less, and a slow one may have begun in time."""
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

    def check_uploaded(self) -> Artifact:
        """The artifact itself.

        Raises:
            BadInput: its bytes have not arrived yet.
        """
        if self.pending:
            message = f"artifact {self.artifact_id} has no bytes yet: PUT the file to its upload_url first."
            raise BadInput(message)
        return self

    def to_wire(self) -> dict[str, Any]:
        """As plain data, for the outcome of a job."""
        return asdict(self)


class ArtifactStore:
    """Artifacts of all principals.

    Args:
        url: ``file:///folder``, ``s3://…``, ``gs://…`` or ``az://…``; credentials come from the environment.
        redis: where the records are.
        retention_seconds: how long an artifact can be read.
        quota: what one principal may keep.
    """

    def __init__(self, url: str, redis: RedisClient, *, retention_seconds: int, quota: Quota | None = None) -> None:
        """Open the store; a local folder is made.

        Raises:
            SettingsError: the URL does not name a store.
        """
        self._redis = redis
        self._retention = retention_seconds
        self.holdings = Quotas(redis, quota or Quota())
        self._fill = scripts.load(redis, scripts.FILL_UPLOAD)
        self._store, self._folder = _open(url)

    async def put(  # noqa: PLR0913 -- all named, each with its meaning below
        self, path: Path, *, principal: str, name: str, mime_type: str, digest: str, job: str = ""
    ) -> Artifact:
        """Keep a file as an artifact of a principal.

        Args:
            path: the file; it is copied.
            principal: the owner.
            name: for display.
            mime_type: as a client is told.
            digest: the SHA-256 of the file, in hexadecimal.
            job: the id of the job that made it; once it is deleted, equal requests do not share that job.

        Raises:
            QuotaExceeded: the principal keeps as much as allowed.
            Unavailable: Redis or the store does not answer.
        """
        artifact = Artifact(
            artifact_id=secrets.token_urlsafe(16),
            name=name,
            mime_type=mime_type,
            size=(await asyncio.to_thread(path.stat)).st_size,
            sha256=digest,
            expires=self._until(),
            blob="",
        )
        await self.holdings.admit(principal, {artifact.artifact_id: artifact.size}, expires=artifact.expires)
        try:
            artifact = replace(artifact, blob=await self._keep(path, artifact))
            await self._write(artifact, principal, job)
        except BaseException:
            with contextlib.suppress(Unavailable):
                await self.holdings.drop(principal, [artifact.artifact_id])
            raise
        return artifact

    async def forget(self, artifacts: Iterable[Artifact], principal: str) -> None:
        """Take back artifacts that nobody was told of.

        Raises:
            Unavailable: Redis does not answer; they go when they expire.
        """
        await self.delete([artifact.artifact_id for artifact in artifacts], principal=principal)

    async def delete(self, ids: Iterable[str], *, principal: str) -> list[str]:
        """Delete artifacts of a principal, uploads that have not arrived too; all others are left as they are.

        They are gone at once, and not counted any more. Their bytes go with their hour, for others may share them; a
        download that has begun gets to its end.

        Returns:
            The ids of those that there were, in the order given, each once.

        Raises:
            Unavailable: Redis does not answer. Sending the same again is safe.
        """
        wanted = list(dict.fromkeys(ids))
        return await self.holdings.delete(principal, wanted) if wanted else []

    async def reserve(self, *, principal: str, name: str, mime_type: str) -> Artifact:
        """Make the record of an upload whose bytes are still to come; they are waited for an hour at most.

        Raises:
            QuotaExceeded: the principal keeps as many artifacts as allowed.
            Unavailable: Redis does not answer.
        """
        expires = min(self._until(), _now() + _UPLOAD_SECONDS * 1000)
        artifact = Artifact(secrets.token_urlsafe(16), name, mime_type, _PENDING, "", expires, "")
        await self.holdings.admit(principal, {artifact.artifact_id: 0}, expires=expires)
        await self._write(artifact, principal)
        return artifact

    async def complete(self, artifact_id: str, path: Path, *, digest: str) -> Artifact:
        """Fill a reserved artifact with the bytes that arrived; only once. It is kept from then on.

        Raises:
            NotFound: nothing is reserved under this id, or not any more.
            Conflict: its bytes are already there.
            QuotaExceeded: its principal keeps as much as allowed.
            Unavailable: Redis or the store does not answer.
        """
        owner, artifact = await self.find(artifact_id)
        if not artifact.pending:
            raise _filled(artifact_id)
        size = (await asyncio.to_thread(path.stat)).st_size
        artifact = replace(artifact, size=size, sha256=digest, expires=self._until())
        await self.holdings.grow(owner, artifact_id, size, expires=artifact.expires)
        artifact = replace(artifact, blob=await self._keep(path, artifact))
        fields = [part for item in _fields(artifact, owner).items() for part in item]
        async with answering():
            state = await self._fill(keys=[schema.artifact_key(artifact_id)], args=[artifact.expires, digest, *fields])
        if state == b"filled":
            return artifact
        if state != b"gone":
            raise _filled(artifact_id)
        await self.holdings.drop(owner, [artifact_id])  # nothing to do where it was deleted; it may also have expired
        raise NotFound.artifact(artifact_id)

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
            reading = self._redis.hgetall(schema.artifact_key(artifact_id))
            fields = await cast("Awaitable[dict[bytes, bytes]]", reading)
        if not fields:
            raise NotFound.artifact(artifact_id)
        return _read(artifact_id, fields)

    async def page(self, principal: str, start: int, count: int) -> tuple[list[Artifact], int | None]:
        """Some of a principal's artifacts, newest first, without uploads that have not arrived.

        Args:
            principal: whose.
            start: where to begin.
            count: how many to look at.

        Returns:
            The artifacts, and where the next page begins (None at the end).

        Raises:
            Unavailable: Redis does not answer.
        """
        ids = await self.holdings.ids(principal, start, count)
        async with answering(), self._redis.pipeline(transaction=False) as pipe:
            for artifact_id in ids:
                pipe.hgetall(schema.artifact_key(artifact_id))
            found = await pipe.execute()
        read = [_read(artifact_id, fields) for artifact_id, fields in zip(ids, found, strict=True) if fields]
        shown = [artifact for owner, artifact in read if owner == principal and not artifact.pending]
        return shown, start + count if len(ids) == count else None

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
            if self._folder is not None:
                # What a process left that was killed while it wrote is no blob, and is not listed.
                await asyncio.to_thread(shutil.rmtree, self._folder / prefix, ignore_errors=True)
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

    def _until(self) -> int:
        return _now() + self._retention * 1000

    async def _write(self, artifact: Artifact, principal: str, job: str = "") -> None:
        key = schema.artifact_key(artifact.artifact_id)
        async with answering(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping=_fields(artifact, principal) | ({"job": job} if job else {}))
            pipe.pexpireat(key, artifact.expires)
            await pipe.execute()

    async def _answered(self, call: Any) -> Any:
        try:
            return await call
        except (StoreError, FileNotFoundError, OSError) as error:
            raise _failed(error) from error


def _fields(artifact: Artifact, principal: str) -> dict[str, Any]:
    fields: dict[str, Any] = {**asdict(artifact), "principal": principal}
    del fields["artifact_id"]
    return fields


def _read(artifact_id: str, fields: Mapping[bytes, bytes]) -> tuple[str, Artifact]:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    owner = text.pop("principal")
    text.pop("job", None)
    size, expires = int(text.pop("size")), int(text.pop("expires"))
    return owner, Artifact(artifact_id=artifact_id, size=size, expires=expires, **text)


def _filled(artifact_id: str) -> Conflict:
    return Conflict(f"artifact {artifact_id} already has its bytes; create another upload for other bytes")


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
