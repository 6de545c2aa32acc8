"""Report: one figure a line, as a table for people and as JSON for programs, with a description of the machine."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from bench.venvs import HERE
from offloop.processes.embedded_redis import find_binary


@dataclass(slots=True)
class Figures:
    """Samples by measure, stack and unit; a round adds one sample to each."""

    samples: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, measure: str, stack: str, unit: str, value: float) -> None:
        """Add the value of one round."""
        self.samples.setdefault((measure, stack, unit), []).append(value)

    def rows(self) -> list[dict[str, Any]]:
        """The median of the rounds, their extremes, and the ratio to our own stack's median in the same run."""
        return [
            {
                "measure": measure,
                "stack": stack,
                "unit": unit,
                "median": median(values),
                "min": min(values),
                "max": max(values),
                "rounds": len(values),
                "to_ours": self._ratio(measure, unit, median(values)),
            }
            for (measure, stack, unit), values in self.samples.items()
        ]

    def _ratio(self, measure: str, unit: str, value: float) -> float | None:
        for ours in ("offloop", "mcp-offloop"):
            if (values := self.samples.get((measure, ours, unit))) and median(values):
                return value / median(values)
        return None

    def table(self) -> str:
        """The rows as a Markdown table."""
        lines = ["| measure | stack | median | min | max | unit | to ours |", "|---|---|--:|--:|--:|---|--:|"]
        for row in self.rows():
            ratio = f"{row['to_ours']:.2f}" if row["to_ours"] is not None else ""
            numbers = " | ".join(_shown(row[name]) for name in ("median", "min", "max"))
            lines.append(f"| {row['measure']} | {row['stack']} | {numbers} | {row['unit']} | {ratio} |")
        return "\n".join([*lines, *(f"\nfailed: {failure}" for failure in self.failures)])


def quantile(values: list[float], share: float) -> float:
    """Smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 -- three digits are enough


def machine() -> dict[str, Any]:
    """Hardware and software of this run."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next((int(line.split()[1]) >> 10 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    server = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=False)  # noqa: S603 -- the product's own server
    pins = [line.strip() for file in sorted((HERE / "requirements").glob("*.txt")) for line in _lines(str(file))]
    ours = [f"{name}=={metadata.version(name)}" for name in ("arq", "redis", "hiredis", "mcp", "uvicorn", "weasyprint")]
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_mib": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "server": server.stdout.strip(),
        "packages": sorted({*ours, *pins}),
        "load_at_start": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
