"""The kinds a process knows: the shipped ones, those of installed packages, and those of ``OFFLOOP_JOB_MODULES``."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from types import ModuleType
from typing import Any

from offloop import limits
from offloop.errors import SettingsError
from offloop.job import Kind

ENTRY_POINTS = "offloop.jobs"
SHIPPED = ("offloop.jobs.documents", "offloop.jobs.hashing", "offloop.jobs.images", "offloop.jobs.pdf")


class Catalogue(Mapping[str, Kind[Any, Any]]):
    """Kinds by name, in the order of their names."""

    def __init__(self, kinds: Iterable[Kind[Any, Any]]) -> None:
        """Collect kinds.

        Raises:
            SettingsError: two different kinds have one name.
        """
        self._kinds: dict[str, Kind[Any, Any]] = {}
        for kind in sorted(kinds, key=lambda kind: kind.name):
            if self._kinds.setdefault(kind.name, kind) is not kind:
                message = f"two jobs are named {kind.name!r}; rename one (OFFLOOP_JOB_MODULES says which are loaded)"
                raise SettingsError(message)

    def __getitem__(self, name: str) -> Kind[Any, Any]:
        """The kind of that name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """The names, sorted."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """How many kinds there are."""
        return len(self._kinds)

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue that some kind names, sorted."""
        return tuple(sorted({kind.queue for kind in self.values()}))


def load(job_modules: Iterable[str] = (), *, tightened: str = "") -> Catalogue:
    """Import the job modules and collect the kinds they define.

    Args:
        job_modules: modules of the operator's own jobs.
        tightened: limits to lower, as ``OFFLOOP_LIMITS`` writes them.

    Raises:
        SettingsError: a module cannot be imported, or holds no job; or a limit cannot be lowered so.
    """
    found = [kind for name in SHIPPED for kind in kinds_in(importlib.import_module(name))]
    for name in (*(point.value for point in metadata.entry_points(group=ENTRY_POINTS)), *job_modules):
        found += kinds_in(import_module(name)) or _refuse_empty(name)
    return _tightened(Catalogue(found), limits.parse(tightened))


def _tightened(kinds: Catalogue, changes: Mapping[str, Mapping[str, float]]) -> Catalogue:
    limits.check_kinds(changes, kinds)
    if not changes:
        return kinds
    return Catalogue(
        replace(kind, limits=kind.limits.tightened(changes.get(name, {}), kind=name)) for name, kind in kinds.items()
    )


def import_module(name: str) -> ModuleType:
    """Import a module of jobs by its dotted name.

    Raises:
        SettingsError: it cannot be imported; the message says what happened.
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
    """The kinds that are attributes of a module."""
    return [value for value in vars(module).values() if isinstance(value, Kind)]


def _refuse_empty(name: str) -> list[Kind[Any, Any]]:
    message = f"OFFLOOP_JOB_MODULES: {name!r} holds no job; mark a function with @offloop.job(...)"
    raise SettingsError(message)
