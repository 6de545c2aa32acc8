"""Commands of the front end: `up`, `call`, and their error messages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offloop.errors import BadInput
from offloop.jobs.hashing import FileToHash
from offloop.jobs.images import Transformation
from offloop.jobs.pdf import Page
from offloop_server.cli.arguments import Upload, parse
from offloop_server.runtime.tuning import THRESHOLDS
from support.command_line import Offloop, own_environment
from support.processes import descendants_of, gone

_PDF = Page.model_json_schema()
_IMAGE = Transformation.model_json_schema()
_HASH = FileToHash.model_json_schema()


def test_values_are_converted_to_the_types_of_the_schema() -> None:
    """Text stays text, even if it looks like a number; other types are JSON; a list of strings needs no brackets."""
    words = ["markdown=12", "landscape=true", "page_size=A5", "title=null", 'assets:={"a.png": "root:a/b"}']
    assert parse(words, _PDF) == {
        "markdown": "12",
        "landscape": True,
        "page_size": "A5",
        "title": "null",
        "assets": {"a.png": "root:a/b"},
    }
    assert parse(["width=480", "rotate=90"], _IMAGE) == {"width": 480, "rotate": 90}
    assert parse(["algorithms=sha256, md5"], _HASH) == {"algorithms": ["sha256", "md5"]}
    assert parse(['algorithms=["sha256"]'], _HASH) == {"algorithms": ["sha256"]}


def test_an_at_sign_means_the_text_of_a_file_or_the_file_itself(tmp_path: Path) -> None:
    """A file argument uploads the file; another argument gets its text."""
    path = tmp_path / "page.md"
    path.write_text("# Hello = you")
    assert parse([f"markdown=@{path}"], _PDF) == {"markdown": "# Hello = you"}
    found = parse([f"file=@{path}"], _HASH)
    assert isinstance(found["file"], Upload)
    assert found["file"] == str(path)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("markdwon=x", "Did you mean 'markdown'"),
        ("xyz=1", "Its arguments are: allow_fetch, assets,"),
        ("markdown", "write key=value"),
        ("landscape=maybe", "landscape: 'maybe'"),
        ("landscape=3", "landscape: expected boolean"),
        ("title:=nope", "title: 'nope' is not the JSON"),
        ("markdown=@/does/not/exist", "cannot read /does/not/exist: No such file"),
    ],
)
def test_an_invalid_argument_is_named_with_the_right_form(word: str, expected: str) -> None:
    """No call is made with invalid arguments."""
    with pytest.raises(BadInput) as caught:
        parse([word], _PDF)
    assert expected in caught.value.message


def _environment(state: Path) -> dict[str, str]:
    return own_environment() | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OFFLOOP_STATE_DIR": str(state),
        "OFFLOOP_SLOTS": "1",
        "TMPDIR": str(state),  # the test's folder, so that files of killed processes are removed
    }


@contextmanager
def _up(state: Path) -> Iterator[subprocess.Popen[str]]:
    """An `offloop up` that has printed its endpoint; killed at the exit if it still runs."""
    command = [sys.executable, "-m", "offloop", "up", "--port", "0"]
    with (
        (state / "stderr").open("w") as stderr,
        subprocess.Popen(command, env=_environment(state), stdout=subprocess.PIPE, stderr=stderr, text=True) as up,
    ):
        try:
            assert up.stdout is not None
            lines = iter(up.stdout)
            first = next(lines, "")
            assert first.startswith("First job through MCP: a PDF of 1 page"), (state / "stderr").read_text()
            assert any("claude mcp add --transport http offloop http://127.0.0.1:" in line for line in lines)
            yield up
        finally:
            up.kill()


@pytest.mark.slow
def test_the_gc_of_a_front_end_skips_the_startup_heap_and_runs_full_collections_rarely() -> None:
    """Full collections would block the loop: a tenth of a second for the loaded modules, more for open calls."""
    program = """
import gc
from offloop_server import app
from offloop_server.runtime.tuning import tune_gc

tune_gc()
print(gc.get_freeze_count(), len(gc.get_objects()), *gc.get_threshold())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    frozen, seen, *thresholds = map(int, done.stdout.split())
    assert frozen > 20 * seen
    assert tuple(thresholds) == THRESHOLDS


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_up_serves_calls_from_a_shell_until_it_is_stopped(offloop: Offloop, tmp_path: Path) -> None:
    """One process starts everything, other commands find it through the state folder, SIGTERM ends everything."""
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nwith text")
    state = {"OFFLOOP_STATE_DIR": str(tmp_path)}
    with _up(tmp_path) as up:
        shell = [sys.executable, "-m", "offloop", "call", "render_pdf", f"markdown=@{page}", "--json"]
        rendered = subprocess.run(
            shell, env=_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False
        )
        assert rendered.returncode == 0, rendered.stderr
        answer = json.loads(rendered.stdout)
        assert (answer["state"], answer["output"]["pages"]) == ("completed", 1)

        hashed = offloop("call", "hash_file", f"file=@{page}", "--json", **state)
        assert json.loads(hashed.stdout)["output"]["size"] == page.stat().st_size

        unknown = offloop("call", "render_pfd", "markdown=x", **state)
        assert (unknown.returncode, unknown.stdout) == (1, "")
        assert "Did you mean 'render_pdf'?" in unknown.stderr

        refused = offloop("call", "render_pdf", "markdown=x", "html=y", **state)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "exactly one of html, markdown and template" in refused.stderr

        second = offloop("up", "--port", "0", **state)
        assert second.returncode == 2
        assert "--state-dir" in second.stderr

        children = descendants_of(up.pid)
        assert len(children) >= 3
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
        assert gone(children)
    assert not (tmp_path / "up.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG of Linux")
def test_a_killed_up_leaves_no_process(tmp_path: Path) -> None:
    """After SIGKILL the kernel ends every process, down to the workers' children."""
    with _up(tmp_path) as up:
        children = descendants_of(up.pid)
        assert len(children) >= 3
        up.kill()
        up.wait(30)
        assert gone(children)


def test_a_taken_port_is_an_error_that_names_the_option(offloop: Offloop, tmp_path: Path) -> None:
    """Nothing is started, and the message names the option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = offloop("up", "--port", str(taken.getsockname()[1]), OFFLOOP_STATE_DIR=str(tmp_path))
    assert ended.returncode == 2
    assert "--port" in ended.stderr
    assert not (tmp_path / "redis").exists()


def test_a_call_without_a_front_end_is_an_error_with_the_command_to_start_one(offloop: Offloop) -> None:
    """The message names the command to start one."""
    ended = offloop("call", "render_pdf", "markdown=x", "--url", "http://127.0.0.1:1/mcp")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Is offloop running?" in ended.stderr
    assert "Traceback" not in ended.stderr
