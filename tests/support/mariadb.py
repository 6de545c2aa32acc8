"""Temporary MariaDB server for each pytest process, on a Unix socket and a port of 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomysql
import pytest

from offloop_server.io.deadline import Deadline
from offloop_server.io.results.rows import Rows
from offloop_server.io.sql.driver import Query
from offloop_server.io.sql.mysql.database import MySQL
from support.certificates import certificate
from support.programs import needs, unprivileged
from support.waiting import eventually

ROOT = "root"
"""The administrator; no tool connects with it."""
READER = "reader"
"""A user that may log in and read everything."""
WRITER = "writer"
"""A user that may write to `ATTACKED`."""
ATTACKED = "attacked"
"""The database that the tests of the driver attack."""
OPEN = "SELECT id FROM information_schema.processlist WHERE db = %s"
"""Connections to a database."""
_RUNNING = "SELECT count(*) FROM information_schema.processlist WHERE db = %s AND command <> 'Sleep'"
PASSWORD = "a very:secret/pass@word"  # noqa: S105 -- of a temporary server
HOST = "localhost"
"""The name in the server's certificate."""
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
_PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults")
# Without waiting for disks: the data live as long as the tests.
_OPTIONS = ("--no-defaults", "--debug-no-sync", "--innodb-flush-method=nosync", "--innodb-log-file-size=4M")


class MariaDB:
    """A server, which can be stopped and started.

    Args:
        folder: where its socket, certificate and data are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.options: dict[str, Any] = {"cwd": folder, "env": {"PATH": _PATH, "LC_ALL": "C"}, **unprivileged(folder)}
        self.certificate, key = certificate(folder, HOST)
        key.chmod(0o644)
        users = folder / "users.sql"
        users.write_text(
            f"CREATE USER IF NOT EXISTS {READER} IDENTIFIED BY '{PASSWORD}';\nGRANT SELECT ON *.* TO {READER};\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [
            *(shutil.which("mariadbd", path=_PATH) or "mariadbd", *_OPTIONS, f"--datadir={folder / 'data'}"),
            *(f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", f"--port={self.port}"),
            *("--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=80", "--local-infile=1"),
            *(f"--ssl-cert={self.certificate}", f"--ssl-key={key}", "--innodb-buffer-pool-size=16M"),
            "--log-bin-trust-function-creators=1",
            f"--init-file={users}",
        ]

    @property
    def pid(self) -> int:
        """The process of the server."""
        assert self._process is not None
        return self._process.pid

    def url(self, user: str = READER, database: str = "", *, tcp: str = "") -> str:
        """URL of a database with a user, over the socket, or over TCP with these options."""
        login = f"{user}:{PASSWORD.replace('@', '%40').replace('/', '%2F').replace(':', '%3A').replace(' ', '%20')}"
        if tcp:
            return f"mysql://{login}@{HOST}:{self.port}/{database}?{tcp}"
        return f"mysql://{login}@{HOST}/{database}?socket={self.folder / 'socket'}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen[bytes](self._command, stdout=log, stderr=log, **self.options)
        end = time.monotonic() + 30
        while not _answers(self.port):
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            assert time.monotonic() < end, "MariaDB is ready in time"
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill the server: its data are not worth a slow shutdown, and survive."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def execute(self, *statements: str, database: str = "") -> None:
        """Run statements as the administrator."""
        for statement in statements:
            await self.fetch(statement, database=database)

    async def fetch(self, sql: str, *values: Any, database: str = "") -> list[tuple[Any, ...]]:
        """Run a query as the administrator; ``%s`` stands for a value."""
        connection = await aiomysql.connect(
            user=ROOT, unix_socket=str(self.folder / "socket"), db=database or None, autocommit=True
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(sql, values or None)
                return list(await cursor.fetchall())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """The server of this process; the exit removes its folder and its process."""
    programs = [Path(shutil.which(name, path=_PATH) or name) for name in _PROGRAMS]
    needs("mariadb-server-core mariadb-client-core", *programs)
    # Outside the folder of the tests, which other users may not enter; the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="mariadb-", dir="/tmp"))
    server = MariaDB(folder)
    try:
        install = ["mariadb-install-db", *_OPTIONS, f"--datadir={folder / 'data'}", "--skip-test-db"]
        subprocess.run(
            [*install, "--skip-name-resolve", "--auth-root-authentication-method=normal"],
            check=True,
            stdout=subprocess.DEVNULL,
            **server.options,
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def read(database: MySQL, sql: str, *parameters: Any, seconds: float = 30, **caps: int) -> Rows:
    """The rows of a query."""
    rows = Rows(**{"max_rows": 100, "max_bytes": 1 << 20, **caps})
    await database.run(Query(sql, list(parameters)), rows, Deadline(seconds))
    return rows


async def running(server: MariaDB, count: int) -> None:
    """Wait until that many statements run in `ATTACKED`."""

    async def as_many() -> bool:
        return await server.fetch(_RUNNING, ATTACKED) == [(count,)]

    await eventually(as_many, f"{count} statements run")


def mariadb_or_none(request: pytest.FixtureRequest) -> MariaDB | None:
    """The server of this process; ``None`` where MariaDB is not installed."""
    try:
        server: MariaDB = request.getfixturevalue("mariadb")
    except pytest.skip.Exception:
        return None
    return server


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
