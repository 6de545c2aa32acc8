"""Artifacts: records in Redis that point to blobs, with owner, name and expiry.

An artifact belongs to one principal; its id has 128 random bits.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from offloop.artifacts.blobs import Blobs
from offloop.artifacts.quota import Quota, Quotas
from offloop.errors import BadInput, Conflict, NotFound, Unavailable
from offloop.redis import schema, scripts
from offloop.redis.outage import answering

if TYPE_CHECKING:
    from offloop.redis import RedisClient

_PENDING: Final = -1
_UPLOAD_SECONDS: Final = 3600
"""Lifetime of the record of a pending upload: longer than its link, since a slow upload may have begun in time."""


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
        blob: name of the blob that holds the bytes.
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
        redis: holds the records.
        retention_seconds: how long an artifact can be read.
        quota: what one principal may keep.
    """

    def __init__(self, url: str, redis: RedisClient, *, retention_seconds: int, quota: Quota | None = None) -> None:
        """Open the store; a local folder is created.

        Raises:
            SettingsError: the URL does not name a store.
        """
        self._redis = redis
        self._retention = retention_seconds
        self.quotas = Quotas(redis, quota or Quota())
        self._complete = scripts.load(redis, scripts.COMPLETE_UPLOAD)
        self._blobs = Blobs(url)

    async def put(  # noqa: PLR0913 -- all named, each with its meaning below
        self, path: Path, *, principal: str, name: str, mime_type: str, digest: str, job: str = ""
    ) -> Artifact:
        """Keep a file as an artifact of a principal.

        Args:
            path: the file; it is copied.
            principal: the owner.
            name: for display.
            mime_type: of the file.
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
        await self.quotas.charge(principal, {artifact.artifact_id: artifact.size}, expires=artifact.expires)
        try:
            artifact = replace(artifact, blob=await self._blobs.put(path, artifact.sha256, artifact.expires))
            await self._write(artifact, principal, job)
        except BaseException:
            with contextlib.suppress(Unavailable):
                await self.quotas.refund(principal, [artifact.artifact_id])
            raise
        return artifact

    async def forget(self, artifacts: Iterable[Artifact], principal: str) -> None:
        """Delete artifacts that no caller has seen.

        Raises:
            Unavailable: Redis does not answer; they go when they expire.
        """
        await self.delete([artifact.artifact_id for artifact in artifacts], principal=principal)

    async def delete(self, ids: Iterable[str], *, principal: str) -> list[str]:
        """Delete artifacts of a principal, pending uploads included; ids of other principals are ignored.

        The records are deleted, and the quota is free again. The blobs expire with their hour, since other artifacts
        may share them; downloads in progress complete.

        Returns:
            The ids that existed, in the order given, without duplicates.

        Raises:
            Unavailable: Redis does not answer. Sending the same again is safe.
        """
        distinct = list(dict.fromkeys(ids))
        return await self.quotas.delete(principal, distinct) if distinct else []

    async def reserve(self, *, principal: str, name: str, mime_type: str) -> Artifact:
        """Create the record of a pending upload; it expires after an hour unless the bytes arrive.

        Raises:
            QuotaExceeded: the principal keeps as many artifacts as allowed.
            Unavailable: Redis does not answer.
        """
        expires = min(self._until(), _now() + _UPLOAD_SECONDS * 1000)
        artifact = Artifact(secrets.token_urlsafe(16), name, mime_type, _PENDING, "", expires, "")
        await self.quotas.charge(principal, {artifact.artifact_id: 0}, expires=expires)
        await self._write(artifact, principal)
        return artifact

    async def complete(self, artifact_id: str, path: Path, *, digest: str) -> Artifact:
        """Store the uploaded bytes of a reserved artifact, once; its retention begins now.

        Raises:
            NotFound: no artifact is reserved under this id, or its record has expired.
            Conflict: its bytes are already there.
            QuotaExceeded: its principal keeps as much as allowed.
            Unavailable: Redis or the store does not answer.
        """
        owner, artifact = await self.find(artifact_id)
        if not artifact.pending:
            raise _already_uploaded(artifact_id)
        size = (await asyncio.to_thread(path.stat)).st_size
        artifact = replace(artifact, size=size, sha256=digest, expires=self._until())
        await self.quotas.charge_upload(owner, artifact_id, size, expires=artifact.expires)
        artifact = replace(artifact, blob=await self._blobs.put(path, artifact.sha256, artifact.expires))
        fields = [part for item in _fields(artifact, owner).items() for part in item]
        async with answering():
            key = schema.artifact_key(artifact_id)
            state = await self._complete(keys=[key], args=[artifact.expires, digest, *fields])
        if state == b"completed":
            return artifact
        if state != b"gone":
            raise _already_uploaded(artifact_id)
        await self.quotas.refund(owner, [artifact_id])  # no effect if it was deleted; needed if it has expired
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
        """Read an artifact and its owner, without a check of the owner: for signed links.

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
        """A page of a principal's artifacts, newest first, without pending uploads.

        Args:
            principal: the owner.
            start: position of the first, from 0.
            count: most artifacts to read.

        Returns:
            The artifacts, and the position of the next page (None at the end).

        Raises:
            Unavailable: Redis does not answer.
        """
        ids = await self.quotas.ids(principal, start, count)
        async with answering(), self._redis.pipeline(transaction=False) as pipe:
            for artifact_id in ids:
                pipe.hgetall(schema.artifact_key(artifact_id))
            found = await pipe.execute()
        read = [_read(artifact_id, fields) for artifact_id, fields in zip(ids, found, strict=True) if fields]
        artifacts = [artifact for owner, artifact in read if owner == principal and not artifact.pending]
        return artifacts, start + count if len(ids) == count else None

    async def stream(self, artifact: Artifact, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end` (default: the end), in pieces of about 1 MiB.

        Raises:
            Unavailable: the store does not answer or has lost the blob.
        """
        async for piece in self._blobs.stream(artifact.blob, start, artifact.size if end is None else end):
            yield piece

    async def local_path(self, artifact: Artifact, folder: Path) -> Path:
        """A file with the artifact's bytes: the store's own where it is a local folder, else a copy in `folder`.

        Raises:
            Unavailable: the store does not answer.
        """
        if local := self._blobs.local_path(artifact.blob):
            return local
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
        await self._blobs.probe()

    async def collect(self) -> int:
        """Delete the blobs of expired hours; returns their number.

        Raises:
            Unavailable: the store does not answer.
        """
        return await self._blobs.collect()

    def _until(self) -> int:
        return _now() + self._retention * 1000

    async def _write(self, artifact: Artifact, principal: str, job: str = "") -> None:
        key = schema.artifact_key(artifact.artifact_id)
        async with answering(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping=_fields(artifact, principal) | ({"job": job} if job else {}))
            pipe.pexpireat(key, artifact.expires)
            await pipe.execute()


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


def _already_uploaded(artifact_id: str) -> Conflict:
    return Conflict(f"artifact {artifact_id} already has its bytes; create another upload for other bytes")


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hexadecimal; blocks, so call it in a thread."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> int:
    return time.time_ns() // 1_000_000
