"""``offloop demo``: three jobs on real input, through MCP over HTTP, on a temporary stack."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offloop import logs, settings
from offloop.cli.extras import need
from offloop.cli.terminal import say
from offloop.errors import BadInput, JobError, Unavailable
from offloop_server.cli.target import Key, Url

if TYPE_CHECKING:
    from offloop.settings import Settings
    from offloop_server.cli.progress import Bar
    from offloop_server.client import Offloop

INPUTS = Path(__file__).parent.parent / "demo"
_THUMBNAIL = 480
_KEPT = ("redis_bin", "slots", "workers", "log_format", "log_level")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the demo's output."""

    step: str
    result: str
    seconds: float


def demo(
    *,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo-output"),
    url: Url = None,
    key: Key = None,
) -> None:
    """Render a guide, shrink a photo and hash a file through MCP; starts a stack of its own unless --url is given."""
    need("demo", "server", *(() if url else ("workers",)))
    from offloop_server.cli.stack import until_signalled  # noqa: PLC0415 -- keeps --help fast

    loaded = settings.load()
    logs.configure(loaded, role="demo")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the folder {output}: {error.strerror}. Choose another with --output."
        raise BadInput(message) from error
    raise typer.Exit(asyncio.run(until_signalled(_run(loaded, url, key, output), stopped=130)))


async def _run(loaded: Settings, url: str | None, key: str | None, output: Path) -> int:
    async with AsyncExitStack() as opened:
        if url is None:
            url, key = await _own_stack(loaded, opened), None
        rows = await _work(url, key, output)
    width = max(len(row.step) for row in rows)
    for row in rows:
        typer.echo(f"{row.step:<{width}}  {row.seconds:6.2f} s  {row.result}")
    typer.echo(f"The results are in {output}/")
    return 0


async def _own_stack(loaded: Settings, opened: AsyncExitStack) -> str:
    """Start a stack in a temporary folder, with its own Redis and port; returns the endpoint."""
    from offloop_server.cli.stack import Stack  # noqa: PLC0415 -- already loaded

    folder = Path(tempfile.mkdtemp(prefix="offloop-demo-"))
    opened.callback(shutil.rmtree, folder, ignore_errors=True)
    kept = {name: getattr(loaded, name) for name in _KEPT if name in loaded.model_fields_set}
    own = settings.Settings(**{"log_level": "warning", **kept}, state_dir=folder, port=0)
    say("Starting a Valkey, the front end and a worker of its own for the demo ...")
    stack = await opened.enter_async_context(Stack(own))
    if waiting := await stack.ready():
        message = f"the demo's own stack did not get ready: {waiting}. `offloop doctor` reports what is missing."
        raise Unavailable(message)
    return stack.endpoint


async def _work(url: str, key: str | None, output: Path) -> list[Row]:
    from offloop_server.cli.progress import Bar  # noqa: PLC0415 -- keeps --help fast
    from offloop_server.client import Offloop  # noqa: PLC0415 -- keeps --help fast

    async with Offloop(url, key) as offloop:
        with Bar() as bar:
            steps = _Steps(offloop, bar, output)
            return [await steps.guide(), await steps.thumbnail(), await steps.digest()]


class _Steps:
    """The three jobs; each verifies its result."""

    def __init__(self, offloop: Offloop, bar: Bar, output: Path) -> None:
        self._offloop, self._bar, self._output = offloop, bar, output
        self._photo = INPUTS / "photo.jpg"

    async def guide(self) -> Row:
        """Render the Markdown guide to a PDF."""
        self._bar.begin("render the guide")
        text = (INPUTS / "guide.md").read_text(encoding="utf-8")
        names = {name for name in re.findall(r"!\[[^\]]*\]\(([\w.-]+)\)", text) if (INPUTS / name).is_file()}
        assets = {name: await self._offloop.upload(INPUTS / name) for name in sorted(names)}
        arguments = {"markdown": text, "name": "guide.pdf", **({"assets": assets} if assets else {})}
        answer, path, seconds = await self._made("render_pdf", arguments)
        pages = answer["output"]["pages"]
        _expect(path.read_bytes()[:5] == b"%PDF-", f"{path} is not a PDF")
        _expect(pages > 1, f"{path} has {pages} page; the guide needs more")
        return Row("guide.md -> PDF", f"{path}: {pages} pages, {path.stat().st_size:,} bytes", seconds)

    async def thumbnail(self) -> Row:
        """Scale the photo down to a WebP."""
        self._bar.begin("shrink the photo")
        image = await self._offloop.upload(self._photo)
        arguments = {"image": image, "width": _THUMBNAIL, "format": "webp", "name": "thumbnail.webp"}
        answer, path, seconds = await self._made("transform_image", arguments)
        before, after = self._photo.stat().st_size, path.stat().st_size
        head = path.read_bytes()[:12]
        _expect(head[:4] == b"RIFF" and head[8:] == b"WEBP", f"{path} is not a WebP picture")
        _expect(after < before, f"{path} has {after:,} bytes, no less than the photo's {before:,}")
        size = f"{answer['output']['width']}x{answer['output']['height']}"
        return Row("photo.jpg -> WebP", f"{path}: {size}, {after:,} bytes instead of {before:,}", seconds)

    async def digest(self) -> Row:
        """Hash the photo and compare with hashlib."""
        self._bar.begin("hash the photo")
        file = await self._offloop.upload(self._photo)
        started = time.monotonic()
        answer = await self._offloop.run("hash_file", {"file": file, "algorithms": ["sha256"]}, self._bar)
        seconds = time.monotonic() - started
        found = answer["output"]["digests"]["sha256"]
        own = hashlib.sha256(self._photo.read_bytes()).hexdigest()
        _expect(found == own, f"the photo's sha256 came back as {found}, but it is {own}")
        (self._output / "photo.jpg.sha256").write_text(f"{found}  photo.jpg\n", encoding="utf-8")
        return Row("sha256 of photo.jpg", f"{found}, same as hashlib", seconds)

    async def _made(self, tool: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], Path, float]:
        """Run a job that makes one file; returns its answer, the downloaded file and the job's seconds."""
        started = time.monotonic()
        answer = await self._offloop.run(tool, arguments, self._bar)
        seconds = time.monotonic() - started
        _expect(len(answer["artifacts"]) == 1, f"{tool} answered with {len(answer['artifacts'])} files instead of one")
        return answer, await self._offloop.download(answer["artifacts"][0], self._output), seconds


def _expect(fits: bool, otherwise: str) -> None:  # noqa: FBT001 -- an assertion that python -O keeps
    if not fits:
        raise JobError(otherwise, code="demo")
