"""Sandbox policy of a child, by its kind's declaration; applied after the fork, irrevocably.

==========  =======================  ==================================================================
sandbox     network                  programs and files
==========  =======================  ==================================================================
standard    none, or as declared     as the worker's user
strict      none                     no programs; reads its inputs and the libraries, writes its folders
==========  =======================  ==================================================================

In every child: no privileges can be gained, system calls that no job needs are refused (`seccomp`), other processes can
be neither signalled nor inspected (`landlock`), and the secrets of the settings are not in the environment. Measures
that the kernel lacks are left out and listed by `Abilities.missing`.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import offloop
import offloop_workers
from offloop.kinds.references import Scheme, parse, references
from offloop.settings import SQL_PREFIX, Settings
from offloop_workers.sandbox import kernel, landlock, seccomp

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model

_SIGNALS_SINCE: Final = 6
_CREDENTIALS: Final = ("AWS_", "AZURE_", "GOOGLE_", SQL_PREFIX)
"""Prefixes of the environment variables with credentials of the artifact store and of databases."""

_SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl",
    "/var/cache/fontconfig",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system/cpu",
)
_FONTS: Final = (".fonts", ".local/share/fonts", ".cache/fontconfig", ".config/fontconfig")


@dataclass(frozen=True, slots=True)
class Abilities:
    """Sandbox features of this kernel.

    Attributes:
        calls: seccomp filters work.
        landlock: version of Landlock, 0 for none.
    """

    calls: bool
    landlock: int

    @property
    def missing(self) -> list[str]:
        """Restrictions that cannot be enforced here, as sentences for the operator."""
        lacks = []
        if not self.calls:
            lacks.append("no system call filter: jobs can open sockets and start programs")
        if not self.landlock:
            lacks.append("no Landlock: strict kinds can read and write all that the worker's user can")
        elif self.landlock < _SIGNALS_SINCE and not self.calls:
            lacks.append(f"Landlock {self.landlock} is older than {_SIGNALS_SINCE}: jobs can signal other processes")
        return lacks


def probe() -> Abilities:
    """Try every measure in a forked process; the caller must be single-threaded."""
    known = landlock.version()
    pid = os.fork()
    if pid == 0:
        worked = 0
        try:
            kernel.give_up_privileges()
            if known:
                landlock.restrict(known, network=False, files=landlock.Files(["/usr"], []))
                worked += 1
            seccomp.Filter(seccomp.Refusals(sockets=True, processes=True, spared=[])).install()
            worked += 2
        finally:
            os._exit(worked)  # also after an exception: the exit code says which steps worked
    worked = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if worked < 0:
        return Abilities(calls=False, landlock=0)
    return Abilities(calls=bool(worked & 2), landlock=known if worked & 1 else 0)


class Sandbox:
    """Sandbox for the children of one zygote; prepared before they are forked.

    Args:
        abilities: features of the kernel.
        settings: locations of files that must not count as libraries.
        spared: pids that jobs must not signal.
    """

    def __init__(self, abilities: Abilities, settings: Settings, spared: Iterable[int]) -> None:
        self._landlock = abilities.landlock
        ancestors = list(spared)
        self._filters: dict[tuple[bool, bool], seccomp.Filter] = {}
        if abilities.calls:
            for network, strict in ((False, False), (True, False), (False, True)):
                refusals = seccomp.Refusals(sockets=not network, processes=strict, spared=ancestors)
                self._filters[network, strict] = seccomp.Filter(refusals)
        self._libraries = _outermost(_libraries(settings))
        self._entered = False

    def enter(self, kind: Kind[Any, Any]) -> None:
        """Apply the restrictions of a kind; a reused child has those of standard kinds already."""
        strict = kind.sandbox == "strict"
        if self._entered and not strict:
            return
        if wanted := self._filters.get((kind.network, strict)):
            wanted.install()
        if self._landlock and not strict:
            landlock.restrict(self._landlock, network=kind.network, files=None)
        self._entered = True

    def enclose(self, value: Model, roots: Mapping[str, Path], inputs: Iterable[str], folders: Iterable[str]) -> None:
        """Give up all files but those of one job of a strict kind.

        Args:
            value: its input; the roots that it names may be read.
            roots: folders by the names that references use.
            inputs: files that may be read.
            folders: folders that may be written.
        """
        if not self._landlock:
            return
        named = {parsed.name for parsed in map(parse, references(value)) if parsed.scheme is Scheme.ROOT}
        read = [*self._libraries, *inputs, *(str(roots[name]) for name in named if name in roots)]
        files = landlock.Files(read, ["/dev/null", *folders])
        landlock.restrict(self._landlock, network=False, files=files)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of children: the worker's own without its secrets."""
    secret = {Settings.variable(name) for name, field in Settings.model_fields.items() if not field.repr}
    return {
        name: value for name, value in variables.items() if name not in secret and not name.startswith(_CREDENTIALS)
    }


def _libraries(settings: Settings) -> Iterator[str]:
    """Paths that any job may have to read: the system's libraries and fonts, Python, and the modules of jobs."""
    yield from _SYSTEM
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values())
    home = Path.home()
    yield from (str(home / folder) for folder in _FONTS)
    yield from (str(Path(package).parent) for package in (offloop.__file__, offloop_workers.__file__))
    # The working directory may contain anything, such as a file of secrets, and must not be exposed through sys.path.
    private = [home, Path.cwd(), settings.state_dir, Path(tempfile.gettempdir()), *settings.file_roots.values()]
    if settings.artifacts_location.startswith("file:"):
        private.append(Path(unquote(urlsplit(settings.artifacts_location).path)))
    private = [folder.resolve() for folder in private]
    for entry in [Path(entry).resolve() for entry in sys.path if Path(entry).is_absolute()]:
        if not _holds(entry, private):
            yield str(entry)
        else:
            yield from (str(path) for path in _loaded(entry) if not _holds(path, private))


def _holds(path: Path, private: Iterable[Path]) -> bool:
    return any(folder.is_relative_to(path) for folder in private)


def _loaded(entry: Path) -> Iterator[Path]:
    """The packages and single modules that were imported from a folder of `sys.path`."""
    for name, module in list(sys.modules.items()):
        if not isinstance(file := getattr(module, "__file__", None), str):
            continue
        path, package = Path(file).resolve(), entry / name.partition(".")[0]
        if path.is_relative_to(package):
            yield package
        elif path.parent == entry:
            yield path


def _outermost(paths: Iterable[str]) -> list[str]:
    """The existing paths that are not below another one of them."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if Path(path).exists() and not any(Path(path).is_relative_to(outer) for outer in found):
            found.append(path)
    return found


def describe() -> str:
    """Report for `offloop doctor`: the measures applied here and those missing, as JSON."""
    abilities = probe()
    applied = ["no rights gained"]
    if abilities.calls:
        applied.append("system calls filtered")
    if abilities.landlock:
        applied.append(f"Landlock {abilities.landlock}")
    return json.dumps({"applied": applied, "missing": abilities.missing})
