"""The embedded Valkey: it starts, keeps its data, comes back after a crash, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from offloop.errors import SettingsError
from offloop.processes.embedded_redis import EmbeddedRedis, find_binary


def _socket(server: EmbeddedRedis) -> Path:
    return Path(urlsplit(server.url).path)


def test_it_answers_on_a_private_socket_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The socket is for its owner only; after the context neither process nor socket is left."""

    async def scenario() -> None:
        async with EmbeddedRedis(tmp_path, persistent=False) as server:
            socket, pid = _socket(server), server.pid
            assert pid is not None
            assert stat.S_IMODE(socket.stat().st_mode) == 0o700
            assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
            async with Redis.from_url(server.url) as redis:
                assert await redis.ping()
                assert (await redis.config_get("port"))["port"] == "0"
                assert (await redis.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        assert not socket.parent.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(scenario())


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    """The append-only file brings the data back; a throwaway instance has none."""

    async def visit(value: str | None, *, persistent: bool) -> bytes | None:
        async with (
            EmbeddedRedis(tmp_path, persistent=persistent) as server,
            Redis.from_url(server.url) as redis,
        ):
            before: bytes | None = await redis.get("kept")
            if value:
                await redis.set("kept", value)
            return before

    assert asyncio.run(visit("yes", persistent=True)) is None
    assert asyncio.run(visit(None, persistent=True)) == b"yes"
    assert asyncio.run(visit(None, persistent=False)) is None


def test_a_killed_server_comes_back_on_the_same_socket_with_its_data(tmp_path: Path) -> None:
    """A crash of the server is a pause for its clients, not the end."""

    async def scenario() -> None:
        async with EmbeddedRedis(tmp_path) as server:
            async with Redis.from_url(server.url) as redis:
                await redis.set("kept", "yes")
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                while server.pid in (pid, None) or not await _pings(server.url):  # noqa: ASYNC110 -- it has no event
                    await asyncio.sleep(0.02)
            async with Redis.from_url(server.url) as redis:
                assert await redis.get("kept") == b"yes"

    asyncio.run(scenario())


async def _pings(url: str) -> bool:
    try:
        async with Redis.from_url(url) as redis:
            return bool(await redis.ping())
    except (OSError, RedisError):
        return False


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one is refused with words on what to do; the first one goes on."""

    async def scenario() -> None:
        async with EmbeddedRedis(tmp_path) as first:
            with pytest.raises(SettingsError, match="--state-dir"):
                await EmbeddedRedis(tmp_path).__aenter__()
            assert await _pings(first.url)
        async with EmbeddedRedis(tmp_path) as third:
            assert await _pings(third.url)

    asyncio.run(scenario())


def test_stop_is_safe_before_start_and_twice(tmp_path: Path) -> None:
    """A stop has nothing to do before a start or after another stop."""

    async def scenario() -> None:
        server = EmbeddedRedis(tmp_path, persistent=False)
        await server.stop()
        await server.start()
        await server.stop()
        await server.stop()
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.url

    asyncio.run(scenario())


def test_the_socket_of_a_killed_owner_is_cleared_by_the_next_start(tmp_path: Path) -> None:
    """The lock file remembers where the socket was."""
    left = Path(os.path.realpath(tmp_path)) / "offloop-left"
    left.mkdir()
    (left / "r.sock").touch()
    folder = tmp_path / "redis"
    folder.mkdir()
    (folder / "lock").write_text(str(left))

    async def scenario() -> None:
        async with EmbeddedRedis(folder, persistent=False):
            assert not left.exists()

    asyncio.run(scenario())


def test_a_program_that_cannot_be_run_is_named_with_its_setting(tmp_path: Path) -> None:
    """OFFLOOP_REDIS_BIN must be a program."""
    plain = tmp_path / "valkey-server"
    plain.write_text("not a program")
    with pytest.raises(SettingsError, match="OFFLOOP_REDIS_BIN"):
        find_binary(plain)


def test_a_program_that_ends_at_once_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    """What starts and ends is reported within a moment."""

    async def scenario() -> None:
        async with asyncio.timeout(5):
            with pytest.raises(SettingsError, match="did not start"):
                await EmbeddedRedis(tmp_path, binary=Path("/bin/false")).__aenter__()

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message says where it tried to write and which setting changes that."""
    (tmp_path / "file").touch()

    async def scenario() -> None:
        with pytest.raises(SettingsError, match="OFFLOOP_STATE_DIR"):
            await EmbeddedRedis(tmp_path / "file" / "redis").__aenter__()

    asyncio.run(scenario())
