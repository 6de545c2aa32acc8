"""Figures of a run: one a line, as a table for people and as rows for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

OURS: Final = frozenset({"offloop", "mcp-offloop"})
"""First words of the names of our own stacks."""


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
        """To the first stack of ours in the same measure."""
        for (name, stack, of), values in self.samples.items():
            if (name, of) == (measure, unit) and is_ours(stack) and median(values):
                return value / median(values)
        return None

    def table(self) -> str:
        """The rows as a Markdown table."""
        lines = ["| measure | stack | median | min | max | unit | to ours |", "|---|---|--:|--:|--:|---|--:|"]
        for row in self.rows():
            ratio = f"{row['to_ours']:.2f}" if row["to_ours"] is not None else ""
            numbers = " | ".join(three_digits(row[name]) for name in ("median", "min", "max"))
            lines.append(f"| {row['measure']} | {row['stack']} | {numbers} | {row['unit']} | {ratio} |")
        return "\n".join([*lines, *(f"\nfailed: {failure}" for failure in self.failures)])


def is_ours(stack: str) -> bool:
    """Whether a name in the table is that of a stack of ours, such as ``mcp-offloop, forked children``."""
    return stack.replace(",", " ").split(" ")[0] in OURS


def quantile(values: list[float], share: float) -> float:
    """Smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def three_digits(value: float) -> str:
    """As much of a value as a measurement can say."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 -- three digits
