"""Places in a tool's arguments, with the JSON schema that holds there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
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
    """

    path: tuple[str | int, ...]
    value: Any
    schemas: tuple[Schema, ...]
    optional: bool = False


def find(model: type[BaseModel], place: Location, arguments: Any) -> Place:
    """Follow a location through arguments and schema, as far as there is something."""
    root = _schema(model)
    spot = Place((), arguments, (root if "$ref" not in root else definition(model, root["$ref"]),))
    for step in place:
        member = next((tags(schema)[str(step)] for schema in spot.schemas if step in tags(schema)), None)
        if member is not None:
            spot = Place(spot.path, spot.value, (definition(model, member),), spot.optional)
        elif _holds(spot.value, step):
            inner = [inner for schema in spot.schemas for inner in _inside(schema, step)]
            spot = Place(
                (*spot.path, step),
                spot.value[step],
                tuple(one for schema in inner for one in alternatives(model, schema)),
                any(
                    step in schema.get("properties", ()) and step not in schema.get("required", ())
                    for schema in spot.schemas
                ),
            )
    return spot


def fields(model: type[BaseModel], place: Location, arguments: Mapping[str, Any]) -> list[str]:
    """Names of the fields of the object in which a fault lies."""
    holder = find(model, place[:-1], arguments)
    return [name for schema in holder.schemas for name in schema.get("properties", {})]


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
