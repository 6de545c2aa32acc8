"""Generated parts of the documentation: the settings page, the tables of kinds, the tree of modules.

``./run docs`` writes them anew from the code; ``./run check`` and ``tests/test_docs.py`` compare them with the code.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from offloop.kinds import catalogue
from offloop.kinds.kind import Kind
from offloop.settings import Settings

ROOT: Final = Path(__file__).parents[1]
SHORT: Final = 100
"""Characters of a default that is shown in a cell of a table."""
COLUMN: Final = 25
"""Column of the descriptions in the tree of modules."""
MAX_DESCRIPTION: Final = 95
"""Characters of a description in the tree; a longer one ends with an earlier clause."""

DATA: Final = {
    "py.typed": "Marker: the package has type annotations (PEP 561)",
    "demo/": "Input of offloop demo",
    "fonts/": "Source Sans 3 and Source Code Pro, with their licences",
    "lua/": "Scripts that make each transition atomic; lib has their shared parts",
    "themes/": "Style sheets: rules for paper, and the themes",
}
"""Descriptions of what has no docstring; a folder here is drawn without its files."""

SETTINGS_HEAD: Final = """\
# Settings

A process reads its settings from the environment when it starts; an empty value counts as not set. A name
that begins with `OFFLOOP_` and is not in this table is an error with a suggestion. Options of a command,
such as `--port`, come before the environment. `offloop settings` shows every value as it is on a machine.

This page is written from `offloop.settings.Settings` by `./run docs`, and a test compares the two.

| name | default | meaning |
|---|---|---|
"""


def pages() -> dict[Path, str]:
    """Generated pages, and pages with a generated part, as they should be."""
    docs = ROOT / "docs"
    return {
        docs / "settings.md": SETTINGS_HEAD + _rows(settings_rows()),
        docs / "jobs.md": _with_part(docs / "jobs.md", "kinds", f"\n{kinds_tables()}\n"),
        docs / "architecture.md": _with_part(docs / "architecture.md", "modules", f"\n```text\n{tree()}```\n\n"),
    }


def main() -> None:
    """Write the pages that differ, and name them; with ``--check``, only name them, and exit with 1."""
    differing = {page: text for page, text in pages().items() if page.read_text("utf-8") != text}
    check = sys.argv[1:] == ["--check"]
    for page, text in differing.items():
        if not check:
            page.write_text(text, "utf-8")
        sys.stdout.write(f"{page.relative_to(ROOT)}{' is out of date: ./run docs writes it' if check else ''}\n")
    if check and differing:
        sys.exit(1)


def settings_rows() -> Iterator[Iterable[object]]:
    """Name, default and meaning of each setting."""
    for name, field in Settings.model_fields.items():
        default = (
            "see right" if field.default_factory and field.default_factory is not dict else _default(field.default)
        )
        # Only outside of code does <name> look like HTML.
        meaning = re.sub(r"<(\w+)>", r"&lt;\1&gt;", field.description or "").replace("|", r"\|")
        yield f"`{Settings.variable(name)}`", default, meaning


def kinds_tables() -> str:
    """Two tables of the shipped kinds: arguments and answers; limits and options."""
    kinds = [kind for _, kind in sorted(catalogue.load().items())]
    options = ["seconds", "memory MiB", "output MiB", "files", "pages", "pixels", "URLs"]
    options += ["queue", "isolation", "sandbox", "retries", "pure"]
    models = _head(["kind", "arguments, required ones **bold**", "answer"]) + _rows(map(_models, kinds))
    return f"{models}\n{_head(['kind', *options])}{_rows(map(_options, kinds))}"


def _models(kind: Kind[Any, Any]) -> Iterator[str]:
    yield f"`{kind.name}`"
    fields = kind.input.model_fields.items()
    yield ", ".join(f"**`{name}`**" if field.is_required() else f"`{name}`" for name, field in fields)
    yield ", ".join(f"`{name}`" for name in kind.output.model_fields)


def _options(kind: Kind[Any, Any]) -> Iterator[object]:
    limits = kind.limits
    yield from (f"`{kind.name}`", f"{limits.seconds:g}", limits.memory_mb, limits.output_mb, limits.artifacts)
    yield from (f"{value:,}" if value else "-" for value in (limits.pages, limits.pixels, limits.fetches))
    yield from (kind.queue, kind.isolation, kind.sandbox, kind.retries, "yes" if kind.pure else "no")


def tree() -> str:
    """The modules of the three import roots, each with the first sentence of its docstring."""
    roots = [ROOT / "shared" / "offloop", ROOT / "server" / "offloop_server", ROOT / "workers" / "offloop_workers"]
    return "".join(f"{line}\n" for root in roots for line in _drawn(root, root.relative_to(ROOT).as_posix(), 0))


def _drawn(folder: Path, name: str, depth: int) -> Iterator[str]:
    """Lines of a folder: its own, those of its files, those of its folders; a package's own line is its docstring's."""
    yield _line(f"{name}/", DATA.get(f"{name}/") or _summary(folder / "__init__.py"), depth)
    if f"{name}/" in DATA:
        return
    entries = sorted(path for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__"))
    for file in filter(Path.is_file, entries):
        yield _line(file.name, DATA.get(file.name) or _summary(file), depth + 1)
    for inner in filter(Path.is_dir, entries):
        yield from _drawn(inner, inner.name, depth + 1)


def _line(name: str, description: str, depth: int) -> str:
    return f"{'  ' * depth}{name}".ljust(COLUMN - 1) + f" {description}"


def _summary(file: Path) -> str:
    """First sentence of a module's docstring or of a stylesheet's first comment, cut where it is long."""
    text = file.read_text("utf-8")
    if file.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    else:
        text = text.removeprefix("/* ").partition(" */")[0]
    sentence = re.split(r"\.\s|\.$", text.partition("\n")[0])[0].replace("`", "")
    if len(sentence) <= MAX_DESCRIPTION:
        return sentence
    clauses = re.match(rf"(.{{1,{MAX_DESCRIPTION}}})[,;:] ", sentence)
    return clauses[1] if clauses else sentence


def _with_part(page: Path, name: str, part: str) -> str:
    """A page with the text between two of its comments replaced."""
    before, begin, rest = page.read_text("utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not (begin and end):
        message = f"{page.relative_to(ROOT)} lacks <!-- {name} --> or <!-- end of {name} -->"
        raise ValueError(message)
    return before + begin + part + end + after


def _head(names: list[str]) -> str:
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|\n"


def _rows(rows: Iterable[Iterable[object]]) -> str:
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    return f"`{value}`" if isinstance(value, (int, float, str)) and len(str(value)) <= SHORT else "not set"


if __name__ == "__main__":
    main()
