"""The chart of a run: valid, complete, and drawn from the run's own figures."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from bench import __main__
from bench.report import chart
from bench.report.figures import Figures

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {"date": "2026-11-30", "cpu": "AMD EPYC", "cores": 2, "python": "3.11.7"}
COMMAND = ["--only", "pdf-throughput", "--rounds", "4", "--chart", "docs/pdf-throughput.svg"]


def result(speeds: dict[str, list[float]], unit: str = "PDFs/s") -> dict[str, Any]:
    figures = Figures()
    for stack, values in speeds.items():
        for value in values:
            figures.add("ten-page PDFs", stack, "CPU s each", 99)
            figures.add("ten-page PDFs", stack, unit, value)
            figures.add("invoices", stack, unit, value * 10)
    return {"machine": MACHINE, "command": COMMAND, "rounds": 3, "figures": figures.rows()}


SPEEDS = {
    "mcp-offloop, forked children": [4.0, 5.0, 4.5],
    "mcp-pool, fork": [3.0, 3.0, 3.0],
    "mcp-pool, spawn": [2.0, 2.5, 1.5],
}


def drawn(speeds: dict[str, list[float]]) -> ET.Element:
    return ET.fromstring(chart.draw(result(speeds)))  # noqa: S314 -- written a moment ago


def texts(svg: ET.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def bars(svg: ET.Element) -> list[tuple[str, float]]:
    """Kind and length of each bar."""
    rectangles = [(one.attrib["class"], float(one.attrib["width"])) for one in svg.iter(f"{SVG}rect")]
    return [one for one in rectangles if one[0] != "page"]


def length(value: float) -> float:
    """Length of a value, where five is the fastest round of all, to a tenth of a unit."""
    return round((chart.WIDTH - 2 * chart.MARGIN) * value / 5, 1)


def test_every_stack_has_its_name_its_median_and_its_ratio_to_the_fastest_other() -> None:
    words = texts(drawn(SPEEDS))
    assert words[0] == "Ten-page PDFs, PDFs/s"
    assert words[1].startswith("median of 3 rounds")
    assert words[2:8] == [
        *("offloop, forked children", "4.5 (1.50x)"),
        *("pool, fork", "3 (1.00x)"),
        *("pool, spawn", "2 (0.67x)"),
    ]
    assert words[8] == "x: of pool, fork"


def test_bars_and_lines_have_the_lengths_of_the_figures() -> None:
    svg = drawn(SPEEDS)
    assert bars(svg) == [("ours", length(4.5)), ("other", length(3)), ("other", length(2))]
    lines = [
        tuple(round(float(line.attrib[end]) - chart.MARGIN, 1) for end in ("x1", "x2"))
        for line in svg.iter(f"{SVG}line")
    ]
    assert lines == [(length(4), length(5)), (length(3), length(3)), (length(1.5), length(2.5))]


def test_the_command_and_the_machine_of_the_run_are_printed_beneath() -> None:
    words = texts(drawn(SPEEDS))
    assert words[9] == "2026-11-30, AMD EPYC, 2 cores, Python 3.11.7"
    assert " ".join(words[10:]) == "./run bench " + " ".join(COMMAND)
    assert all(len(line) <= 64 for line in words[10:])


def test_it_can_be_read_without_the_picture() -> None:
    svg = drawn(SPEEDS)
    title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]
    assert title.text == "Ten-page PDFs, PDFs/s"
    assert description.text == "offloop, forked children: 4.5 (1.50x); pool, fork: 3 (1.00x); pool, spawn: 2 (0.67x)"


def test_it_has_colours_for_dark_mode_and_loads_nothing() -> None:
    text = chart.draw(result(SPEEDS))
    assert "@media (prefers-color-scheme: dark)" in text
    assert "href" not in text
    assert "url(" not in text


def test_names_are_escaped() -> None:
    name = 'pool <b>&amp; "spawn"'
    assert name in texts(drawn({name: [1.0]}))


@pytest.mark.parametrize(
    ("speeds", "value"),
    [
        ({"mcp-offloop": [4.0]}, "4"),
        ({"mcp-pool": [4.0]}, "4 (1.00x)"),
        ({"mcp-offloop": [0.0]}, "0"),
        ({"mcp-offloop": [1234.4], "mcp-pool": [0.0]}, "1,234"),
    ],
    ids=["ours only", "others only", "nothing in time", "nothing to compare with"],
)
def test_one_stack_or_no_speed_is_drawn_without_a_ratio_where_there_is_none(
    speeds: dict[str, list[float]], value: str
) -> None:
    svg = drawn(speeds)
    assert texts(svg)[3] == value
    assert len(bars(svg)) == len(speeds)


def test_more_stacks_make_it_higher_and_nothing_lies_outside() -> None:
    for count in (1, 20):
        svg = drawn({f"stack {number}": [1.0] for number in range(count)})
        height = float(svg.attrib["height"])
        assert svg.attrib["viewBox"] == f"0 0 {chart.WIDTH} {height:g}"
        assert max(float(text.attrib["y"]) for text in svg.iter(f"{SVG}text")) < height


def test_a_run_without_a_speed_is_refused() -> None:
    with pytest.raises(LookupError, match="no speed"):
        chart.draw(result(SPEEDS, unit="ms"))
    with pytest.raises(LookupError, match="no speed"):
        chart.draw(result({}))


@pytest.mark.parametrize("place", [["--json", "out.json"], ["--json=out.json"], []])
def test_the_printed_command_names_no_file_of_the_machine_beside_the_chart(place: list[str]) -> None:
    assert __main__._repeatable(["--only", "web", *place, "--chart", "a.svg"]) == ["--only", "web", "--chart", "a.svg"]
