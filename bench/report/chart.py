"""Bar chart of a run, as an SVG file for a page: the first of its speeds, from the figures that the run made.

It is readable as an image of 320 pixels and more, in light and dark mode, and without the picture (title, description).
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from xml.etree import ElementTree as ET

from bench.report.figures import is_ours, three_digits

WIDTH: Final = 480
MARGIN: Final = 16
_BARS: Final = WIDTH - 2 * MARGIN
_ROW, _BAR, _HEAD, _LINE = 38, 12, 66, 16
_COLUMNS: Final = 64  # characters of the command in a line
_STYLE: Final = """
text { font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.small { font-size: 12px; fill: #59636e }
.command { font: 11px ui-monospace, "DejaVu Sans Mono", monospace; fill: #59636e }
.value { font-weight: 600 }
.page { fill: #ffffff; stroke: #d1d9e0 }
.ours { fill: #0969da }
.other { fill: #9aa4af }
.rounds { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .small, .command { fill: #9198a1 }
  .page { fill: #0d1117; stroke: #3d444d }
  .ours { fill: #4493f8 }
  .other { fill: #656c76 }
  .rounds { stroke: #f0f6fc }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One stack: the median of its rounds and their extremes."""

    stack: str
    median: float
    slowest: float
    fastest: float

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """The bar of a row of `bench.report.figures.Figures.rows`."""
        return cls(row["stack"], row["median"], row["min"], row["max"])

    @property
    def label(self) -> str:
        """The name without the word that all stacks of a run through MCP share."""
        return self.stack.removeprefix("mcp-")


def draw(result: dict[str, Any]) -> str:
    """Draw the first speed (a unit that ends in ``/s``) of a result, as ``--json`` writes it.

    Raises:
        LookupError: the run measured no speed.
    """
    speeds = [row for row in result["figures"] if row["unit"].endswith("/s")]
    if not speeds:
        message = "this run has no speed to draw: no unit ends in /s"
        raise LookupError(message)
    measure, unit = speeds[0]["measure"], speeds[0]["unit"]
    bars = [Bar.of(row) for row in speeds if (row["measure"], row["unit"]) == (measure, unit)]
    title = f"{measure[:1].upper()}{measure[1:]}, {unit}"
    best = max((bar.median for bar in bars if not is_ours(bar.stack)), default=0.0)
    command = textwrap.wrap(shlex.join(["./run", "bench", *result["command"]]), _COLUMNS, break_on_hyphens=False)
    height = _HEAD + _ROW * len(bars) + _LINE * (len(command) + 2) + MARGIN
    svg = _canvas(height, title, "; ".join(_sentences(bars, best)))
    _text(svg, MARGIN, 28, title, "title")
    _text(svg, MARGIN, 48, f"median of {result['rounds']} rounds, line from the slowest to the fastest", "small")
    scale = _BARS / (max(bar.fastest for bar in bars) or 1)
    for number, bar in enumerate(bars):
        _draw_bar(svg, _HEAD + _ROW * number, bar, scale, best)
    foot = _HEAD + _ROW * len(bars) + _LINE
    for number, line in enumerate([*_notes(result["machine"], bars, best), *command]):
        _text(svg, MARGIN, foot + _LINE * number, line, "small" if number < 2 else "command")  # noqa: PLR2004 -- two notes
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _canvas(height: int, title: str, description: str) -> ET.Element:
    names = {"role": "img", "aria-labelledby": "title description"}
    box = {"viewBox": f"0 0 {WIDTH} {height}", "width": f"{WIDTH}", "height": f"{height}"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **box, **names})
    ET.SubElement(svg, "title", {"id": "title"}).text = title
    ET.SubElement(svg, "desc", {"id": "description"}).text = description
    ET.SubElement(svg, "style").text = _STYLE
    edges = {"x": "0.5", "y": "0.5", "width": f"{WIDTH - 1}", "height": f"{height - 1}", "rx": "6"}
    ET.SubElement(svg, "rect", {"class": "page", **edges})
    return svg


def _draw_bar(svg: ET.Element, top: float, bar: Bar, scale: float, best: float) -> None:
    kind = "ours" if is_ours(bar.stack) else "other"
    _text(svg, MARGIN, top + 14, bar.label)
    _text(svg, WIDTH - MARGIN, top + 14, _value(bar, best), "value", **{"text-anchor": "end"})
    place = {"x": f"{MARGIN}", "y": f"{top + 20}", "width": f"{bar.median * scale:.1f}", "height": f"{_BAR}"}
    ET.SubElement(svg, "rect", {"class": kind, **place})
    ends = {"x1": f"{MARGIN + bar.slowest * scale:.1f}", "x2": f"{MARGIN + bar.fastest * scale:.1f}"}
    middle = f"{top + 20 + _BAR / 2:g}"
    ET.SubElement(svg, "line", {"class": "rounds", **ends, "y1": middle, "y2": middle})


def _value(bar: Bar, best: float) -> str:
    return f"{three_digits(bar.median)} ({bar.median / best:.2f}x)" if best else three_digits(bar.median)


def _sentences(bars: Sequence[Bar], best: float) -> Iterator[str]:
    for bar in bars:
        yield f"{bar.label}: {_value(bar, best)}"


def _notes(machine: dict[str, Any], bars: Sequence[Bar], best: float) -> list[str]:
    """Two lines: the meaning of the ratio, and the machine."""
    compared = next((f"x: of {bar.label}" for bar in bars if best and bar.median == best), "")
    known = [str(machine[name]) for name in ("date", "cpu") if name in machine]
    cores = [f"{machine['cores']} cores"] if "cores" in machine else []
    python = [f"Python {machine['python']}"] if "python" in machine else []
    return [compared, ", ".join([*known, *cores, *python])]


def _text(svg: ET.Element, x: float, y: float, words: str, kind: str = "", **more: str) -> None:
    style = {"class": kind} if kind else {}
    ET.SubElement(svg, "text", {"x": f"{x:g}", "y": f"{y:g}", **style, **more}).text = words
