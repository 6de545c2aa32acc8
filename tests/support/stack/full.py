"""The full stack: all features, on a Valkey whose data survives SIGKILL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.hosts.receiver import LOCAL, NETWORK
from support.jobs import stack_tools
from support.stack.stack import Stack

DATABASE = "journeys"
"""The database of the connections ``pg`` and ``my``; the SQLite database ``lite`` has a table of notes."""
MAX_QUEUED = 4
"""Jobs that a principal may have in a queue."""
PUBLIC_URL = "http://127.0.0.1:1"
"""Base of the links in webhooks."""
WORKER = {"queues": "default,hash,pdf,search", "public_url": PUBLIC_URL}
"""Settings of its worker, which has two slots; no worker serves the queue ``image``."""
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel, as a reference."""


@contextmanager
def full(temporary: Path, databases: Mapping[str, Any]) -> Iterator[Stack]:
    """A front end and a worker; `databases` has the URLs of `DATABASE` by connection."""
    database = temporary / "full.db"
    _write_notes(database)
    stack = Stack(
        temporary / "full",
        persistent=True,
        job_modules="stack_jobs,stack_tools",
        tool_threads=1,
        fetch_hosts="*",
        fetch_networks=NETWORK,
        fetch_read_seconds=100,
        webhook_hosts=LOCAL,
        max_upload_mb=32,
        max_queued_per_principal=MAX_QUEUED,
        sql_lite=f"sqlite:///{database}",
        query_threads=1,
        query_seconds=50,
        **{f"sql_{name}": url for name, url in databases.items()},
    )
    try:
        shutil.copy(str(stack_tools.__file__), stack.folder / "modules" / "stack_tools.py")
        worker, front_end = stack.begin_worker(**WORKER), stack.begin_front_end()
        stack.await_front_end(front_end)
        stack.await_worker(worker)
        yield stack
    finally:
        stack.close()
        database.unlink()


def _write_notes(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE notes (id integer PRIMARY KEY, note text)")
    connection.execute("INSERT INTO notes (note) VALUES ('first')")
    connection.commit()
    connection.close()
