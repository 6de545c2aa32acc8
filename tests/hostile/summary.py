"""Time and memory of the hostile cases, printed at the end of a test run."""

from __future__ import annotations

import pytest

MEASURED = "hostile"
"""Report property with seconds, MiB mapped, MiB resident, and outcome."""

_SHOWN = 8


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the slowest cases and the one with most memory."""
    found = [
        (dict(report.user_properties)[MEASURED], report.nodeid.partition("[")[2].rstrip("]"))
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and MEASURED in dict(report.user_properties)
    ]
    if not found:
        return
    total = sum(measured[0] for measured, _ in found)
    terminalreporter.section(f"{len(found)} hostile cases, {total:.0f} s")
    for (seconds, mapped, _, outcome), name in sorted(found, reverse=True)[:_SHOWN]:
        terminalreporter.write_line(f"{seconds:5.1f} s  {mapped:5.0f} MiB  {outcome:14}  {name}")
    (_, mapped, resident, outcome), name = max(found, key=lambda one: one[0][2])
    terminalreporter.write_line(f"most memory: {resident:.0f} MiB resident, {mapped:.0f} mapped, {outcome}: {name}")
