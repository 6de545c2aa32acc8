"""``offloop serve``: the front end alone, on a shared Redis."""

from __future__ import annotations

from typing import Annotated

import typer

from offloop import logs, settings
from offloop.cli.extras import need
from offloop.errors import SettingsError
from offloop.processes import event_loop

Host = Annotated[str | None, typer.Option(help="Address to listen on (OFFLOOP_HOST).", show_default=False)]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one (OFFLOOP_PORT).")]

Insecure = Annotated[bool, typer.Option("--insecure", help="Listen beyond loopback without API keys.")]


def serve(*, host: Host = None, port: Port = None, insecure: Insecure = False) -> None:
    """Run the front end; needs OFFLOOP_REDIS_URL and separate workers."""
    need("serve", "server")
    loaded = settings.load().replaced(host=host, port=port, insecure=insecure or None)
    if loaded.redis_url is None:
        message = (
            "OFFLOOP_REDIS_URL is not set, and `offloop serve` starts no Redis. Set it, or start everything on this "
            "machine with `offloop up`."
        )
        raise SettingsError(message)
    logs.configure(loaded, role="server")
    from offloop_server.server import run  # noqa: PLC0415 -- keeps --help fast: a second of imports

    event_loop.run(run(loaded))
