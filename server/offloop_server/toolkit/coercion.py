"""Arguments as clients really send them: rewritten where exactly one meaning is possible.

Known clients and models send a list or an object as JSON text, one value instead of a list of one, numbers as text,
``null`` or ``""`` for what they leave out, enumerations in other spellings (``SHA-256``, ``jpg``), names in camel case.
Arguments that validate are never touched. Where validation fails, the value at the fault is compared with the JSON
schema at that place; a rewritten value is validated again, so nothing gets past the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from offloop.kinds import spelling
from offloop_server.toolkit import json_text
from offloop_server.toolkit.places import (
    Location,
    Place,
    Schema,
    alternatives,
    choices,
    find,
    free_text,
    tags,
    takes_urls,
)

_ROUNDS: Final = 6
"""Validations of one input: JSON text that holds objects with enumerations in other spellings takes three."""
_MAX_FAULTS: Final = 200
"""Faults of one input that are looked at: beyond it, the input was not made for this tool."""
_MAX_NUMBER: Final = 1e18
"""A larger number has no text of its own that a client can have meant."""
_NULLS: Final = frozenset({"", "null", "None", "undefined"})
"""Null as text: left empty, or as JSON, Python and JavaScript write it."""
_ARTIFACT: Final = re.compile(r"[A-Za-z0-9_-]{22}")
"""The id of an artifact, as answers have it."""
_BETWEEN_URLS: Final = re.compile(r",?\s+(?=https?://)")
_TAG_NAMES: Final = frozenset({"op", "operation", "type", "kind", "action", "name", "step"})
"""Names under which clients send the discriminator of a union."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class InvalidArguments(Exception):  # noqa: N818 -- what is said is that they are invalid
    """Arguments that stay invalid.

    Attributes:
        arguments: as they were read; the faults are about these.
        faults: pydantic's, with locations.
    """

    def __init__(self, arguments: Mapping[str, Any], error: ValidationError) -> None:
        super().__init__(str(error))
        self.arguments = arguments
        self.faults = error.errors(include_url=False)


class _Unknown:
    """No rewriting has exactly one meaning."""


class _Left:
    """The argument counts as left out."""


def validated(model: type[ModelT], arguments: Mapping[str, Any]) -> ModelT:
    """Validate arguments, rewritten where one meaning only is possible.

    Raises:
        InvalidArguments: they are invalid.
    """
    for left in reversed(range(_ROUNDS)):
        try:
            return model.model_validate(arguments)
        except ValidationError as error:
            few = error.error_count() <= _MAX_FAULTS
            rewritten = _rewritten(model, arguments, error) if few and left else None
            if rewritten is None:
                raise InvalidArguments(arguments, error) from None
            arguments = rewritten
    raise AssertionError  # the last round returns or raises


def field_of(name: str, given: Mapping[str, Any], known: Iterable[str]) -> str | None:
    """The field that an unknown argument name is another spelling of, unless that field is given too."""
    found = spelling.match(name, known)
    return found if found is not None and found not in given else None


def _rewritten(
    model: type[BaseModel], arguments: Mapping[str, Any], error: ValidationError
) -> Mapping[str, Any] | None:
    """The arguments with each fault rewritten that has one meaning; None if there is none."""
    found = arguments
    done: set[Location] = set()  # each member of a union has a fault of its own about one value
    for fault in error.errors(include_url=False, include_context=False):
        place = fault["loc"]
        if not place or fault["type"] == "missing":
            continue
        if fault["type"] == "extra_forbidden":
            found = _renamed(model, found, place)
            continue
        spot = find(model, place, found)
        reading = _Unknown if spot.path in done else _reading(model, spot)
        if reading is not _Unknown:
            done.add(spot.path)
            found = _replaced(found, spot.path, reading)
    return found if found is not arguments else None


def _replaced(data: Any, path: Location, value: Any) -> Any:
    """A copy of the data with another value at the path; what lies beside the path is shared with the original."""
    if not path:
        return value
    first, *rest = path
    copy: Any = dict(data) if isinstance(data, dict) else list(data)
    if not rest and value is _Left:
        del copy[first]
    else:
        copy[first] = _replaced(data[first], tuple(rest), value)
    return copy


def _renamed(model: type[BaseModel], arguments: Mapping[str, Any], place: Location) -> Mapping[str, Any]:
    """The arguments with an unknown name replaced by the field it is a spelling of, if there is one."""
    holder, name = find(model, place, arguments).holder, place[-1]
    if holder is None or not isinstance(holder.value, dict) or not isinstance(name, str):
        return arguments
    field = field_of(name, holder.value, holder.fields)
    if field is None:
        return arguments
    renamed = {field if one == name else one: value for one, value in holder.value.items()}
    replaced: Mapping[str, Any] = _replaced(arguments, holder.path, renamed)
    return replaced


def _reading(model: type[BaseModel], fault: Place) -> Any:
    """The value that is meant, `_Left` for an argument that counts as left out, or `_Unknown`."""
    types = {schema.get("type") for schema in fault.schemas}
    value = fault.value
    null = value is None or (isinstance(value, str) and value.strip() in _NULLS and not free_text(fault.schemas))
    if null and _chosen(value, fault.schemas) is _Unknown:
        return _Left if fault.optional else _Unknown
    readings = (
        _chosen(value, fault.schemas),
        _tagged(value, fault.schemas),
        _from_json(model, value, fault.schemas) if isinstance(value, str) else _Unknown,
        _as_reference(value, fault.schemas),
        _as_text(value) if "string" in types else _Unknown,
        _as_single(value, fault.schemas),
        _as_list(model, value, fault.schemas),
        _as_object(model, value, fault.schemas),
    )
    return next((reading for reading in readings if reading is not _Unknown), _Unknown)


def _chosen(value: Any, schemas: tuple[Schema, ...]) -> Any:
    """The member of an enumeration that the value spells."""
    known = [choice for schema in schemas for choice in choices(schema)]
    if isinstance(value, str):
        texts = [choice for choice in known if isinstance(choice, str)]
        if (found := spelling.match(value, texts)) is not None and found != value:
            return found
        value = _number(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    numbers = [choice for choice in known if isinstance(choice, int) and not isinstance(choice, bool)]
    return value if not isinstance(value, bool) and value in numbers else _Unknown


def _number(text: str) -> float | None:
    try:
        found = float(text) if text.isascii() else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _tagged(value: Any, schemas: tuple[Schema, ...]) -> Any:
    """The member of a union: its discriminator in another spelling or under another name, or the name alone."""
    for schema in schemas:
        members = tags(schema)
        if not members:
            continue
        name = schema["discriminator"]["propertyName"]
        if isinstance(value, str):
            found = spelling.match(value, members)
            return _Unknown if found is None else {name: found}
        if isinstance(value, dict):
            return _discriminated(value, name, members)
    return _Unknown


def _discriminated(value: dict[str, Any], name: str, members: Mapping[str, str]) -> Any:
    if isinstance(sent := value.get(name), str):
        found = spelling.match(sent, members)
        return _Unknown if found in {None, sent} else {**value, name: found}
    if name in value:
        return _Unknown
    others = {
        key: found
        for key, tag in value.items()
        if key.lower() in _TAG_NAMES and isinstance(tag, str) and (found := spelling.match(tag, members))
    }
    if len(others) == 1:
        (key, found), *_ = others.items()
        return {name: found, **{one: part for one, part in value.items() if one != key}}
    if len(value) == 1:
        ((key, inner),) = value.items()
        if (found := spelling.match(key, members)) and isinstance(inner, dict) and name not in inner:
            return {name: found, **inner}
    return _Unknown


def _from_json(model: type[BaseModel], text: str, schemas: tuple[Schema, ...]) -> Any:
    """The list or object that the text is, where one of the schemas accepts it."""
    found = json_text.parsed(text)
    return found if any(_accepts(model, found, schema) for schema in schemas) else _Unknown


def _accepts(model: type[BaseModel], found: Any, schema: Schema) -> bool:
    """Whether parsed JSON text is meant: ``[0]`` in place of a list of patterns may as well be one pattern."""
    match schema.get("type"):
        case "array" if isinstance(found, list):
            kinds = {item.get("type") for item in alternatives(model, schema.get("items", {}))}
            return kinds != {"string"} or all(isinstance(item, str) for item in found)
        case "object" | None:
            return isinstance(found, dict)
    return False


def _as_reference(value: Any, schemas: tuple[Schema, ...]) -> Any:
    """The id of an artifact, alone or in the object that answers list it in, as a file reference."""
    if isinstance(value, dict):
        value = value.get("artifact_id")
    wanted = any(schema.get("format") == "file-reference" for schema in schemas)
    return f"artifact:{value}" if wanted and isinstance(value, str) and _ARTIFACT.fullmatch(value) else _Unknown


def _as_text(value: Any) -> Any:
    """A number as the text that it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER
    return str(value) if number else _Unknown


def _as_list(model: type[BaseModel], value: Any, schemas: tuple[Schema, ...]) -> Any:
    """One value as a list of one; text with commas where the items are enumerated, or numbers; lines of URLs."""
    for schema in schemas:
        if schema.get("type") != "array" or isinstance(value, list) or not isinstance(schema.get("items"), dict):
            continue
        items = tuple(alternatives(model, schema["items"]))
        if not isinstance(value, str) or _as_object(model, value, items) is not _Unknown:
            return [value]
        if isinstance(found := json_text.parsed(value), dict) and any(_accepts(model, found, item) for item in items):
            return [found]
        if value.lstrip().startswith("http") and ",http" not in value and takes_urls(items):
            return _BETWEEN_URLS.split(value.strip())
        parts = [part.strip() for part in value.split(",")]
        if len(parts) > 1 and all(_of_items(part, items) for part in parts):
            return parts
        reference = any(item.get("format", "").endswith("-reference") for item in items)
        alone = len(parts) == 1 and value.lstrip()[:1] not in {"[", "{"}
        return [value] if reference or alone else _Unknown
    return _Unknown


def _as_single(value: Any, schemas: tuple[Schema, ...]) -> Any:
    """The only item of a list where no list is accepted; an object only for one whose fields are declared.

    A list in the list stays: ``[[1, 3]]`` in place of pages may be a range.
    """
    if not isinstance(value, list) or len(value) != 1 or any(schema.get("type") == "array" for schema in schemas):
        return _Unknown
    declared = any("properties" in schema or tags(schema) for schema in schemas)
    return value[0] if not isinstance(value[0], list | dict) or (declared and isinstance(value[0], dict)) else _Unknown


def _of_items(part: str, items: tuple[Schema, ...]) -> bool:
    """Whether a part of text with commas can only be an item: enumerated, or a number."""
    numbers = any(item.get("type") in {"integer", "number"} for item in items)
    known = [choice for item in items for choice in choices(item) if isinstance(choice, str)]
    return spelling.match(part, known) is not None or (numbers and _number(part) is not None)


def _as_object(model: type[BaseModel], value: Any, schemas: tuple[Schema, ...]) -> Any:
    """A file reference as the object whose only required field it is."""
    for schema in schemas:
        required = schema.get("required", ())
        if isinstance(value, str) and len(required) == 1:
            forms = {one.get("format") for one in alternatives(model, schema["properties"][required[0]])}
            if forms == {"file-reference"} and value.lstrip()[:1] not in {"[", "{"}:
                return {required[0]: value}
    return _Unknown
