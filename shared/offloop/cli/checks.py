"""Checks of `offloop doctor`, one function per subject; each returns what it found and the advice."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import json
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from offloop.artifacts.store import ArtifactStore
from offloop.cli import running
from offloop.cli.extras import installed
from offloop.errors import OffloopError
from offloop.kinds import catalogue
from offloop.processes.embedded_redis import EmbeddedRedis, find_binary
from offloop.queue.client import live_queues
from offloop.redis.connection import connect
from offloop.redis.outage import NET_ERRORS

if TYPE_CHECKING:
    from offloop.redis import RedisClient
    from offloop.settings import Settings

OLDEST_PYTHON = (3, 11)
OLDEST_REDIS = (7, 0)
LIBRARIES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fontconfig fonts-dejavu-core"
"""Debian packages that rendering needs."""

_FAILURES: tuple[type[BaseException], ...] = (OffloopError, RedisError, *NET_ERRORS)
_INSTALL = f"On Debian or Ubuntu: apt-get install {LIBRARIES}. On macOS: brew install pango."
_SUBSET = ("libharfbuzz-subset.so.0", "libharfbuzz-subset.0.dylib", "harfbuzz-subset")


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes:
        name: the subject.
        status: ``fail`` if jobs cannot run, ``warn`` if some may fail.
        found: the finding.
        advice: the remedy; ``""`` if none is needed.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


async def everything(settings: Settings) -> list[Check]:
    """All checks, dependencies first."""
    checks = [python()]
    if installed("workers"):
        checks += [await pango(), await fonts(), subset(), re2(), await sandbox()]
    else:
        checks.append(Check("rendering", "warn", "the worker libraries are not installed here", _WORKERS))
    return checks + [check async for check in services(settings)]


_WORKERS = "Fine for a machine that only serves. For workers: pip install 'offloop[workers]'"


def python() -> Check:
    """Check the version of the interpreter."""
    version = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        return Check("python", "ok", version)
    return Check("python", "fail", version, "offloop needs Python 3.11 or newer.")


async def pango() -> Check:
    """Load WeasyPrint, in a subprocess: a broken library may crash the process."""
    code, output = await _ended(sys.executable, "-c", "import weasyprint; print(weasyprint.__version__)")
    if code == 0:
        return Check("pango", "ok", f"WeasyPrint {output.splitlines()[-1]} loads")
    return Check("pango", "fail", f"WeasyPrint does not load: {_reason(output, code)}", _INSTALL)


def _reason(output: str, code: int) -> str:
    """Last line that names an error, because WeasyPrint also prints advice framed by dashes; else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or [f"it ended with {code}"]
    return next((line for line in reversed(lines) if re.match(r"\w*Error: ", line)), lines[-1])[:200]


async def fonts() -> Check:
    """Check that fontconfig has fonts."""
    if program := shutil.which("fc-list"):
        _, output = await _ended(program, ":", "family")
        families = {line.split(",")[0].strip() for line in output.splitlines() if line.strip()}
        if families:
            return Check("fonts", "ok", f"{len(families)} font families")
        return Check("fonts", "warn", "fontconfig knows no font: text may come out in one plain font", _INSTALL)
    if ctypes_loads("libfontconfig.so.1", "libfontconfig.1.dylib"):
        return Check("fonts", "ok", "fontconfig is here (without fc-list, so its fonts were not counted)")
    return Check("fonts", "warn", "fontconfig was not found", _INSTALL)


def subset() -> Check:
    """Check for the library that subsets fonts to the glyphs of a document."""
    if ctypes_loads(*_SUBSET):
        return Check("harfbuzz-subset", "ok", "fonts are embedded as subsets")
    return Check("harfbuzz-subset", "warn", "not found: PDFs take longer to make and are larger", _INSTALL)


def re2() -> Check:
    """Check for RE2, which searches in linear time."""
    if importlib.util.find_spec("re2"):
        return Check("re2", "ok", "search_text runs most patterns in linear time")
    advice = "pip install 'offloop[re2]', where there is a wheel: not for musl, nor for free-threaded Pythons."
    return Check("re2", "warn", "not found: search_text runs every pattern in Python's re, which backtracks", advice)


async def sandbox() -> Check:
    """Try the sandbox of jobs, in a subprocess."""
    code, output = await _ended(
        sys.executable, "-c", "from offloop_workers.sandbox import policy; print(policy.describe())"
    )
    try:
        found = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return Check("sandbox", "warn", f"could not be tried, it ended with {code}", _CONFINE)
    applied = ", ".join(found["applied"])
    if found["missing"]:
        return Check("sandbox", "warn", f"{applied}; missing: {'; '.join(found['missing'])}", _CONFINE)
    return Check("sandbox", "ok", applied)


_CONFINE = "Run workers on Linux 6.12 or newer on x86-64 or 64-bit ARM, and let the container use seccomp and Landlock."


def ctypes_loads(*names: str) -> bool:
    """Whether the dynamic linker finds a library of one of these names."""
    for name in names:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


async def services(settings: Settings) -> AsyncIterator[Check]:
    """Check Redis, the artifact store and the workers: of the configured Redis, else of a running `offloop up`."""
    up = running.find(settings.state_dir)
    if settings.redis_url:
        reached = reach(settings, settings.redis_url, "OFFLOOP_REDIS_URL")
    elif up:
        reached = reach(settings, up.redis_url, f"of the running `offloop up`, process {up.pid}")
    else:
        reached = embedded(settings)
    async for check in reached:
        yield check


async def embedded(settings: Settings) -> AsyncIterator[Check]:
    """Start an embedded Valkey in a temporary folder, as `offloop up` would."""
    try:
        binary = find_binary(settings.redis_bin)
        with tempfile.TemporaryDirectory(prefix="offloop-doctor-") as folder:
            async with EmbeddedRedis(Path(folder), binary=binary, persistent=False) as valkey:
                found = f"OFFLOOP_REDIS_URL is not set and no `offloop up` runs; it would embed {binary}, which starts"
                yield Check("redis", "ok", found)
                async with _connected(valkey.url) as connection:
                    yield await artifacts(settings, connection)
    except OffloopError as error:
        yield Check("redis", "fail", error.message, "`offloop up` needs it while OFFLOOP_REDIS_URL is not set.")
        return
    yield Check("workers", "warn", "none: offloop is not running here", "Start everything: offloop up (or ./run)")


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[RedisClient]:
    """A connection that is retried once, so that a missing server is reported soon."""
    connection = connect(url, retries=1)
    try:
        yield connection
    finally:
        await connection.aclose(close_connection_pool=True)  # `async with` would leave the pool open


async def reach(settings: Settings, url: str, source: str) -> AsyncIterator[Check]:
    """Check one Redis, its artifact store and its workers."""
    where = f"{_without_password(url)} ({source})"
    try:
        async with _connected(url) as connection:
            for check in await redis(connection, where):
                yield check
            yield await artifacts(settings, connection)
            yield await workers(settings, connection)
    except _FAILURES as error:
        detail = getattr(error, "message", None) or str(error) or type(error).__name__
        advice = "Start it, or correct OFFLOOP_REDIS_URL; without it, `offloop up` starts a Valkey of its own."
        yield Check("redis", "fail", f"{where}: {detail}", advice)


async def redis(connection: RedisClient, where: str) -> list[Check]:
    """Check the server's version, persistence and eviction policy."""
    info = await connection.info()
    name = info.get("server_name") or "redis"
    version = str(info.get(f"{name}_version") or info["redis_version"])
    compatible = str(info["redis_version"])  # of Valkey, the Redis version it is compatible with
    found = f"{name} {version} at {where}"
    if tuple(int(part) for part in compatible.split(".")[:2]) < OLDEST_REDIS:
        checks = [Check("redis", "fail", found, "offloop needs Redis 7.0 or newer, or any Valkey.")]
    else:
        checks = [Check("redis", "ok", found)]
    if info.get("aof_enabled"):
        checks.append(Check("redis appendonly", "ok", "on: a restart keeps the jobs"))
    else:
        checks.append(Check("redis appendonly", "warn", "off: a restart loses jobs", "Set `appendonly yes`."))
    policy = info.get("maxmemory_policy")
    if policy == "noeviction":
        checks.append(Check("redis maxmemory-policy", "ok", "noeviction"))
    else:
        advice = "Set `maxmemory-policy noeviction`: with any other, Redis forgets jobs when its memory is full."
        checks.append(Check("redis maxmemory-policy", "fail", str(policy), advice))
    return checks


async def artifacts(settings: Settings, connection: RedisClient) -> Check:
    """Write, read and delete a probe in the artifact store."""
    where = _without_password(settings.artifacts_location)
    try:
        store = ArtifactStore(settings.artifacts_location, connection, retention_seconds=settings.retention_seconds)
        await asyncio.wait_for(store.probe(), 15)
    except TimeoutError:
        return Check("artifacts", "fail", f"{where}: no answer within 15 s", _ARTIFACTS)
    except OffloopError as error:
        return Check("artifacts", "fail", f"{where}: {error.message}", _ARTIFACTS)
    return Check("artifacts", "ok", f"{where}: written, read and deleted a probe")


_ARTIFACTS = "Correct OFFLOOP_ARTIFACTS_URL and its credentials; front ends and workers must reach the same place."


async def workers(settings: Settings, connection: RedisClient) -> Check:
    """Check that every queue of a kind has a live worker."""
    try:
        queues = catalogue.load(settings.job_modules, tightened=settings.limits).queues
    except OffloopError as error:
        return Check("workers", "fail", error.message, "Correct OFFLOOP_JOB_MODULES.")
    alive = await live_queues(connection, queues)
    missing = [queue for queue in queues if queue not in alive]
    if not missing:
        return Check("workers", "ok", f"every queue has a live worker: {', '.join(queues)}")
    advice = f"Their jobs wait. Start one: offloop worker --queues {','.join(missing)}"
    return Check("workers", "fail", f"no live worker for: {', '.join(missing)}", advice)


def _without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


async def _ended(*command: str, seconds: float = 30) -> tuple[int, str]:
    """Run a command with a time limit; returns its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, f"no answer within {seconds:.0f} s"
    return process.returncode or 0, output.decode(errors="replace")
