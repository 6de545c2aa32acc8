"""Registry of work: the function that performs each kind, of shipped families, installed packages and the operator."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import metadata
from types import ModuleType
from typing import Any

from offloop.errors import JobError, SettingsError
from offloop.kinds.catalogue import ENTRY_POINTS, import_module, kinds_in, shipped, works_in
from offloop.kinds.context import Context
from offloop.kinds.kind import Kind, Model, Work


def load(job_modules: Iterable[str] = (), *, queues: Iterable[str] | None = None) -> dict[str, Work]:
    """Import the work of the kinds of some queues.

    A shipped family whose libraries are not installed does not stop the worker: its jobs fail with a message that says
    what to install.

    Args:
        job_modules: modules of the operator's own jobs, loaded beside those of installed packages.
        queues: import only the families with a kind in one of these; None imports all.

    Returns:
        The work of each kind, by the kind's name.

    Raises:
        SettingsError: a module cannot be imported, a kind has two works, or a kind of the operator has none.
    """
    found: dict[str, Work] = {}
    for family in families(queues):
        for work in _family_works(family):
            _add(found, work)
    modules = [
        import_module(name) for name in (*(p.value for p in metadata.entry_points(group=ENTRY_POINTS)), *job_modules)
    ]
    for module in modules:
        for work in works_in(module):
            _add(found, work)
    for kind in (kind for module in modules for kind in kinds_in(module)):
        if kind.name not in found:
            message = (
                f"{kind.name} is declared, but no loaded module performs it: mark a function @performs({kind.name})"
            )
            raise SettingsError(message)
    return found


def families(queues: Iterable[str] | None = None) -> list[str]:
    """Shipped families that have a kind in one of the queues, or all of them; sorted."""
    served = None if queues is None else set(queues)
    return sorted({kind.family for kind in shipped() if kind.family and (served is None or kind.queue in served)})


def modules(family: str) -> Iterator[ModuleType]:
    """Import every module of a family's folder, ``offloop_workers/<family>``."""
    package = importlib.import_module(f"offloop_workers.{family}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(module.name)


def _contracts(family: str) -> list[Kind[Any, Any]]:
    return [kind for kind in shipped() if kind.family == family]


def _family_works(family: str) -> list[Work]:
    try:
        return [work for module in modules(family) for work in works_in(module)]
    except (ImportError, OSError) as error:  # OSError: a shared library, such as Pango, is missing
        return [Work(kind, _unavailable(kind, error)) for kind in _contracts(family)]


def _add(found: dict[str, Work], work: Work) -> None:
    if found.setdefault(work.kind.name, work) != work:
        message = (
            f"two functions perform {work.kind.name!r}; keep one (OFFLOOP_JOB_MODULES says which modules are loaded)"
        )
        raise SettingsError(message)


def _unavailable(kind: Kind[Any, Any], error: Exception) -> Any:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__

    def refuse(_value: Model, _context: Context) -> Model:
        message = (
            f"{kind.name} is not available on this worker: {reason}. Its operator should install offloop[workers] and, "
            "for PDF, the Pango libraries (on Debian and Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 "
            "libharfbuzz-subset0), then restart the worker. `offloop doctor` shows what is missing."
        )
        raise JobError(message, code="not_installed")

    return refuse
