"""Figures of a run."""

from __future__ import annotations

import pytest
from bench.report.figures import Figures, is_ours, quantile


@pytest.mark.parametrize(
    ("stack", "ours"),
    [("offloop", True), ("mcp-offloop, forked children", True), ("offloop reuse", True), ("offloop-waiting", False),
     ("mcp-before", False), ("mcp-pool", False)],
)  # fmt: skip
def test_our_own_stacks_are_known_by_their_first_word(stack: str, *, ours: bool) -> None:
    assert is_ours(stack) is ours


def test_a_ratio_is_that_of_the_medians_to_our_first_stack_in_the_same_unit() -> None:
    figures = Figures()
    for stack, values in {"mcp-pool": [1, 9, 3], "mcp-offloop, forked": [4, 6, 8], "mcp-offloop, reused": [12]}.items():
        for value in values:
            figures.add("PDFs", stack, "PDFs/s", value)
    figures.add("PDFs", "mcp-pool", "s", 7)
    assert [row["to_ours"] for row in figures.rows()] == [0.5, 1.0, 2.0, None]
    assert figures.table().splitlines()[2:] == [
        "| PDFs | mcp-pool | 3 | 1 | 9 | PDFs/s | 0.50 |",
        "| PDFs | mcp-offloop, forked | 6 | 4 | 8 | PDFs/s | 1.00 |",
        "| PDFs | mcp-offloop, reused | 12 | 12 | 12 | PDFs/s | 2.00 |",
        "| PDFs | mcp-pool | 7 | 7 | 7 | s |  |",
    ]


def test_a_quantile_is_a_value_of_the_sample() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0), quantile([7.0], 0.5)) == (
        50,
        99,
        100,
        7,
    )
