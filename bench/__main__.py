"""Command line: ``python -m bench``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bench import venvs
from bench.measures import ALL, OF_PEERS
from bench.measures.plan import Plan
from bench.peers import PEERS
from bench.report import chart
from bench.report.figures import Figures
from bench.report.machine import machine


def main() -> None:
    """Read the options, run the measures one after the other, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks: offloop beside its peers.")
    parser.add_argument("--only", default="", help=f"measures, by comma: {', '.join(ALL)}")
    parser.add_argument("--stacks", default="", help=f"stacks, by comma: bare, weasyprint, {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each measure alternates through its stacks")
    parser.add_argument("--quick", action="store_true", help="few and short samples, one round: does it all work?")
    parser.add_argument("--json", type=Path, help="write figures and machine to this file as well")
    parser.add_argument("--chart", type=Path, help="draw the first speed of the run into this SVG file as well")
    parser.add_argument("--from", dest="result", type=Path, help="run nothing: draw the chart of a file of --json")
    parser.add_argument("--before", type=Path, help="another checkout, set up, to compare with: the stack mcp-before")
    given = parser.parse_args()
    if given.result:
        if not given.chart:
            parser.error("--from needs --chart FILE")
        _draw(json.loads(given.result.read_text()), given.chart)
        return
    if given.before:
        os.environ[venvs.BEFORE] = str(given.before.resolve())
    wanted = given.only.split(",") if given.only else list(ALL)
    stacks = frozenset(filter(None, given.stacks.split(",")))
    if unknown := [*({*wanted} - {*ALL}), *(stacks - {*PEERS, "bare", "weasyprint"})]:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    plan = Plan(1 if given.quick else given.rounds, quick=given.quick, stacks=stacks)
    found = machine()
    figures = asyncio.run(_run(plan, wanted))
    sys.stdout.write("".join(f"- {name}: {value}\n" for name, value in found.items()))
    sys.stdout.write(f"\nMedian of {plan.rounds} alternating rounds.\n\n{figures.table()}\n")
    result = {"machine": found, "command": _repeatable(sys.argv[1:]), "rounds": plan.rounds, "figures": figures.rows()}
    if given.json:
        given.json.write_text(json.dumps({**result, "failures": figures.failures}, indent=1) + "\n")
    if given.chart:
        _draw(result, given.chart)


def _repeatable(arguments: list[str]) -> list[str]:
    """The arguments that decide about the figures: without the place of the JSON."""
    kept = [argument for argument in arguments if not argument.startswith("--json=")]
    if "--json" in kept:
        at = kept.index("--json")
        del kept[at : at + 2]
    return kept


def _draw(result: dict[str, Any], path: Path) -> None:
    try:
        path.write_text(chart.draw(result))
    except LookupError as error:
        sys.exit(f"{path} was not drawn: {error}")


async def _run(plan: Plan, wanted: list[str]) -> Figures:
    peers = [entry for name, entry in PEERS.items() if not plan.stacks or name in plan.stacks]
    for venv in {entry.venv for entry in peers if OF_PEERS.intersection(wanted)}:
        await asyncio.to_thread(venvs.python, venv)  # not while something is timed
    figures = Figures()
    for name in wanted:
        began = time.monotonic()
        sys.stderr.write(f"{name}\n")
        await ALL[name](plan, figures)
        sys.stderr.write(f"  {time.monotonic() - began:.0f} s\n")
    return figures


if __name__ == "__main__":
    main()
