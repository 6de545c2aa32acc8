"""Command line in this process: an interpreter of its own costs up to two CPU seconds of imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from offloop import cli, logs

WIDE = {"NO_COLOR": "1", "COLUMNS": "200"}
"""Plain output in lines that do not wrap."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, named like the fields of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


Offloop = Callable[..., Ended]
"""Runs one command: its words are positional, the settings of its environment are named."""


def own_environment() -> dict[str, str]:
    """The environment without settings of offloop, for plain output."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OFFLOOP_")} | WIDE


@pytest.fixture
def offloop(capsys: pytest.CaptureFixture[str]) -> Offloop:
    """Runs a command that ends by itself, as ``python -m offloop`` does, except for the logs of this process."""

    def run(*words: str, **variables: str) -> Ended:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["offloop", *words])
            patch.setattr(logs, "configure", lambda *_, **__: None)
            for name in set(os.environ) - set(own_environment()):
                patch.delenv(name)
            for name, value in {**WIDE, **variables}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        code = ended.value.code
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run
