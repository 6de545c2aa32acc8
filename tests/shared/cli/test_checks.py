"""Checks of `offloop doctor` on machines that lack something."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import typer
from arq.connections import ArqRedis

from offloop.artifacts.store import ArtifactStore
from offloop.cli import checks, doctor, running
from offloop.settings import load

pytestmark = pytest.mark.anyio

Ending = Callable[[int, str], None]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Ending:
    """Let every program that a check runs end with that code and output."""

    def let(code: int, output: str) -> None:
        async def ended(*_: str) -> tuple[int, str]:
            return code, output

        monkeypatch.setattr(checks, "_ended", ended)

    return let


class _Server:
    """A Redis as far as `checks.redis` asks it."""

    def __init__(self, **info: object) -> None:
        self._info = info

    async def info(self) -> dict[str, object]:
        return self._info


async def _redis(**info: object) -> dict[str, checks.Check]:
    found = await checks.redis(cast("ArqRedis", _Server(**info)), "redis://here")
    return {check.name: check for check in found}


def test_an_old_python_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "OLDEST_PYTHON", (9, 0))
    assert checks.python().status == "fail"
    assert "3.11" in checks.python().advice


async def test_a_machine_without_the_worker_libraries_is_not_asked_for_pango(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: object) -> object:
        return
        yield

    monkeypatch.setattr(checks, "installed", lambda *_: False)
    monkeypatch.setattr(checks, "services", nothing)
    python, rendering = await checks.everything(load({}))
    assert python.name == "python"
    assert (rendering.name, rendering.status) == ("rendering", "warn")
    assert "offloop[workers]" in rendering.advice


@pytest.mark.parametrize(
    ("output", "reason"),
    [("Traceback\nOSError: cannot load library 'libpango'\n\n", "OSError: cannot load library"), ("", "ended with 1")],
)
async def test_a_pango_that_does_not_load_is_named_with_its_error(ends: Ending, output: str, reason: str) -> None:
    ends(1, output)
    check = await checks.pango()
    assert check.status == "fail"
    assert reason in check.found
    assert "apt-get install" in check.advice


async def test_fonts_are_counted(ends: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    ends(0, "DejaVu Sans,DejaVu Sans Light\nDejaVu Sans\nVera\n\n")
    assert (await checks.fonts()).found == "2 font families"
    ends(0, "\n")
    assert (await checks.fonts()).status == "warn"


@pytest.mark.parametrize(("loads", "status"), [(True, "ok"), (False, "warn")])
async def test_fonts_cannot_be_counted_without_fc_list(
    monkeypatch: pytest.MonkeyPatch, *, loads: bool, status: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(checks, "ctypes_loads", lambda *_: loads)
    assert (await checks.fonts()).status == status
    assert checks.subset().status == status


def test_a_worker_without_re2_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.re2().status == "ok"
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert (checks.re2().status, "offloop[re2]" in checks.re2().advice) == ("warn", True)


def test_a_library_is_found_under_any_of_its_names() -> None:
    assert checks.ctypes_loads("no-such-library.so", "libc.so.6" if sys.platform == "linux" else "libc.dylib")
    assert not checks.ctypes_loads("no-such-library.so")


async def test_what_the_sandbox_lacks_is_a_warning(ends: Ending) -> None:
    ends(0, json.dumps({"applied": ["Landlock 1"], "missing": ["no system call filter"]}))
    check = await checks.sandbox()
    assert (check.status, check.found) == ("warn", "Landlock 1; missing: no system call filter")
    ends(0, json.dumps({"applied": ["Landlock 6"], "missing": []}))
    assert (await checks.sandbox()).status == "ok"


@pytest.mark.parametrize("output", ["", "Segmentation fault"])
async def test_a_sandbox_that_ends_the_process_is_a_warning(ends: Ending, output: str) -> None:
    ends(-11, output)
    check = await checks.sandbox()
    assert check.status == "warn"
    assert "-11" in check.found


async def test_a_program_without_an_end_is_killed() -> None:
    code, output = await checks._ended(sys.executable, "-c", "import time; time.sleep(60)", seconds=0.01)
    assert code == -1
    assert "no answer" in output


async def test_an_old_redis_is_a_failure() -> None:
    found = await _redis(redis_version="6.2.14", aof_enabled=1, maxmemory_policy="noeviction")
    assert found["redis"].status == "fail"
    assert "redis 6.2.14" in found["redis"].found
    assert found["redis appendonly"].status == found["redis maxmemory-policy"].status == "ok"


async def test_a_valkey_is_named_by_its_own_version() -> None:
    """`redis_version` is the version it is compatible with."""
    found = await _redis(server_name="valkey", valkey_version="8.1.0", redis_version="7.2.4")
    assert found["redis"].status == "ok"
    assert "valkey 8.1.0" in found["redis"].found


async def test_an_eviction_policy_that_deletes_jobs_is_a_failure() -> None:
    found = await _redis(redis_version="7.2.0", aof_enabled=0, maxmemory_policy="allkeys-lru")
    assert found["redis appendonly"].status == "warn"
    assert (found["redis maxmemory-policy"].status, found["redis maxmemory-policy"].found) == ("fail", "allkeys-lru")


async def test_an_artifact_store_that_cannot_be_written_is_a_failure(redis: ArqRedis, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = await checks.artifacts(load({"OFFLOOP_ARTIFACTS_URL": f"file://{tmp_path}/file/below"}), redis)
    assert check.status == "fail"
    assert "OFFLOOP_ARTIFACTS_URL" in check.advice


async def test_an_artifact_store_that_does_not_answer_is_a_failure(
    redis: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def probe(_: ArtifactStore) -> None:
        raise TimeoutError

    monkeypatch.setattr(ArtifactStore, "probe", probe)
    check = await checks.artifacts(load({"OFFLOOP_STATE_DIR": str(tmp_path)}), redis)
    assert (check.status, "no answer" in check.found) == ("fail", True)


async def test_job_modules_that_cannot_be_loaded_are_a_failure(redis: ArqRedis) -> None:
    check = await checks.workers(load({"OFFLOOP_JOB_MODULES": "no_such_module"}), redis)
    assert check.status == "fail"
    assert "OFFLOOP_JOB_MODULES" in check.advice


async def test_every_queue_with_a_worker_is_fine(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live(_: object, queues: list[str]) -> set[str]:
        return set(queues)

    monkeypatch.setattr(checks, "live_queues", live)
    assert (await checks.workers(load({}), redis)).status == "ok"


async def test_the_redis_of_a_running_up_is_examined(tmp_path: Path, valkey: str, redis: ArqRedis) -> None:
    settings = load({"OFFLOOP_STATE_DIR": str(tmp_path)})
    own = running.Running(os.getpid(), valkey, "http://127.0.0.1:1/mcp")
    own.write(tmp_path)
    found = {check.name: check async for check in checks.services(settings)}
    assert f"process {os.getpid()}" in found["redis"].found
    assert found["workers"].status == "fail"
    await redis.flushall()


async def test_without_a_redis_program_the_embedded_one_is_a_failure(tmp_path: Path) -> None:
    settings = load({"OFFLOOP_STATE_DIR": str(tmp_path), "OFFLOOP_REDIS_BIN": str(tmp_path / "none")})
    [check] = [check async for check in checks.services(settings)]
    assert (check.name, check.status) == ("redis", "fail")
    assert "OFFLOOP_REDIS_BIN" in check.found


def test_the_report_for_people_has_the_advice_below_each_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def everything(_: object) -> list[checks.Check]:
        return [checks.Check("python", "ok", "3.11"), checks.Check("redis", "fail", "refused", "Start it.")]

    monkeypatch.setattr(checks, "everything", everything)
    with pytest.raises(typer.Exit) as ended:
        doctor.examine()
    assert ended.value.exit_code == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["ok   python  3.11", "fail redis   refused", "             -> Start it."]
    assert "1 of 2 checks failed: redis" in printed.err
