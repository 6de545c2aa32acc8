"""Artifacts: bytes by digest in hour buckets, records that belong to one principal, and nothing to probe."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

from offloop.artifacts.store import Artifact, ArtifactStore, digest_of
from offloop.errors import Conflict, NotFound, SettingsError, Unavailable
from offloop.redis import schema

pytestmark = pytest.mark.anyio

CONTENT = os.urandom(3 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the blobs."""
    return tmp_path / "artifacts with space"


@pytest.fixture
def store(redis: ArqRedis, folder: Path) -> ArtifactStore:
    """A store in a local folder."""
    return ArtifactStore(folder.as_uri(), redis, retention_seconds=60)


def _file(tmp_path: Path, content: bytes = CONTENT) -> Path:
    path = tmp_path / hashlib.sha256(content).hexdigest()[:8]
    path.write_bytes(content)
    return path


async def _put(store: ArtifactStore, path: Path, name: str = "a.bin", principal: str = "alice") -> Artifact:
    return await store.put(path, principal=principal, name=name, mime_type="x/y", digest=digest_of(path))


async def _read(store: ArtifactStore, artifact: Artifact, start: int = 0, end: int | None = None) -> list[bytes]:
    return [piece async for piece in store.stream(artifact, start, end)]


def _blobs(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_stored_file_is_found_by_its_owner(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path), "bericht ü.pdf")
    assert (artifact.name, artifact.mime_type, artifact.size) == ("bericht ü.pdf", "x/y", len(CONTENT))
    assert artifact.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert not artifact.pending
    assert await store.get(artifact.artifact_id, principal="alice") == artifact
    assert await store.find(artifact.artifact_id) == ("alice", artifact)
    assert Artifact(**artifact.to_wire()) == artifact


async def test_a_foreign_artifact_is_unknown_in_the_same_words(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path))
    messages = set()
    for artifact_id in (artifact.artifact_id, "unknown" + artifact.artifact_id[7:]):
        with pytest.raises(NotFound) as refused:
            await store.get(artifact_id, principal="bob")
        messages.add(refused.value.message.replace(artifact_id, "…"))
    assert len(messages) == 1


async def test_the_record_ends_with_the_artifact(redis: ArqRedis, store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path))
    expires: Any = redis.pexpiretime(schema.artifact_key(artifact.artifact_id))
    assert await expires == artifact.expires
    await redis.delete(schema.artifact_key(artifact.artifact_id))
    with pytest.raises(NotFound):
        await store.find(artifact.artifact_id)


async def test_equal_bytes_are_stored_once(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    path = _file(tmp_path)
    first, second = await _put(store, path), await _put(store, path, principal="bob")
    assert first.artifact_id != second.artifact_id
    if first.blob == second.blob:  # the hour may have ended between the two
        assert len(_blobs(folder)) == 1


@pytest.mark.parametrize("name", ["../../../escape", "/etc/cron.d/x", "a\0b", "x" * 5000, ".."])
async def test_a_name_is_never_a_path(store: ArtifactStore, folder: Path, tmp_path: Path, name: str) -> None:
    artifact = await _put(store, _file(tmp_path, b"small"), name)
    assert (await store.get(artifact.artifact_id, principal="alice")).name == name
    hour = datetime.fromtimestamp(artifact.expires / 1000, UTC).strftime("%Y%m%d%H")
    assert [str(path.relative_to(folder)) for path in _blobs(folder)] == [f"{hour}/{artifact.sha256}"]
    assert not (tmp_path / "escape").exists()


async def test_a_stream_gives_the_requested_bytes_in_bounded_pieces(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path))
    whole = await _read(store, artifact)
    assert b"".join(whole) == CONTENT
    assert max(map(len, whole)) <= 1 << 20
    for start, end in ((0, 1), (5, 5), (1, 2 << 20), (len(CONTENT) - 1, None), (len(CONTENT), None)):
        assert b"".join(await _read(store, artifact, start, end)) == CONTENT[start:end]


async def test_a_file_without_bytes_is_an_artifact_too(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path, b""))
    assert (artifact.size, artifact.pending, await _read(store, artifact)) == (0, False, [])


async def test_an_upload_is_reserved_and_then_filled_once(store: ArtifactStore, tmp_path: Path) -> None:
    path = _file(tmp_path)
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    assert reserved.pending
    assert (await store.get(reserved.artifact_id, principal="alice")).pending
    filled = await store.complete(reserved.artifact_id, path, digest=digest_of(path))
    assert (filled.artifact_id, filled.size, filled.pending) == (reserved.artifact_id, len(CONTENT), False)
    assert await store.find(reserved.artifact_id) == ("alice", filled)
    assert b"".join(await _read(store, filled)) == CONTENT
    with pytest.raises(Conflict, match="already has its bytes"):
        await store.complete(reserved.artifact_id, path, digest=digest_of(path))
    with pytest.raises(NotFound):
        await store.complete("unknown-unknown-unknown", path, digest=digest_of(path))


async def test_a_deleted_file_is_unknown_and_equal_bytes_of_others_stay(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    path = _file(tmp_path)
    mine, theirs = await _put(store, path), await _put(store, path, principal="bob")
    assert await store.delete([mine.artifact_id], principal="alice") == [mine.artifact_id]
    messages = set()
    for artifact_id in (mine.artifact_id, "unknown" + mine.artifact_id[7:]):
        with pytest.raises(NotFound) as refused:
            await store.find(artifact_id)
        messages.add(refused.value.message.replace(artifact_id, "…"))
    assert len(messages) == 1
    assert b"".join(await _read(store, theirs)) == CONTENT
    assert {str(blob.relative_to(folder)) for blob in _blobs(folder)} == {mine.blob, theirs.blob}


async def test_an_upload_that_was_deleted_takes_no_bytes(store: ArtifactStore, tmp_path: Path) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    assert await store.delete([reserved.artifact_id], principal="bob") == []
    assert await store.delete([reserved.artifact_id], principal="alice") == [reserved.artifact_id]
    path = _file(tmp_path)
    with pytest.raises(NotFound):
        await store.complete(reserved.artifact_id, path, digest=digest_of(path))


async def test_a_local_store_lends_its_own_file(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path))
    path = await store.local_path(artifact, tmp_path / "not needed")
    assert path.is_relative_to(folder)
    assert path.read_bytes() == CONTENT


async def test_a_store_elsewhere_is_copied_from(redis: ArqRedis, tmp_path: Path) -> None:
    """A store in memory has no files, as one across the network has none."""
    store = ArtifactStore("memory:///", redis, retention_seconds=60)
    artifact = await _put(store, _file(tmp_path), "../name")
    folder = tmp_path / "inputs"
    folder.mkdir()
    path = await store.local_path(artifact, folder)
    assert path == folder / artifact.artifact_id
    assert path.read_bytes() == CONTENT


async def test_a_probe_leaves_nothing(store: ArtifactStore, folder: Path) -> None:
    await store.probe()
    assert _blobs(folder) == []


async def test_a_probe_of_a_store_that_cannot_be_written_says_so(store: ArtifactStore, folder: Path) -> None:
    (folder / "probe").write_text("a file where a folder should be")
    with pytest.raises(Unavailable, match="artifact store does not answer"):
        await store.probe()


async def test_only_hours_that_are_long_over_are_collected(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    def bucket(hours_ago: int) -> Path:
        hour = datetime.fromtimestamp(time.time() - hours_ago * 3600, UTC).strftime("%Y%m%d%H")
        path = folder / hour / ("0" * 64)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        return path

    living = await _put(store, _file(tmp_path))
    gone, older, grace = bucket(5), bucket(5000), bucket(1)
    strangers = folder / "other" / "file"
    strangers.parent.mkdir()
    strangers.write_text("not ours")
    assert await store.collect() == 2
    assert not gone.exists()
    assert not older.exists()
    assert grace.exists()
    assert strangers.exists()
    assert b"".join(await _read(store, living)) == CONTENT
    assert await store.collect() == 0


async def test_a_lost_blob_is_a_failure_that_names_no_path(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    artifact = await _put(store, _file(tmp_path))
    (folder / artifact.blob).unlink()
    with pytest.raises(Unavailable) as refused:
        await _read(store, artifact)
    assert str(folder) not in refused.value.message


@pytest.mark.parametrize("url", ["nothing", "ftp://example.org/a", "file:///dev/null/folder"])
async def test_an_address_that_is_no_store_names_its_variable(redis: ArqRedis, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^OFFLOOP_ARTIFACTS_URL: "):
        ArtifactStore(url, redis, retention_seconds=60)
