"""Keys of a Redis that may be read: those under an allowed prefix, and never those of offloop itself."""

from __future__ import annotations

from typing import Final

from offloop.errors import BadInput

OWN: Final = (b"offloop:", b"arq:")
"""Prefixes of the keys of offloop and arq. Keys with them are refused in every Redis, their own and others."""
_SPECIAL: Final = frozenset(b"*?[]\\^-")


class Keyspace:
    """The allowed keys.

    Args:
        prefixes: what they begin with, literally; an empty one allows every key.
    """

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._prefixes = tuple(prefix.encode() for prefix in prefixes)

    def allows(self, key: bytes) -> bool:
        """Whether a key may be read."""
        return key.startswith(self._prefixes) and not key.startswith(OWN)

    def check(self, key: bytes) -> None:
        """Check a key of a command.

        Raises:
            BadInput: it may not be read; the message names the prefixes.
        """
        if key.startswith(OWN):
            message = "Keys that begin with offloop: or arq: are never read: they hold offloop's own data."
            raise BadInput(message)
        if not self.allows(key):
            message = f"The key {key[:100].decode('utf-8', 'replace')!r} may not be read. {self.described()}"
            raise BadInput(message)

    def described(self) -> str:
        """The allowed keys in a sentence."""
        shown = [prefix.decode() for prefix in self._prefixes]
        return "Every key may be read." if "" in shown else f"Keys that may be read begin with: {', '.join(shown)}."

    def patterns(self) -> list[bytes]:
        """Glob patterns that match the keys under each prefix."""
        return [b"*"] if b"" in self._prefixes else [escaped(prefix) + b"*" for prefix in self._prefixes]


def escaped(text: bytes) -> bytes:
    """A glob pattern that matches exactly this text."""
    return b"".join(b"\\" + bytes([byte]) if byte in _SPECIAL else bytes([byte]) for byte in text)
