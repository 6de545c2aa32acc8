"""Log lines: one format for offloop and the libraries, as JSON and as text.

Logging is configured once a process, so each test runs its own process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_PROGRAM = """
import logging, sys
from offloop import logs, settings
logs.configure(settings.load(), role="worker")
log = logs.get("a.module")
log.debug("below the level")
log.info("→ job", job_id="abc", path=b"bytes")
log.info("not text", data=b"\\xff", half="\\ud83d", none=object)
logging.getLogger("library").warning("a warning %s", 5)
logging.getLogger("arq").info("routine output of a library")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it broke")
"""


def _logged(**variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=variables, capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_lines_are_each_one_object_with_the_same_fields() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in _logged(OFFLOOP_LOG_FORMAT="json")]
    assert [line["event"] for line in lines] == ["→ job", "not text", "a warning 5", "it broke"]
    assert [line["level"] for line in lines] == ["info", "info", "warning", "error"]
    assert all(line["role"] == "worker" and line["at"].endswith("Z") for line in lines)
    assert lines[0]["job_id"] == "abc"
    assert lines[1]["half"] == "\ud83d"
    assert "ZeroDivisionError" in lines[3]["exception"]


def test_without_a_terminal_auto_is_json() -> None:
    assert json.loads(_logged()[0])["event"] == "→ job"


def test_text_lines_are_for_people_and_uncoloured_without_a_terminal() -> None:
    lines = _logged(OFFLOOP_LOG_FORMAT="text")
    assert "→ job" in lines[0]
    assert "job_id=abc" in lines[0]
    assert "\x1b" not in "".join(lines)
    assert "ZeroDivisionError: division by zero" in lines[-1]


def test_the_level_decides_what_is_left_out() -> None:
    assert any("below the level" in line for line in _logged(OFFLOOP_LOG_LEVEL="debug"))
    lines = [json.loads(line)["event"] for line in _logged(OFFLOOP_LOG_LEVEL="error")]
    assert lines == ["it broke"]


def test_a_closed_standard_error_does_not_end_the_process() -> None:
    program = _PROGRAM + "\nimport os; os.close(2); log.info('without a reader'); print('still here')"
    done = subprocess.run([sys.executable, "-c", program], env={}, stdout=subprocess.PIPE, timeout=100, check=False)
    assert done.stdout == b"still here\n"
