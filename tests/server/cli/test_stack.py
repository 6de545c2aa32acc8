"""Stack, snippets and first job of `offloop up`, and the rare ends of `offloop demo`, without their processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
import typer

from offloop import logs
from offloop.errors import BadInput, JobError, SettingsError, Unavailable
from offloop.processes.supervisor import MISCONFIGURED
from offloop.settings import Settings, load
from offloop_server.cli import demo, stack, target, up
from offloop_server.cli.progress import Bar
from offloop_server.cli.stack import Stack, until_signalled

pytestmark = pytest.mark.anyio


class _Client:
    """A client whose job ends as given."""

    def __init__(self, ending: dict[str, Any] | Exception) -> None:
        self._ending = ending

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def run(self, *_: object) -> dict[str, Any]:
        if isinstance(self._ending, Exception):
            raise self._ending
        return {"output": self._ending}


def _stack(**variables: str) -> Stack:
    return Stack(load({f"OFFLOOP_{name.upper()}": value for name, value in variables.items()}))


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("0.0.0.0", "http://127.0.0.1:8750"),  # noqa: S104 -- compared with, not bound to
        ("::", "http://[::1]:8750"),
        ("::1", "http://[::1]:8750"),
        ("10.0.0.7", "http://10.0.0.7:8750"),
    ],
)
def test_the_endpoint_is_an_address_of_this_machine(host: str, base: str) -> None:
    assert _stack(host=host, insecure="1").endpoint == f"{base}/mcp"


def test_an_address_of_another_machine_is_an_error_that_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(SettingsError, match="--host"):
        stack._free_port("192.0.2.1", 0)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SettingsError, match=r"Name or service not known.*--host"):
        stack._free_port("no-such-host", 0)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx2.Response(503, json={"reason": "no worker"}), "no worker"),
        (httpx2.Response(502, content=b"<html>"), "http://x/readyz answers 502"),
        (httpx2.Response(503, json=["else"]), "http://x/readyz answers 503"),
    ],
)
def test_a_front_end_that_is_not_ready_says_why(response: httpx2.Response, reason: str) -> None:
    response.request = httpx2.Request("GET", "http://x/readyz")
    assert stack._reason(response) == reason


async def test_a_stack_whose_front_end_does_not_answer_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def over(_: float) -> None:
        raise TimeoutError

    own = _stack(port="1", workers="0")
    monkeypatch.setattr(own, "_watch_for", over)
    found = await own.ready()
    assert found.startswith("http://127.0.0.1:1/healthz does not answer")


async def test_a_stack_with_a_refused_program_ends_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    own = _stack(port="1")

    async def refused() -> str:
        return "server"

    monkeypatch.setattr(own._supervisor, "refused", refused)
    with pytest.raises(typer.Exit) as ended:
        await own.ready(5)
    assert ended.value.exit_code == MISCONFIGURED


def test_the_snippets_have_the_public_address_and_no_key() -> None:
    printed = up.snippets(_stack(public_url="https://jobs.example.org/", api_keys="alice:a-secret-key-of-alice"))
    assert "MCP endpoint: https://jobs.example.org/mcp" in printed
    assert '--header "Authorization: Bearer YOUR-KEY"' in printed
    assert "a-secret-key-of-alice" not in printed


@pytest.mark.parametrize(
    ("ending", "reason"), [(Unavailable("no front end."), "no front end."), (TimeoutError(), "no answer within 60 s")]
)
async def test_a_first_job_that_fails_is_reported_with_its_reason(
    ending: Exception, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await up._first_job(_stack(), _Client(ending), 0.0)  # type: ignore[arg-type]
    printed = capsys.readouterr()
    assert f"failed: {reason} `offloop doctor`" in printed.err
    assert not printed.out


async def test_a_stack_without_workers_has_no_first_job(capsys: pytest.CaptureFixture[str]) -> None:
    await up._first_job(_stack(workers="0"), _Client(JobError("no")), 0.0)  # type: ignore[arg-type]
    assert capsys.readouterr() == ("", "")


async def test_up_goes_on_while_it_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def nothing(*_: object) -> None: ...

    async def entered(own: Stack) -> Stack:
        return own

    async def ready(_: Stack) -> str:
        return "no worker"

    for name, function in {"__aenter__": entered, "__aexit__": nothing, "ready": ready, "watch": nothing}.items():
        monkeypatch.setattr(Stack, name, function)
    assert await up._run(_stack()) == 0
    printed = capsys.readouterr()
    assert "not ready yet: no worker" in printed.err
    assert "MCP endpoint: http://127.0.0.1:8750/mcp" in printed.out


async def test_a_signal_cancels_the_work_and_further_ones_are_ignored() -> None:
    async def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
        return 0

    assert await asyncio.create_task(until_signalled(work(), stopped=130)) == 130


async def test_a_cancellation_without_a_signal_goes_on() -> None:
    async def work() -> int:
        await asyncio.Event().wait()
        return 0

    task = asyncio.create_task(until_signalled(work(), stopped=130))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_first_key_is_that_of_the_settings_or_of_its_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# people\n\nalice:first:key\nbob:second\n")
    for given, key in ((None, None), ("bob:x,alice:y", "x"), (f"@{keys}", "first:key"), (f"@{tmp_path}/none", None)):
        assert target.first_key(load({"OFFLOOP_API_KEYS": given} if given else {})) == key


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="--output"):
        demo.demo(output=tmp_path / "file" / "below", url="http://127.0.0.1:1/mcp")


async def test_the_demos_own_stack_has_its_own_folder_and_port_and_reports_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entered: list[Settings] = []

    async def enter(own: Stack) -> Stack:
        entered.append(own.settings)
        return own

    async def leave(*_: object) -> None: ...

    async def ready(_: Stack) -> str:
        return "no worker"

    for name, function in {"__aenter__": enter, "__aexit__": leave, "ready": ready}.items():
        monkeypatch.setattr(Stack, name, function)
    loaded = load({"OFFLOOP_SLOTS": "3", "OFFLOOP_PORT": "8750", "OFFLOOP_STATE_DIR": str(tmp_path)})
    with pytest.raises(Unavailable, match="not get ready: no worker"):
        await demo._run(loaded, None, None, tmp_path)
    [own] = entered
    assert (own.slots, own.port, own.log_level) == (3, 0, "warning")
    assert own.state_dir != tmp_path
    assert not own.state_dir.exists()


async def test_a_demo_with_a_wrong_result_fails(tmp_path: Path) -> None:
    class Wrong:
        async def upload(self, _: Path) -> str:
            return "artifact:1"

        async def run(self, *_: object) -> dict[str, Any]:
            return {"output": {"digests": {"sha256": "0" * 64}}, "artifacts": []}

    with Bar() as bar:
        steps = demo._Steps(Wrong(), bar, tmp_path)  # type: ignore[arg-type]
        with pytest.raises(JobError, match="but it is"):
            await steps.digest()
        with pytest.raises(JobError, match="0 files instead of one"):
            await steps.thumbnail()
        await bar(1, 2, "half")
