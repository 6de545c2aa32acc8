"""Check of queries before they are sent: stages and operators by allow-list, and values of Extended JSON decoded.

What the server gets is what was checked: the check builds a new value.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from offloop.errors import BadInput
from offloop_server.io.mongodb.extended_json import from_json, is_value
from offloop_server.io.mongodb.operators import OPERATORS, STAGES

_MAX_DEPTH: Final = 50
_MAX_PARTS: Final = 20_000
"""Values of one query."""
_MAX_STAGES: Final = 200
"""Stages of one query, with those of inner pipelines."""
_LONG: Final = 2**63
_STAGE: Final = "stage"
_OPERATOR: Final = "operator"

_WHY: Final = {
    "$where": "it runs JavaScript; use $expr",
    "$function": "it runs JavaScript",
    "$accumulator": "it runs JavaScript",
    "$out": "it writes",
    "$merge": "it writes",
}


class Guard:
    """Checks the parts of one query, which share the limits."""

    def __init__(self) -> None:
        self._parts = 0
        self._stages = 0

    def value(self, value: Any, depth: int = 0) -> Any:
        """A filter, projection or expression, checked.

        Raises:
            BadInput: an operator is not available, or the value is too deep, too large or malformed.
        """
        self._count(depth)
        if isinstance(value, dict):
            if is_value(value):
                return from_json(value)
            return {self._key(name): self.value(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, int) and not -_LONG <= value < _LONG:
            message = 'An integer has at most 64 bits; write a larger number as {"$numberDecimal": "…"}.'
            raise BadInput(message)
        return value

    def fields(self, argument: str, value: dict[str, Any]) -> dict[str, Any]:
        """An object of fields, checked.

        Args:
            argument: its name, for the message.
            value: the object.

        Raises:
            BadInput: as `value`, or it is one value such as {"$oid": "…"}.
        """
        if is_value(value):
            message = f"{argument} is an object of fields; {next(iter(value))} makes a single value of it."
            raise BadInput(message)
        return {self._key(name): self.value(item, 1) for name, item in value.items()}

    def sort(self, value: dict[str, Any]) -> dict[str, Any]:
        """Fields to sort by, checked, each with its direction.

        Raises:
            BadInput: as `fields`, or a direction is neither a number nor {"$meta": …}.
        """
        return {name: _direction(name, given) for name, given in self.fields("sort", value).items()}

    def pipeline(self, stages: Any, depth: int = 0) -> list[dict[str, Any]]:
        """The stages of an aggregation, checked.

        Raises:
            BadInput: a stage or operator is not available, or the pipeline is malformed or too large.
        """
        if not isinstance(stages, list):
            message = 'A pipeline is a list of stages, such as [{"$match": {…}}, {"$group": {…}}].'
            raise BadInput(message)
        return [self._stage(stage, depth + 1) for stage in stages]

    def _stage(self, stage: Any, depth: int) -> dict[str, Any]:
        self._count(depth)
        self._stages += 1
        if self._stages > _MAX_STAGES:
            message = f"The pipeline has more than {_MAX_STAGES} stages."
            raise BadInput(message)
        if not (isinstance(stage, dict) and len(stage) == 1):
            message = 'A stage is an object with one key, such as {"$match": {…}}.'
            raise BadInput(message)
        [(name, content)] = stage.items()
        if name not in STAGES:
            raise _unavailable(_STAGE, name)
        if name == "$facet":
            return {name: self._facets(content, depth + 1)}
        if name in ("$lookup", "$unionWith", "$graphLookup"):
            return {name: self._other(name, content, depth + 1)}
        return {name: self.value(content, depth + 1)}

    def _facets(self, content: Any, depth: int) -> dict[str, Any]:
        if not isinstance(content, dict):
            message = "$facet takes an object: a name and a pipeline for each."
            raise BadInput(message)
        return {self._key(name): self.pipeline(inner, depth) for name, inner in content.items()}

    def _other(self, name: str, content: Any, depth: int) -> Any:
        """A stage that reads another collection of the same database, perhaps through a pipeline."""
        if name == "$unionWith" and isinstance(content, str):
            return collection_name(content)
        source = "coll" if name == "$unionWith" else "from"
        if not (isinstance(content, dict) and isinstance(content.get(source), str)):
            message = f"{name} takes an object with {source}, the name of a collection of the same database."
            raise BadInput(message)
        checked = {
            self._key(key): self.value(item, depth) for key, item in content.items() if key not in (source, "pipeline")
        }
        inner = {"pipeline": self.pipeline(content["pipeline"], depth)} if "pipeline" in content else {}
        return {**checked, source: collection_name(content[source]), **inner}

    def _key(self, name: str) -> str:
        if name.startswith("$") and name not in OPERATORS:
            raise _unavailable(_OPERATOR, name)
        if "\0" in name:
            message = "A field name has a NUL character in it: send it without."
            raise BadInput(message)
        return name

    def _count(self, depth: int) -> None:
        self._parts += 1
        if depth > _MAX_DEPTH:
            message = f"The query has more than {_MAX_DEPTH} levels: flatten it."
            raise BadInput(message)
        if self._parts > _MAX_PARTS:
            message = f"The query has more than {_MAX_PARTS} values: ask in several calls."
            raise BadInput(message)


def collection_name(name: str) -> str:
    """The name of a collection, checked.

    Raises:
        BadInput: it cannot be one, or is one of the server's own.
    """
    if not name or "$" in name or "\0" in name or name.startswith("system."):
        message = f"{name[:100]!r} cannot be read: give a collection as list_tables shows it."
        raise BadInput(message)
    return name


def _direction(name: str, given: Any) -> Any:
    """The direction of a field, with 1.0 as 1: its client library takes no other number."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if (isinstance(given, int) and not isinstance(given, bool)) or isinstance(given, dict):
        return given
    message = f'sort: the direction of {name[:100]!r} is 1, -1 or {{"$meta": "textScore"}}.'
    raise BadInput(message)


def _unavailable(part: Literal["stage", "operator"], name: str) -> BadInput:
    reason = _WHY.get(name)
    if reason:
        return BadInput(f"The {part} {name} is not available: {reason}.")
    listed = f" Stages: {', '.join(sorted(STAGES))}." if part == _STAGE else ""
    return BadInput(f"The {part} {name[:40]!r} is not available here.{listed}")
