"""Families of tools: an operator switches them on, so that a model that needs five tools does not get forty.

A kind or a light tool says which family it belongs to. One without a family is always listed: the tools around jobs
and files, and jobs of the operator's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from offloop.kinds.options import Family


class Member(Protocol):
    """A kind or a tool."""

    @property
    def family(self) -> Family | None:
        """Family it belongs to; None for one that is always listed."""


MemberT = TypeVar("MemberT", bound=Member)


class Families:
    """Families that are switched on.

    Args:
        chosen: their names; none stands for all.
    """

    def __init__(self, chosen: Iterable[str]) -> None:
        self._chosen = frozenset(chosen)

    def offers(self, member: Member) -> bool:
        """Whether a kind or tool is listed."""
        return not self._chosen or member.family is None or member.family in self._chosen

    def offered(self, members: Iterable[MemberT]) -> list[MemberT]:
        """Those that are listed, in the same order."""
        return [member for member in members if self.offers(member)]

    def empty(self, tools: Iterable[Member]) -> list[str]:
        """Families that were chosen but have no tool, because what they need is not configured; sorted."""
        return sorted(self._chosen - {tool.family for tool in tools})
