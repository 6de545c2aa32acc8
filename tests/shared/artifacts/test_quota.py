"""Quotas: what a principal keeps is counted over every process, bounded, and forgotten with the artifacts."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from offloop.artifacts.blobs import Blobs
from offloop.artifacts.quota import Quota, Quotas, Usage
from offloop.artifacts.store import Artifact, ArtifactStore, digest_of
from offloop.errors import Conflict, NotFound, OffloopError, QuotaExceeded, Unavailable
from offloop.redis import schema
from offloop.settings import load

pytestmark = pytest.mark.anyio

MIB = 1 << 20


def soon(seconds: float = 60) -> int:
    """A time in ms."""
    return int((time.time() + seconds) * 1000)


@pytest.fixture
def quotas(redis: ArqRedis) -> Quotas:
    """With room for three files and one MiB."""
    return Quotas(redis, Quota(artifacts=3, bytes=MIB))


async def test_only_files_that_fit_are_counted(quotas: Quotas) -> None:
    await quotas.charge("alice", {"a": MIB // 2}, expires=soon())
    with pytest.raises(QuotaExceeded, match=r"1 MiB may be kept .* 0\.50 MiB are, and this needs 0\.50 more"):
        await quotas.charge("alice", {"b": MIB // 2 + 1}, expires=soon())
    await quotas.charge("alice", {"b": MIB // 4, "c": MIB // 4}, expires=soon())
    assert await quotas.usage("alice") == Usage(3, MIB)
    with pytest.raises(
        QuotaExceeded, match=r"3 files may be kept .* 3 are\. Nothing was kept\. The oldest file goes at"
    ):
        await quotas.charge("alice", {"d": 0}, expires=soon())
    assert await quotas.usage("alice") == Usage(3, MIB)


async def test_a_file_that_cannot_fit_is_refused_before_its_bytes_come(quotas: Quotas) -> None:
    """By the caller's own usage; a file that fills the quota exactly fits."""
    await quotas.charge("alice", {"a": MIB // 2}, expires=soon())
    await quotas.check_room("alice", MIB // 2)
    await quotas.check_room("bob", MIB)
    with pytest.raises(QuotaExceeded, match=r"1 MiB may be kept .*; 0\.50 MiB are, and this needs 2 more"):
        await quotas.check_room("alice", 2 * MIB)
    with pytest.raises(QuotaExceeded):
        await quotas.check_room("alice", MIB // 2 + 1)
    assert await quotas.usage("alice") == Usage(1, MIB // 2)


def test_the_settings_bound_files_and_mebibytes() -> None:
    limits = {"OFFLOOP_MAX_ARTIFACTS_PER_PRINCIPAL": "7", "OFFLOOP_MAX_STORED_MB_PER_PRINCIPAL": "3"}
    assert Quota.of(load(limits)) == Quota(artifacts=7, bytes=3 * MIB)
    assert Quota.of(load({})) == Quota()


async def test_many_are_counted_all_or_none(quotas: Quotas) -> None:
    with pytest.raises(QuotaExceeded):
        await quotas.charge("alice", {"a": 1, "b": MIB}, expires=soon())
    assert await quotas.usage("alice") == Usage(0, 0)


async def test_the_same_file_counts_once_and_only_grows(quotas: Quotas) -> None:
    for size in (0, 100, 100, 50):
        await quotas.charge("alice", {"a": size}, expires=soon())
    assert await quotas.usage("alice") == Usage(1, 100)


async def test_another_principal_is_not_affected(quotas: Quotas) -> None:
    await quotas.charge("alice", {"a": MIB}, expires=soon())
    await quotas.charge("bob", {"a": MIB}, expires=soon())
    assert await quotas.usage("bob") == Usage(1, MIB)
    assert await quotas.ids("bob", 0, 10) == ["a"]


async def test_expired_and_dropped_files_make_room(quotas: Quotas, redis: ArqRedis) -> None:
    await quotas.charge("alice", {"old": MIB // 2}, expires=soon(60))
    await quotas.charge("alice", {"a": MIB // 2}, expires=soon(60))
    await redis.zadd(schema.quota_keys("alice")[0], {"old": soon(-1)})
    assert await quotas.usage("alice") == Usage(1, MIB // 2)
    await quotas.refund("alice", ["a", "a", "unknown"])
    assert await quotas.usage("alice") == Usage(0, 0)
    await quotas.charge("alice", {"b": MIB}, expires=soon(60))


async def test_the_counts_go_with_the_last_artifact(quotas: Quotas, redis: ArqRedis) -> None:
    await quotas.charge("alice", {"a": 1}, expires=soon(60))
    await quotas.charge("alice", {"b": 1}, expires=soon(20))
    for key in schema.quota_keys("alice"):
        assert 50_000 < await redis.pttl(key) <= 60_000


async def test_many_front_ends_together_charge_no_more_than_the_quota(redis: ArqRedis) -> None:
    several = [Quotas(redis, Quota(artifacts=100, bytes=10 * MIB)) for _ in range(4)]
    tries = [several[n % 4].charge("alice", {f"file{n}": MIB}, expires=soon()) for n in range(40)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(result is None for result in results) == 10
    assert await several[0].usage("alice") == Usage(10, 10 * MIB)


@pytest.fixture
def store(redis: ArqRedis, tmp_path: Path) -> ArtifactStore:
    """A store with room for three files and one MiB."""
    quota = Quota(artifacts=3, bytes=MIB)
    return ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=7200, quota=quota)


async def put(store: ArtifactStore, tmp_path: Path, size: int) -> Artifact:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    return await store.put(path, principal="alice", name="n", mime_type="x/y", digest=digest_of(path))


async def test_a_file_that_the_store_does_not_take_is_not_counted(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "artifacts").rmdir()
    (tmp_path / "artifacts").write_text("no folder any more")
    with pytest.raises(Unavailable):
        await put(store, tmp_path, 10)
    assert await store.quotas.usage("alice") == Usage(0, 0)


async def test_files_of_a_failed_job_are_deleted_and_not_counted(store: ArtifactStore, tmp_path: Path) -> None:
    made = [await put(store, tmp_path, 10) for _ in range(2)]
    await store.forget(made, "alice")
    await store.forget([], "alice")
    assert await store.quotas.usage("alice") == Usage(0, 0)
    with pytest.raises(NotFound):
        await store.get(made[0].artifact_id, principal="alice")
    assert await store.page("alice", 0, 10) == ([], None)


async def test_deleting_frees_room_immediately_and_touches_nothing_of_others(
    store: ArtifactStore, redis: ArqRedis, tmp_path: Path
) -> None:
    """Unknown, foreign and repeated ids are left out of the answer; so is one that only looks like the sum's name."""
    first, second = [await put(store, tmp_path, MIB // 2) for _ in range(2)]
    path = tmp_path / "file"
    theirs = await store.put(path, principal="bob", name="n", mime_type="x/y", digest=digest_of(path))
    with pytest.raises(QuotaExceeded):
        await put(store, tmp_path, 1)
    asked = [first.artifact_id, "unknown", theirs.artifact_id, first.artifact_id, "*", "x\0y"]
    assert await store.delete(asked, principal="alice") == [first.artifact_id]
    assert await store.quotas.usage("alice") == Usage(1, MIB // 2)
    assert await store.quotas.usage("bob") == Usage(1, MIB // 2)
    assert (await store.get(theirs.artifact_id, principal="bob")) == theirs
    assert await store.page("alice", 0, 10) == ([second], None)
    assert await store.delete(asked, principal="alice") == []
    assert await store.delete([], principal="alice") == []
    again = await put(store, tmp_path, MIB // 2)
    assert {*await store.delete([again.artifact_id, second.artifact_id], principal="alice")} == {
        again.artifact_id,
        second.artifact_id,
    }
    assert await store.quotas.usage("alice") == Usage(0, 0)
    assert [await redis.ttl(key) for key in schema.quota_keys("alice") if await redis.ttl(key) == -1] == []


async def test_a_count_without_a_record_is_not_deleted(store: ArtifactStore) -> None:
    """It may be that of a file on its way into the store, whose id is in the list of ids already."""
    await store.quotas.charge("alice", {"coming": 100}, expires=soon())
    assert await store.delete(["coming"], principal="alice") == []
    assert await store.quotas.usage("alice") == Usage(1, 100)


@pytest.mark.parametrize("key", ["same input", "idempotency key", "same input, a later job"])
async def test_a_job_whose_file_is_deleted_is_found_by_its_idempotency_key_but_not_by_equal_input(
    store: ArtifactStore, redis: ArqRedis, tmp_path: Path, key: str
) -> None:
    """An equal request wants the file again; an equal key starts no second job."""
    noted = (
        schema.idempotency_key("alice", "k") if key == "idempotency key" else schema.same_input_key("alice", "print")
    )
    now = "later" if key == "same input, a later job" else "made-it"
    await redis.hset(f"{schema.RECORD}made-it", mapping={"key": noted})  # type: ignore[misc]
    await redis.set(noted, now, px=60_000)
    await redis.pexpire(f"{schema.RECORD}made-it", 60_000)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    made = await store.put(path, principal="alice", name="n", mime_type="x/y", digest=digest_of(path), job="made-it")
    assert await store.get(made.artifact_id, principal="alice") == made
    assert await store.delete([made.artifact_id], principal="bob") == []
    assert await redis.get(noted) == now.encode()
    assert await store.delete([made.artifact_id], principal="alice") == [made.artifact_id]
    assert await redis.get(noted) == (None if key == "same input" else now.encode())


class MeanwhileWritten(Blobs):
    """Blobs whose uploads are deleted while their bytes are written."""

    store: ArtifactStore

    async def put(self, path: Path, sha256: str, expires: int) -> str:
        blob = await super().put(path, sha256, expires)
        ids = await self.store.quotas.ids("alice", 0, 10)
        assert await self.store.delete(ids, principal="alice") == ids
        return blob


class MeanwhileCounted(Quotas):
    """Counts whose uploads are deleted just before their bytes are counted."""

    async def charge_upload(self, principal: str, artifact_id: str, size: int, *, expires: int) -> None:
        assert await self.delete(principal, [artifact_id]) == [artifact_id]
        await super().charge_upload(principal, artifact_id, size, expires=expires)


@pytest.mark.parametrize("moment", ["before it is counted", "while it is written"])
async def test_an_upload_that_is_deleted_while_it_comes_is_refused_and_not_counted(
    redis: ArqRedis, tmp_path: Path, moment: str
) -> None:
    url = (tmp_path / "artifacts").as_uri()
    store = ArtifactStore(url, redis, retention_seconds=7200)
    if moment == "before it is counted":
        store.quotas = MeanwhileCounted(redis, Quota())
    else:
        store._blobs = blobs = MeanwhileWritten(url)
        blobs.store = store
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with pytest.raises(NotFound, match=reserved.artifact_id):
        await store.complete(reserved.artifact_id, path, digest=digest_of(path))
    assert await store.quotas.usage("alice") == Usage(0, 0)
    assert await store.quotas.ids("alice", 0, 10) == []
    assert not await redis.exists(schema.artifact_key(reserved.artifact_id))


async def test_counts_stay_exact_under_concurrent_uploads_and_deletions(redis: ArqRedis, tmp_path: Path) -> None:
    store = ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=7200)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    digest = digest_of(path)
    for number in range(40):
        reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")

        async def delete(artifact_id: str = reserved.artifact_id, later: int = number % 20) -> list[str]:
            for _ in range(later):
                await asyncio.to_thread(path.stat)
            return await store.delete([artifact_id], principal="alice")

        filled, deleted = await asyncio.gather(
            store.complete(reserved.artifact_id, path, digest=digest), delete(), return_exceptions=True
        )
        assert deleted == [reserved.artifact_id]
        assert isinstance(filled, Artifact | NotFound)
        assert await store.quotas.usage("alice") == Usage(0, 0)
        assert not await redis.exists(schema.artifact_key(reserved.artifact_id))


async def test_an_upload_counts_from_the_start_and_is_waited_for_an_hour(store: ArtifactStore, tmp_path: Path) -> None:
    """Its retention begins when its bytes have come."""
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    assert await store.quotas.usage("alice") == Usage(1, 0)
    assert soon(3500) < reserved.expires <= soon(3600)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    filled = await store.complete(reserved.artifact_id, path, digest=digest_of(path))
    assert soon(7100) < filled.expires <= soon(7200)
    assert await store.quotas.usage("alice") == Usage(1, 100)
    assert (await store.get(filled.artifact_id, principal="alice")) == filled


async def test_of_two_uploads_to_one_artifact_one_is_kept_and_the_larger_one_counts(
    store: ArtifactStore, tmp_path: Path
) -> None:
    reserved = await store.reserve(principal="alice", name="a", mime_type="x/y")
    paths = [tmp_path / "one", tmp_path / "two"]
    for path, size in zip(paths, (10, 500_000), strict=True):
        path.write_bytes(b"x" * size)
    both = [store.complete(reserved.artifact_id, path, digest=digest_of(path)) for path in paths]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Artifact", Conflict.__name__]
    kept = await store.get(reserved.artifact_id, principal="alice")
    assert kept in results
    assert (await store.quotas.usage("alice")).bytes >= kept.size


@pytest.mark.parametrize("url", ["file", "memory:///"])
async def test_expired_hours_are_collected_from_folders_and_from_object_storage(
    redis: ArqRedis, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stands for S3: it has no folders. Pending uploads have no bytes, so nothing of them is left."""
    folder = tmp_path / "artifacts"
    store = ArtifactStore(folder.as_uri() if url == "file" else url, redis, retention_seconds=60)
    await store.reserve(principal="alice", name="never comes", mime_type="x/y")
    first, second = [await put(store, tmp_path, 10) for _ in range(2)]
    if url == "file":
        (folder / first.blob).with_name("half#1").write_bytes(b"of a process that was killed while it wrote")
    assert await store.collect() == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 4 * 3600)
    assert await store.collect() == 2
    assert await store.collect() == 0
    for artifact in (first, second):
        with pytest.raises(OffloopError):
            [piece async for piece in store.stream(artifact)]
    if url == "file":
        hour = datetime.fromtimestamp(first.expires / 1000, UTC).strftime("%Y%m%d%H")
        assert not (folder / hour).exists()
