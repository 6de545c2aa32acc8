"""Catalogue of kinds: the shipped ones, those of installed packages, and those of ``OFFLOOP_JOB_MODULES``.

It also holds the light tools that the same modules declare; only front ends use them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from types import ModuleType
from typing import Any

from offloop.errors import SettingsError
from offloop.kinds import limits
from offloop.kinds.kind import Kind, Work
from offloop.kinds.tool import DeclaredTool

ENTRY_POINTS = "offloop.jobs"
"""Group of entry points in which an installed package names its job modules."""
_CONTRACTS = "offloop.jobs"
"""Package of the shipped contracts."""


class Catalogue(Mapping[str, Kind[Any, Any]]):
    """Kinds by name, in the order of their names.

    Args:
        kinds: the kinds.
        tools: the light tools of the same modules.
    """

    def __init__(self, kinds: Iterable[Kind[Any, Any]], tools: Iterable[DeclaredTool[Any, Any]] = ()) -> None:
        """Index kinds and tools by name.

        Raises:
            SettingsError: two different kinds or tools have one name.
        """
        self._kinds: dict[str, Kind[Any, Any]] = {}
        for kind in sorted(kinds, key=lambda kind: kind.name):
            if self._kinds.setdefault(kind.name, kind) is not kind:
                message = f"two jobs are named {kind.name!r}; rename one (OFFLOOP_JOB_MODULES says which are loaded)"
                raise SettingsError(message)
        self.tools: dict[str, DeclaredTool[Any, Any]] = {}
        for tool in sorted(tools, key=lambda tool: tool.name):
            if self.tools.setdefault(tool.name, tool) is not tool or tool.name in self._kinds:
                other = "a job" if tool.name in self._kinds else "another tool"
                message = f"the tool {tool.name!r} has the name of {other}; rename one (OFFLOOP_JOB_MODULES says which)"
                raise SettingsError(message)

    def __getitem__(self, name: str) -> Kind[Any, Any]:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues of all kinds, sorted."""
        return tuple(sorted({kind.queue for kind in self.values()}))


def load(job_modules: Iterable[str] = (), *, tightened: str = "") -> Catalogue:
    """Import the job modules and collect the kinds and light tools that they define.

    Args:
        job_modules: modules of the operator's own jobs and tools.
        tightened: limits to lower, as ``OFFLOOP_LIMITS`` writes them.

    Raises:
        SettingsError: a module cannot be imported or holds neither, or a limit cannot be lowered to that value.
    """
    found = shipped()
    tools: list[DeclaredTool[Any, Any]] = []
    for name in (*(point.value for point in metadata.entry_points(group=ENTRY_POINTS)), *job_modules):
        module = import_module(name)
        kinds, light = kinds_in(module), tools_in(module)
        if not (kinds or light):
            message = f"OFFLOOP_JOB_MODULES: {name!r} holds no job; mark a function with @offloop.job(...)"
            raise SettingsError(message)
        found += kinds
        tools += light
    return _tightened(Catalogue(found, tools), limits.parse(tightened))


def shipped() -> list[Kind[Any, Any]]:
    """Kinds of the shipped families, as the modules of ``offloop.jobs`` declare them."""
    package = importlib.import_module(_CONTRACTS)
    names = [module.name for module in pkgutil.iter_modules(package.__path__, f"{_CONTRACTS}.")]
    return [kind for name in names for kind in kinds_in(importlib.import_module(name))]


def _tightened(kinds: Catalogue, changes: Mapping[str, Mapping[str, float]]) -> Catalogue:
    limits.check_kinds(changes, kinds)
    if not changes:
        return kinds
    return Catalogue(
        (replace(kind, limits=kind.limits.tightened(changes.get(name, {}), kind=name)) for name, kind in kinds.items()),
        kinds.tools.values(),
    )


def import_module(name: str) -> ModuleType:
    """Import a module of jobs by its dotted name.

    Raises:
        SettingsError: the import failed; the message has the reason.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        message = (
            f"OFFLOOP_JOB_MODULES: cannot import {name!r} ({type(error).__name__}: {error}). "
            "Is its folder on PYTHONPATH, for the front end and the workers?"
        )
        raise SettingsError(message) from error


def kinds_in(module: ModuleType) -> list[Kind[Any, Any]]:
    """Kinds that are attributes of a module."""
    return [value for value in vars(module).values() if isinstance(value, Kind)]


def works_in(module: ModuleType) -> list[Work]:
    """Works that are attributes of a module, and the works of its one-function jobs."""
    own = [Work(kind, kind.work) for kind in kinds_in(module) if kind.work is not None]
    return [value for value in vars(module).values() if isinstance(value, Work)] + own


def tools_in(module: ModuleType) -> list[DeclaredTool[Any, Any]]:
    """Light tools that are attributes of a module."""
    return [value for value in vars(module).values() if isinstance(value, DeclaredTool)]
