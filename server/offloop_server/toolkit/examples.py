"""Valid values from JSON schemas, for the refusal of an invalid one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from offloop_server.toolkit.places import Location, Schema, alternatives, choices, find, tags


def example(model: type[BaseModel], place: Location, arguments: Mapping[str, Any]) -> Any:
    """A valid value for the place of a fault, or None where the schema does not tell one."""
    fault = find(model, place, arguments)
    return next((found for schema in fault.schemas if (found := _example(model, schema)) is not None), None)


def _example(model: type[BaseModel], schema: Schema, deeper: int = 4) -> Any:
    found: Any = None
    if schema.get("examples"):
        found = schema["examples"][0]
    elif several := choices(schema):
        found = several[0]
    elif tags(schema):
        found = _example(model, next(alternatives(model, schema["oneOf"][0])), deeper)
    elif deeper:
        found = _composed(model, schema, deeper - 1)
    return found


def _composed(model: type[BaseModel], schema: Schema, deeper: int) -> Any:
    def inner(part: Schema) -> Any:
        return next((_example(model, one, deeper) for one in alternatives(model, part)), None)

    match schema.get("type"):
        case "array" if isinstance(schema.get("items"), dict):
            item = inner(schema["items"])
            return None if item is None else [item]
        case "object":
            others = schema.get("additionalProperties")
            properties = schema.get("properties", {"name": others if isinstance(others, dict) else {"type": "string"}})
            names = schema.get("required") or list(properties)[:1]
            parts = {name: inner(properties[name]) for name in names}
            return parts if None not in parts.values() else None
        case "string":
            return "artifact:<id>" if schema.get("format") == "file-reference" else "…"
        case "integer" | "number":
            above = schema.get("exclusiveMinimum")
            return schema.get("minimum", 1) if above is None else above + 1
        case "boolean":
            return True
    return None
