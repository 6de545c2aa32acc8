"""Command line: help, settings, doctor, and error messages."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from offloop import __version__
from offloop.cli import checks, running, show_settings
from offloop.processes.embedded_redis import EmbeddedRedis
from offloop.settings import Settings, load
from support.command_line import Ended, Offloop, own_environment


def test_help_names_every_command() -> None:
    """Each import root registers its own commands; in a process of its own, as a shell starts it."""
    command = [sys.executable, "-m", "offloop", "--help"]
    printed = subprocess.run(command, env=own_environment(), capture_output=True, text=True, timeout=100, check=False)
    assert printed.returncode == 0
    for name in ("up", "serve", "worker", "call", "demo", "doctor", "settings"):
        assert f" {name} " in printed.stdout


def test_an_unknown_setting_is_one_line_with_a_suggestion_and_exit_code_2(offloop: Offloop) -> None:
    """A typing mistake in the environment is an error."""
    ended = offloop("settings", OFFLOOP_PROT="1")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == "error: OFFLOOP_PROT is not a setting. Did you mean OFFLOOP_PORT?\n"


def test_the_version_is_printed_before_any_command(offloop: Offloop) -> None:
    assert offloop("--version") == Ended(0, f"{__version__}\n", "")
    assert offloop("--version", "settings") == Ended(0, f"{__version__}\n", "")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_serve_and_worker_require_a_redis(offloop: Offloop, command: str) -> None:
    """Only `up` starts its own Redis."""
    ended = offloop(command)
    assert ended.returncode == 2
    assert "OFFLOOP_REDIS_URL" in ended.stderr
    assert "offloop up" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_command_with_missing_libraries_names_the_extra_to_install(
    offloop: Offloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands of a missing extra are hidden, and their error names the extra."""
    # Hiding one library is equivalent to an environment without the extra, which would take long to create.
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mcp" else find(name))
    assert " serve " not in offloop("--help").stdout
    ended = offloop("serve")
    assert ended.returncode == 2
    assert "pip install 'offloop[server]'" in ended.stderr


@pytest.mark.slow
def test_doctor_without_any_redis_tries_the_embedded_one(offloop: Offloop, tmp_path: Path) -> None:
    """No running service is needed; standard output is only the JSON."""
    ended = offloop("doctor", "--json", OFFLOOP_STATE_DIR=str(tmp_path))
    report = json.loads(ended.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["python"]["status"] == "ok"
    assert checks["redis"]["status"] == "ok"
    assert "embed" in checks["redis"]["found"]
    assert checks["artifacts"]["status"] == "ok"
    assert checks["workers"]["status"] == "warn"
    assert report["ok"] == (ended.returncode == 0)


@pytest.mark.slow
def test_doctor_examines_the_redis_that_is_set(offloop: Offloop, tmp_path: Path) -> None:
    """A server without persistence is a warning; queues without a worker are a failure."""

    async def scenario() -> Ended:
        async with EmbeddedRedis(tmp_path / "redis", persistent=False) as server:
            return await asyncio.to_thread(
                offloop, "doctor", "--json", OFFLOOP_REDIS_URL=server.url, OFFLOOP_STATE_DIR=str(tmp_path)
            )

    ended = asyncio.run(scenario())
    checks = {check["name"]: check for check in json.loads(ended.stdout)["checks"]}
    assert checks["redis"]["status"] == "ok"
    assert checks["redis appendonly"]["status"] == "warn"
    assert checks["redis maxmemory-policy"]["status"] == "ok"
    assert checks["workers"]["status"] == "fail"
    assert "offloop worker --queues" in checks["workers"]["advice"]
    assert ended.returncode == 1


@pytest.mark.slow
def test_doctor_masks_the_password_of_a_redis_that_does_not_answer(offloop: Offloop, tmp_path: Path) -> None:
    """The failure contains the address without the password."""
    ended = offloop("doctor", OFFLOOP_REDIS_URL="redis://me:s3cret@127.0.0.1:1", OFFLOOP_STATE_DIR=str(tmp_path))
    assert ended.returncode == 1
    assert "redis://me:***@127.0.0.1:1" in ended.stdout
    assert "s3cret" not in ended.stdout + ended.stderr


@pytest.mark.anyio
async def test_doctor_names_the_library_that_weasyprint_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WeasyPrint prints a framed advice on standard output, which ends after the traceback."""
    lacking = "print('-----', 'Follow steps.', '-----', sep='\\n')\nraise OSError('cannot load libpango: no file')\n"
    (tmp_path / "weasyprint.py").write_text(lacking)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = await checks.pango()
    assert (found.status, found.found) == ("fail", "WeasyPrint does not load: OSError: cannot load libpango: no file")


def test_settings_are_printed_without_secrets(offloop: Offloop) -> None:
    """Keys and passwords are masked in every output format."""
    given = {"OFFLOOP_API_KEYS": "alice:k3y,bob:0ther", "OFFLOOP_REDIS_URL": "redis://:s3cret@h:1"}
    for words in (("settings",), ("settings", "--json")):
        ended = offloop(*words, **given)
        assert ended.returncode == 0
        assert not [secret for secret in ("k3y", "0ther", "s3cret") if secret in ended.stdout]
    rows = {row["name"]: row for row in show_settings.describe(load(given))}
    assert rows["OFFLOOP_API_KEYS"]["value"] == "alice:***,bob:***"
    assert rows["OFFLOOP_REDIS_URL"]["value"] == "redis://:***@h:1"
    assert set(rows) == {Settings.variable(name) for name in Settings.model_fields}


def test_only_a_living_up_is_found(tmp_path: Path) -> None:
    """A file left by a killed process is ignored; only its writer removes it."""
    own = running.Running(os.getpid(), "unix:///nowhere", "http://127.0.0.1:1/mcp")
    own.write(tmp_path)
    assert running.find(tmp_path) == own
    running.Running(os.getpid(), "unix:///elsewhere", "http://127.0.0.1:1/mcp").remove(tmp_path)
    assert running.find(tmp_path) == own
    own.remove(tmp_path)
    assert running.find(tmp_path) is None
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(10)
    running.Running(gone.pid, "unix:///nowhere", "http://127.0.0.1:1/mcp").write(tmp_path)
    assert running.find(tmp_path) is None
