"""The front end's commands: everything with one command, calls from a shell, and what is said when it goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
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

_PDF = Page.model_json_schema()
_IMAGE = Transformation.model_json_schema()
_HASH = FileToHash.model_json_schema()


def test_values_become_what_the_schema_asks_for() -> None:
    """Text stays text, even where it looks like a number; the rest is JSON; a list of words needs no brackets."""
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
    """Where the argument is a file, the file is uploaded; elsewhere its text is meant."""
    path = tmp_path / "page.md"
    path.write_text("# Hello = you")
    assert parse([f"markdown=@{path}"], _PDF) == {"markdown": "# Hello = you"}
    found = parse([f"file=@{path}"], _HASH)
    assert isinstance(found["file"], Upload)
    assert found["file"] == str(path)


@pytest.mark.parametrize(
    ("word", "said"),
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
def test_a_word_that_does_not_fit_is_named_with_what_to_write(word: str, said: str) -> None:
    """No call is made with arguments that cannot be meant."""
    with pytest.raises(BadInput) as caught:
        parse([word], _PDF)
    assert said in caught.value.message


def _environment(state: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOOP_")}
    return own | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OFFLOOP_STATE_DIR": str(state),
        "OFFLOOP_SLOTS": "1",
        "TMPDIR": str(state),  # what a killed process cannot tidy up goes with the test's folder
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


def _offloop(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "offloop", *words],
        env=_environment(state),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


@contextmanager
def _up(state: Path) -> Iterator[subprocess.Popen[str]]:
    """An `offloop up` that has said how to connect; killed at the end if it still runs."""
    command = [sys.executable, "-m", "offloop", "up", "--port", "0"]
    with (
        (state / "words").open("w") as words,
        subprocess.Popen(command, env=_environment(state), stdout=subprocess.PIPE, stderr=words, text=True) as up,
    ):
        try:
            assert up.stdout is not None
            lines = iter(up.stdout)
            first = next(lines, "")
            assert first.startswith("First job through MCP: a PDF of 1 page"), (state / "words").read_text()
            assert any("claude mcp add --transport http offloop http://127.0.0.1:" in line for line in lines)
            yield up
        finally:
            up.kill()


def _family(pid: int) -> list[int]:
    """All processes below a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in (child, *_family(child))]


def _all_gone(pids: list[int]) -> bool:
    """Whether they end within 5 seconds; a zombie counts as ended, whoever adopted it."""

    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_collector_of_a_front_end_leaves_what_is_loaded_alone_and_makes_long_looks_rare() -> None:
    """Else it would hold the loop up again and again: a tenth of a second for what is loaded, more for open calls."""
    program = """
import gc
from offloop_server import app
from offloop_server.runtime.tuning import tune_gc

tune_gc()
print(gc.get_freeze_count(), len(gc.get_objects()), *gc.get_threshold())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    frozen, seen, *thresholds = map(int, done.stdout.split())
    assert frozen > 20 * seen
    assert tuple(thresholds) == THRESHOLDS


def test_up_serves_calls_from_a_shell_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """One process starts everything, other commands find it by the state folder, and SIGTERM ends it all."""
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nwith text")
    with _up(tmp_path) as up:
        made = _offloop(tmp_path, "call", "render_pdf", f"markdown=@{page}", "--json")
        assert made.returncode == 0, made.stderr
        answer = json.loads(made.stdout)
        assert (answer["state"], answer["output"]["pages"]) == ("completed", 1)

        hashed = _offloop(tmp_path, "call", "hash_file", f"file=@{page}", "--json")
        assert json.loads(hashed.stdout)["output"]["size"] == page.stat().st_size

        unknown = _offloop(tmp_path, "call", "render_pfd", "markdown=x")
        assert (unknown.returncode, unknown.stdout) == (1, "")
        assert "Did you mean 'render_pdf'?" in unknown.stderr

        refused = _offloop(tmp_path, "call", "render_pdf", "markdown=x", "html=y")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "exactly one of html, markdown and template" in refused.stderr

        second = _offloop(tmp_path, "up", "--port", "0")
        assert second.returncode == 2
        assert "--state-dir" in second.stderr

        family = _family(up.pid)
        assert len(family) >= 3
        started = time.monotonic()
        up.send_signal(signal.SIGTERM)
        assert up.wait(12) == 0
        assert time.monotonic() - started < 10
        assert _all_gone(family)
    assert not (tmp_path / "up.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_a_killed_up_leaves_no_process_behind(tmp_path: Path) -> None:
    """SIGKILL gives no chance to tidy up; the kernel does it, down to the workers' children."""
    with _up(tmp_path) as up:
        family = _family(up.pid)
        assert len(family) >= 3
        up.kill()
        up.wait(5)
        assert _all_gone(family)


def test_a_taken_port_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    """Nothing is started, and the words say what to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = _offloop(tmp_path, "up", "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert "--port" in ended.stderr
    assert not (tmp_path / "redis").exists()


def test_a_call_without_a_front_end_says_how_to_start_one(tmp_path: Path) -> None:
    """The next command is in the message."""
    ended = _offloop(tmp_path, "call", "render_pdf", "markdown=x", "--url", "http://127.0.0.1:1/mcp")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Is offloop running?" in ended.stderr
    assert "Traceback" not in ended.stderr
