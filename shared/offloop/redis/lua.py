"""Loader of the Lua scripts in ``lua/``: includes, constants, and calls by digest.

A file names what it needs in lines of its own::

    --- @include "lib/record/read"      the statements of lua/lib/record/read.lua, before its own
    --- @const RECORD LEASE             constants of `offloop.redis.schema`

Each file is included once, depth first, so that a script carries only what it uses: the server makes every function of
a script anew at each call, which for all of the library would take longer than most scripts do. For the same reason
constants are written where they stand (never inside a literal or a comment): as variables they would be looked up for
each function that uses them, at each call.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError

from offloop.redis import schema

if TYPE_CHECKING:
    from redis.asyncio import Redis

_FOLDER: Final = resources.files("offloop.redis") / "lua"
_INCLUDE: Final = re.compile(r'^--- @include "([a-z_/]+)"$', re.MULTILINE)
_CONSTANTS: Final = re.compile(r"^--- @const ([A-Z_ ]+)$", re.MULTILINE)
_TOKEN: Final = re.compile(
    r"""(?P<comment>[ ]*--[^\n]*)|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\b(?P<name>[A-Z][A-Z_]*)\b"""
)
_EMPTY_LINES: Final = re.compile(r"\n(?:[ ]*\n)+")


class Script:
    """A script, known to the server by its digest; it survives a restart, a failover or a flush.

    redis-py's own loads a forgotten script with one request and runs it with the next, between which the server may
    forget it again; sent as a whole, it cannot be missing.

    Args:
        redis: runs it.
        text: the script.
    """

    def __init__(self, redis: Redis, text: str) -> None:
        self.text = text
        self._redis = redis
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str] = (), args: Sequence[str | bytes | float] = ()) -> Any:
        """Run the script and return its reply.

        Raises:
            RedisError: the server refuses it, or does not answer.
        """
        given: list[Any] = [len(keys), *keys, *args]
        try:
            return await self._redis.execute_command("EVALSHA", self._digest, *given)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await self._redis.execute_command("EVAL", self.text, *given)  # type: ignore[no-untyped-call]


@cache
def text(name: str) -> str:
    """The text of the script ``lua/<name>.lua`` with all that it includes, without comments.

    Raises:
        FileNotFoundError: it, or a file that it includes, does not exist.
        AttributeError: `offloop.redis.schema` has no such constant.
        ValueError: files include each other in a circle.
    """
    return "".join(_statements(file) for file in files(name))


def files(name: str) -> list[str]:
    """The names of the files of a script, in the order in which they are concatenated.

    Raises:
        FileNotFoundError: it, or a file that it includes, does not exist.
        ValueError: files include each other in a circle.
    """
    found: list[str] = []
    _visit(name, [], found)
    return found


def _visit(name: str, path: list[str], found: list[str]) -> None:
    if name in path:
        message = f"Lua files include each other in a circle: {' > '.join([*path, name])}"
        raise ValueError(message)
    if name not in found:
        for included in _INCLUDE.findall(_read(name)):
            _visit(included, [*path, name], found)
        found.append(name)


def _statements(name: str) -> str:
    """The statements of one file, with the constants that it names in place."""
    source = _read(name)
    literals = {
        constant: _literal(getattr(schema, constant))
        for constants in _CONSTANTS.findall(source)
        for constant in constants.split()
    }

    def written(token: re.Match[str]) -> str:
        return "" if token["comment"] else literals.get(token["name"], token[0])

    return _EMPTY_LINES.sub("\n", _TOKEN.sub(written, source)).lstrip("\n")


def _read(name: str) -> str:
    return _FOLDER.joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _literal(value: str | int | Sequence[str]) -> str:
    """A constant as Lua writes it."""
    match value:
        case int():
            return str(value)
        case str():
            return f"'{value}'"
    return f"{{{', '.join(map(_literal, value))}}}"


def scripts() -> list[str]:
    """The names of all scripts: the files outside of ``lua/lib``."""
    folders = [folder for folder in _FOLDER.iterdir() if folder.name != "lib"]
    return sorted(f"{folder.name}/{file.name.removesuffix('.lua')}" for folder in folders for file in folder.iterdir())


def write(folder: Path) -> None:
    """Write all scripts as they are loaded, for luacheck."""
    for name in scripts():
        path = folder / f"{name}.lua"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
