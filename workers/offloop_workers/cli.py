"""The workers' command: ``offloop worker``."""

from __future__ import annotations

from typing import Annotated

import typer

from offloop import logs, settings
from offloop.cli.extras import installed, need
from offloop.errors import SettingsError
from offloop.processes import event_loop


def commands(app: typer.Typer) -> None:
    """Add the command; without its libraries it is not listed, and says what to install when asked for."""
    app.command("worker", hidden=not installed("workers"))(worker)


def worker(
    *,
    queues: Annotated[
        str | None, typer.Option(help="Queues to serve, by comma; default: all (OFFLOOP_QUEUES).", show_default=False)
    ] = None,
    slots: Annotated[
        int | None, typer.Option(help="Jobs in parallel; default: the number of CPU cores (OFFLOOP_SLOTS).")
    ] = None,
) -> None:
    """Run one worker; needs OFFLOOP_REDIS_URL. Start as many as you like, on as many machines."""
    need("worker", "workers")
    loaded = settings.load().replaced(queues=queues, slots=slots)
    if loaded.redis_url is None:
        message = (
            "OFFLOOP_REDIS_URL is not set, and `offloop worker` starts no Redis. Set it to the one the front end uses, "
            "or start everything on this machine with `offloop up`."
        )
        raise SettingsError(message)
    logs.configure(loaded, role="worker")
    from offloop_workers.process import run  # noqa: PLC0415 -- imports that --help does without

    event_loop.run(run(loaded))
