"""Worker process: the settings it refuses, and the loop that deletes expired artifacts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs

from offloop.artifacts.store import ArtifactStore
from offloop.errors import SettingsError, Unavailable
from offloop.settings import load
from offloop_workers import process
from support.waiting import poll

pytestmark = pytest.mark.anyio


class WatchedStore(ArtifactStore):
    """A store that says when it did not answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.refused = asyncio.Event()

    async def collect(self) -> int:
        try:
            return await super().collect()
        except Unavailable:
            self.refused.set()
            raise


async def test_a_worker_without_a_redis_names_the_setting_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"OFFLOOP_REDIS_URL is not set.*offloop up"):
        await process.run(load({"OFFLOOP_STATE_DIR": str(tmp_path)}))


async def test_expired_artifacts_are_deleted_from_time_to_time_and_after_an_outage(
    redis: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer ends neither the loop nor the worker."""
    monkeypatch.setattr(process, "COLLECT_SECONDS", 0.02)
    folder = tmp_path / "artifacts"
    store = WatchedStore(folder.as_uri(), redis, retention_seconds=60)

    def expired(hour: str) -> Path:
        """A blob that appears with its folder, as whole as one that was written hours ago."""
        made = tmp_path / hour
        made.mkdir()
        (made / ("0" * 64)).write_bytes(b"x")
        return made.rename(folder / hour)

    async def gone(path: Path) -> None:
        await poll(lambda: not path.exists(), f"{path} is deleted")

    with capture_logs() as logs:
        collecting = asyncio.create_task(process._collect(store))
        try:
            await gone(expired("2020010203"))
            unreadable = folder / "circle"
            unreadable.symlink_to(unreadable)
            await asyncio.wait_for(store.refused.wait(), 30)
            unreadable.unlink()
            await gone(expired("2020010204"))
            await poll(lambda: len(_deleted(logs)) == 2, "both deletions are logged")
            assert not collecting.done()
        finally:
            collecting.cancel()
            await asyncio.wait([collecting])
    assert _deleted(logs) == [1, 1]
    assert any(entry["event"].startswith("expired artifacts not deleted") and entry["error"] for entry in logs)


def _deleted(logs: Sequence[Mapping[str, Any]]) -> list[int]:
    return [entry["blobs"] for entry in logs if entry["event"] == "expired artifacts deleted"]
