"""MongoDB-compatible server for each pytest process: SecantusDB, which answers in MongoDB's protocol on a TCP port.

MongoDB itself comes from no package index. docs/decisions/0020-document-and-key-stores.md says what this server lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from offloop.processes.parent_death import die_with_parent_command
from support.processes import freeze

_START_SECONDS = 60


@dataclass(frozen=True)
class Mongo:
    """A running server.

    Attributes:
        port: its port on the loopback address.
        process: for tests that stop it.
    """

    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str, login: str = "") -> str:
        """URL of a database; `login` is empty, or ``user:password@``."""
        return f"mongodb://{login}127.0.0.1:{self.port}/{database}"

    def freeze(self) -> None:
        """Stop it: connections stay open and get no answer."""
        freeze(self.process.pid)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self.process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
        """A client that fills collections."""
        async with AsyncMongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{self.port}") as client:
            yield client


@contextmanager
def serve_mongo(folder: Path | None = None, *, logins: bool = False) -> Iterator[Mongo]:
    """A server that runs while the block is open; the exit ends its process, and removes its folder.

    Args:
        folder: keeps the data, and stays.
        logins: whether users need a login.
    """
    program = Path(sys.executable).with_name("secantusd-py")
    if not program.exists():
        pytest.skip("needs-mongodb: secantusdb is not installed (it has wheels only, for Python 3.11 to 3.13)")
    # Outside the folder of the tests, and without their mark: it may outlive a test.
    own, folder = folder is None, folder or Path(tempfile.mkdtemp(prefix="mongo-", dir="/tmp"))
    command = [str(program), "--host", "127.0.0.1", "--port", "0", "--standalone", "--cache-size", "64M"]
    command += ["--auth"] if logins else []
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen[bytes](
                die_with_parent_command([*command, "--storage-path", str(folder / "data")]),
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield Mongo(_await_port(folder / "log", process), process)
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()  # it writes its data
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        if own:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mongo() -> Iterator[Mongo]:
    """The server of this process."""
    with serve_mongo() as server:
        yield server


def mongo_or_none(request: pytest.FixtureRequest) -> Mongo | None:
    """The server of this process; ``None`` where it is not installed."""
    try:
        server: Mongo = request.getfixturevalue("mongo")
    except pytest.skip.Exception:
        return None
    return server


@asynccontextmanager
async def relay(target: int) -> AsyncIterator[tuple[int, dict[int, bytes]]]:
    """A port that leads to another one; yields it, and what each open connection has sent."""
    sent: dict[int, bytes] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: int | None) -> None:
        while data := await reader.read(65536):
            if key is not None:
                sent[key] += data
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        further, back = await asyncio.open_connection("127.0.0.1", target)
        sent[key := id(writer)] = b""
        pipes = [asyncio.ensure_future(pipe(reader, back, key)), asyncio.ensure_future(pipe(further, writer, None))]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del sent[key]
            for half in pipes:
                half.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            for end in (writer, back):
                end.close()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], sent
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _await_port(log: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        text = log.read_text("utf-8", "replace")
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", text):
            return int(found[1])
        assert process.poll() is None, f"the server has ended:\n{text[-2000:]}"
        time.sleep(0.05)
    raise AssertionError(text[-2000:])
