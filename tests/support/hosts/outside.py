"""Web server with well-behaved and misbehaving paths, which counts connections and requests."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import parse_qs, urlsplit

LOCAL = "127.0.0.1"
NO_CONTENT = (204, 205, 304)
REASONS = {200: "OK", 302: "Found", 304: "Not Modified", 503: "Service Unavailable"}


@cache
def bomb() -> bytes:
    """A decompression bomb: 64 MiB of zeros in a few hundred kilobytes."""
    return gzip.compress(bytes(64 << 20), compresslevel=1)


class Outside:
    """The server and its counters.

    Attributes:
        port: its port.
        accepted: number of connections so far.
        open: number of open connections.
        peak: maximum requests in flight, in total (``""``) and by host.
        asked: number of requests by path.
        order: paths of all requests, in order.
        bodies: type and body of further paths, for the test to set.
        begun: set when a request begins.
        emptied: set when the last connection closes.
    """

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self.open = 0
        self.peak: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.order: list[str] = []
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self.begun = asyncio.Event()
        self.emptied = asyncio.Event()
        self._in_flight: Counter[str] = Counter()

    def url(self, path: str, host: str = LOCAL) -> str:
        """A URL of this server."""
        return f"http://{host}:{self.port}{path}"

    async def resolve(self, _host: str, _port: int) -> Sequence[str]:
        """Resolve every name to this server."""
        return [LOCAL]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the requests of one connection."""
        self.accepted += 1
        self.open += 1
        self.emptied.clear()
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    await writer.drain()
        finally:
            self.open -= 1
            if not self.open:
                self.emptied.set()
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        self.asked[split.path] += 1
        self.order.append(split.path)
        where = ("", headers["host"].partition(":")[0])
        for key in where:
            self._in_flight[key] += 1
            self.peak[key] = max(self.peak[key], self._in_flight[key])
        self.begun.set()
        try:
            await asyncio.sleep(float(query.get("delay", "0")))
            if split.path == "/hang":
                await reader.read()  # until the other side is gone
                return False
            if split.path in ("/endless", "/drip", "/cut"):
                return await self._strange(split.path, writer)
            status, answered, content = self._answer(
                split.path, query, {":method": method, ":body": body.decode(), **headers}
            )
            write(writer, status, answered, b"" if method == "HEAD" or status in NO_CONTENT else content)
            return True
        finally:
            for key in where:
                self._in_flight[key] -= 1

    async def _strange(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Send an endless answer, or a truncated one."""
        if path == "/cut":
            write(writer, 200, {"content-length": "100"}, b"only this")
            return False
        write(writer, 200, {"content-type": "text/plain", "transfer-encoding": "chunked"})
        while True:
            writer.write(b"1000\r\n" + bytes(4096) + b"\r\n" if path == "/endless" else b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0 if path == "/endless" else 0.05)

    def _answer(  # noqa: PLR0911 -- a table of behaviours
        self, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the path's behaviour."""
        plain = {"content-type": "text/plain"}
        if path in self.bodies:
            mime_type, content = self.bodies[path]
            return 200, {"content-type": mime_type}, content
        match path.split("/")[1]:
            case "bomb":
                return 200, {"content-encoding": query.get("as", "gzip"), **plain}, bomb()
            case "redirect":
                return int(query.get("status", "302")), {"location": query["to"]}, b""
            case "status":
                status = int(path.split("/")[2]) if self.asked[path] <= int(query.get("times", "1000000")) else 200
                after = {"retry-after": query["after"]} if "after" in query else {}
                return status, {**plain, **after}, b"please come again"
            case "etag":
                known = headers.get("if-none-match") == '"v1"'
                return 304 if known else 200, {"etag": '"v1"', **plain}, b"" if known else b"v1"
            case "echo":
                return 200, {"content-type": "application/json"}, json.dumps(headers).encode()
            case "as":
                return (
                    200,
                    {"content-type": query["type"]},
                    query.get("body", "").encode("latin-1") * int(query.get("repeat", "1")),
                )
            case "deep":
                return 200, {"content-type": "text/html"}, b"<div>" * int(query["levels"]) + b"deep"
            case "big":
                return 200, plain, b"x" * int(query["size"])
        return 200, plain, f"{path} says hello".encode()


def write(writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    """Send an answer, or its first part."""
    if "transfer-encoding" not in headers:
        headers = {"content-length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """A server on its own port; the exit closes its connections."""
    made = Outside()
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, LOCAL, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        left = set(tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
