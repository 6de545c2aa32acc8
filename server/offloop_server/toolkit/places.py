"""Places in a tool's arguments, with the JSON schema that holds there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]
Location = tuple[str | int, ...]
"""Keys and indices, as pydantic names the place of a fault; also names members of unions, which have no key."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a fault.

    Attributes:
        path: keys and indices that lead to the value.
        value: the value there.
        schemas: what the schema accepts there, one for each alternative.
        optional: whether the value may be left out.
        holder: the place of the object or list that holds the value.
    """

    path: tuple[str | int, ...]
    value: Any
    schemas: tuple[Schema, ...]
    optional: bool = False
    holder: Place | None = None

    @property
    def fields(self) -> list[str]:
        """Names of the fields that an object may have here."""
        return list(dict.fromkeys(name for schema in self.schemas for name in schema.get("properties", {})))


def find(model: type[BaseModel], place: Location, arguments: Any) -> Place:
    """Follow a location through arguments and schema, as far as there is something."""
    root = _schema(model)
    start = Place((), arguments, (root if "$ref" not in root else definition(model, root["$ref"]),))
    return _followed(model, start, place)[1]


def _followed(model: type[BaseModel], spot: Place, steps: Location) -> tuple[int, Place]:
    """Number of steps that led nowhere, and the place that the others lead to.

    A step is a key, an index, or the name of a union's member. The name may be a key as well, so both are tried.
    """
    if not steps:
        return 0, spot
    step, rest = steps[0], steps[1:]
    if member := next((tags(schema)[str(step)] for schema in spot.schemas if step in tags(schema)), None):
        return _followed(model, replace(spot, schemas=(definition(model, member),)), rest)
    ways = [_followed(model, _below(model, spot, step), rest)] if _holds(spot.value, step) else []
    if not ways or len(spot.schemas) > 1:
        lost, found = _followed(model, spot, rest)
        ways.append((lost + (len(spot.schemas) == 1), found))
    return min(ways, key=itemgetter(0))


def _below(model: type[BaseModel], spot: Place, step: str | int) -> Place:
    inner = [inner for schema in spot.schemas for inner in _inside(schema, step)]
    return Place(
        (*spot.path, step),
        spot.value[step],
        tuple(one for schema in inner for one in alternatives(model, schema)),
        any(step in schema.get("properties", ()) and step not in schema.get("required", ()) for schema in spot.schemas),
        spot,
    )


@lru_cache(maxsize=256)
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def alternatives(model: type[BaseModel], schema: Schema) -> Iterator[Schema]:
    """The schema with references followed, one for each alternative; a union with a discriminator stays whole."""
    if reference := schema.get("$ref"):
        yield from alternatives(model, definition(model, reference))
    elif "discriminator" in schema:
        yield schema
    elif several := schema.get("anyOf") or schema.get("oneOf"):
        for one in several:
            yield from alternatives(model, one)
    else:
        yield schema


def definition(model: type[BaseModel], reference: str) -> Schema:
    """The schema that a reference names."""
    found: Schema = _schema(model)["$defs"][reference.removeprefix("#/$defs/")]
    return found


def tags(schema: Schema) -> Mapping[str, str]:
    """References of the members of a union, by the value of its discriminator; none for another schema."""
    found: Mapping[str, str] = schema.get("discriminator", {}).get("mapping", {})
    return found


def _holds(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _inside(schema: Schema, step: str | int) -> Iterator[Schema]:
    if isinstance(step, int):
        if isinstance(schema.get("items"), dict):
            yield schema["items"]
    elif step in schema.get("properties", {}):
        yield schema["properties"][step]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]


def choices(schema: Schema) -> list[Any]:
    """Values of an enumeration; none for another schema."""
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def free_text(schemas: Iterable[Schema]) -> bool:
    """Whether one of the schemas accepts text that is not enumerated."""
    return any(schema.get("type") == "string" and not choices(schema) for schema in schemas)


def takes_urls(schemas: Iterable[Schema]) -> bool:
    """Whether one of the schemas is that of a URL, or of a file reference, which may be one."""
    return any(one.get("format") == "file-reference" or "://" in str(one.get("examples")) for one in schemas)
