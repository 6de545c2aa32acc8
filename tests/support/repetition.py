"""Repetition: ``--repeat N`` runs each test N times, side by side as the processes of the run allow."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    help_text = "run each test N times, to find one that fails at times; see tests/README.md"
    parser.getgroup("extent of the run").addoption("--repeat", type=int, default=1, metavar="N", help=help_text)


@pytest.fixture
def repetition() -> int:
    """Number of this run of the test, from 1."""
    return 1


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise each test by its runs."""
    times: int = metafunc.config.option.repeat
    if times > 1:
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(1, times + 1), ids=lambda number: f"run{number}")
