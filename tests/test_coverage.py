"""Logs of forked processes in a coverage run."""

from __future__ import annotations

from pathlib import Path

from support.coverage.hook import Log, read_arcs


def _records(folder: Path) -> list[dict[str, list[tuple[int, int]]]]:
    [path] = folder.iterdir()
    return list(read_arcs(path))


def test_an_arc_is_recorded_once(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add_arcs({"a.py": [(-1, 2), (2, 3)], "b.py": []})
    log.add_arcs({"a.py": [(2, 3)]})
    log.add_arcs({"a.py": {(2, 3), (3, -1)}, "b.py": [(1, 2)]})
    first, second = _records(tmp_path)
    assert {name: set(arcs) for name, arcs in first.items()} == {"a.py": {(-1, 2), (2, 3)}}
    assert second == {"a.py": [(3, -1)], "b.py": [(1, 2)]}


def test_a_process_that_is_forked_again_writes_elsewhere(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add_arcs({"parent.py": [(1, 2)]})
    log.prepare_fork()
    log.add_arcs({"parent.py": [(2, 3)]})
    log.move()
    log.add_arcs({"child.py": [(1, 2)]})
    assert _records(tmp_path) == [{"parent.py": [(1, 2)]}, {"parent.py": [(2, 3)]}, {"child.py": [(1, 2)]}]


def test_a_full_log_keeps_what_it_has(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add_arcs({"a.py": [(1, 2)]})
    log.add_arcs({"b.py": [(line, line + 1) for line in range(200_000)]})
    log.add_arcs({"c.py": [(1, 2)]})
    assert _records(tmp_path) == [{"a.py": [(1, 2)]}, {"c.py": [(1, 2)]}]
