"""ASGI server in the process of the test, configured like the front end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from offloop_server.web.http_protocol import HttpProtocol


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """Serve the application; yields the port."""
    config = uvicorn.Config(app, port=0, http=HttpProtocol, log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    server.config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    await server.shutdown()
