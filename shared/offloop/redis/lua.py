"""A Lua script as a function, with what it needs of a library.

It survives that the server forgets it: at a restart, a failover, a flush.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from redis.asyncio import Redis


_STATEMENT = re.compile(r"^(?=local |\w+ = )", re.MULTILINE)
_NAMES = re.compile(r"local function (\w+)|(?:local )?(\w+(?:, \w+)*)")
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_LITERAL = r"(?:'[^'\n]*'|\d+)"
_CONSTANTS = re.compile(rf"^local ([A-Z_]+(?:, [A-Z_]+)*) = ({_LITERAL}(?:, {_LITERAL})*)(?: +--.*)?\n", re.MULTILINE)


def link(library: str, script: str) -> str:
    """A script behind those statements of a library that it uses, itself or through others.

    The server makes every function of a script anew at each call, which for all of the library takes longer than most
    scripts do. Each statement of the library begins at the beginning of a line, with ``local`` or with a name.
    Constants (strings and numbers, in capitals) are written where they are used: each variable outside a function that
    it uses is looked for whenever the function is made, and those of a library are mostly constants.
    """
    constants = {
        name: literal
        for names, literals in _CONSTANTS.findall(library)
        for name, literal in zip(names.split(", "), re.findall(_LITERAL, literals), strict=True)
    }
    library = _CONSTANTS.sub("", library)
    statements = [each for each in _STATEMENT.split(_COMMENT.sub("", library)) if each.strip()]
    used, words = [False] * len(statements), set(_WORD.findall(script))
    grown = True
    while grown:
        grown = False
        for number, statement in enumerate(statements):
            if not used[number] and _names(statement) & words:
                used[number] = grown = True
                words.update(_WORD.findall(statement))
    linked = "".join(each for each, needed in zip(statements, used, strict=True) if needed) + script
    return _WORD.sub(lambda word: constants.get(word[0], word[0]), linked)


def _names(statement: str) -> set[str]:
    """What a statement gives a name to."""
    found = _NAMES.match(statement)
    return set(filter(None, (found[1], *(found[2] or "").split(", ")))) if found else set()


class Script:
    """One script, known to the server by its digest.

    redis-py's own loads a forgotten script with one request and runs it with the next, between which the server may
    forget it again; sent as a whole, it cannot be missing.

    Args:
        redis: where it runs.
        text: the script.
    """

    def __init__(self, redis: Redis, text: str) -> None:
        self.text = text
        self._redis = redis
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str] = (), args: Sequence[str | bytes | float] = ()) -> Any:
        """Run it.

        Raises:
            RedisError: the server refuses it, or does not answer.
        """
        given: list[Any] = [len(keys), *keys, *args]
        try:
            return await self._redis.execute_command("EVALSHA", self._digest, *given)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await self._redis.execute_command("EVAL", self.text, *given)  # type: ignore[no-untyped-call]
