"""Arguments of tools: flat JSON schemas for clients, and one sentence for each invalid argument."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from offloop.errors import BadInput
from offloop_server.toolkit import coercion
from offloop_server.toolkit.examples import example
from offloop_server.toolkit.places import find

_SECRETS: Final = ("password", "secret", "hmac_key")
"""Substrings of argument names whose values are redacted: refusals end up in logs and transcripts."""
_MAX_PATH: Final = 200
"""Characters of the path to an invalid argument in a refusal."""
_REDACTED: Final = "***"
_MAX_EXAMPLE: Final = 160
"""Characters of an example in a refusal."""
_COMPOSED: Final = {
    "list_type": "it should be a list",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "it should be an object"),
}
_FORMS: Final = _COMPOSED | {
    "string_type": "it should be text",
    "string_pattern_mismatch": "it has the wrong form",
    **dict.fromkeys(("int_type", "int_parsing", "float_type", "float_parsing"), "it should be a number"),
    "union_tag_not_found": "it lacks the field that says which one it is",
}
"""Faults about the form of a value, where an example says more than pydantic's sentence."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class _Untitled(GenerateJsonSchema):
    """Omits generated titles: they repeat the names, and a model pays for each word."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 -- pydantic's signature
        return False


def schema(*models: type[BaseModel]) -> dict[str, Any]:
    """One flat JSON schema with the fields of all the models."""
    merged: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    for model in models:
        part = model.model_json_schema(schema_generator=_Untitled)
        merged["properties"] |= part.get("properties", {})
        for name in ("required", "$defs"):
            if part.get(name) and name == "$defs":
                merged.setdefault(name, {}).update(part[name])
            elif part.get(name):
                merged.setdefault(name, []).extend(part[name])
    return merged


def output_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a tool's answer with references inlined, since clients validate every answer against it.

    A validator resolves each reference and tries each alternative anew: the flat form takes the official Python client
    half to a third of the time (a list of five jobs: 1.6 ms with references, 0.54 without). Docstrings of models are
    left out: they repeat the names of the fields, and most models occur in many answers.
    """
    schema = model.model_json_schema(mode="serialization", schema_generator=_Untitled)
    definitions = {name: _without_docstring(part) for name, part in schema.get("$defs", {}).items()}
    try:
        flat: dict[str, Any] = _flat(_without_docstring(schema), definitions)
    except RecursionError:  # a recursive model has no flat form
        return schema
    return flat


def _without_docstring(model: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in model.items() if name not in ("$defs", "description")}


def _flat(node: Any, definitions: Mapping[str, Any]) -> Any:
    match node:
        case {"$ref": str(reference), **beside}:
            return {**_flat(definitions[reference.removeprefix("#/$defs/")], definitions), **beside}
        case {"anyOf": [dict(one), {"type": "null"}], **beside}:
            return {**_nullable(_flat(one, definitions)), **_flat(beside, definitions)}
        case dict():
            return {name: _flat(value, definitions) for name, value in node.items()}
        case list():
            return [_flat(item, definitions) for item in node]
    return node


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null; constraints such as ``enum`` would rule null out, so those need an alternative."""
    if isinstance(schema.get("type"), str) and not {"enum", "const"} & {*schema}:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def split(
    arguments: dict[str, Any], model: type[BaseModel], other: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split arguments into fields of the model, also in other spellings, and those of the other model."""
    mine: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in arguments.items():
        known = name in model.model_fields or name in other.model_fields
        field = None if known else coercion.field_of(name, arguments, model.model_fields)
        (mine if field or name in model.model_fields else others)[field or name] = value
    return mine, others


def validate(tool: str, model: type[ModelT], arguments: dict[str, Any]) -> ModelT:
    """Validate arguments; what has one meaning only in another form is taken, see `coercion`.

    Raises:
        BadInput: one is invalid; the message names it, its limit and what to do.
    """
    try:
        return coercion.validated(model, arguments)
    except coercion.InvalidArguments as error:
        faults = error.faults
        lines = [_sentence(fault, model, error.arguments) for fault in faults[:5]]
        more = f" (and {len(faults) - 5} more)" if len(faults) > 5 else ""  # noqa: PLR2004 -- five are enough to act on
        message = f"{tool} was not run: {' '.join(lines)}{more} Correct the arguments and call it again."
        raise BadInput(message) from None


def _sentence(fault: Any, model: type[BaseModel], arguments: Mapping[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"]))
    where = where if len(where) <= _MAX_PATH else where[:_MAX_PATH] + "…"
    match fault["type"]:
        case "missing":
            return f"{where} is missing; it is required."
        case "extra_forbidden":
            holder = find(model, fault["loc"], arguments).holder
            known = holder.fields if holder else []
            close = difflib.get_close_matches(str(fault["loc"][-1])[:_MAX_PATH], known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}."
            return f"{where} is not an argument{hint}"
    valid = _example(fault, model, arguments)
    reason = _FORMS[fault["type"]] if valid else fault["msg"].removeprefix("Value error, ")
    reason += _broken_json(fault)
    secret = any(map(_is_secret, fault["loc"]))
    sent = repr(_REDACTED if secret else _abridged(fault["input"])) if where else ""
    sent = f" (you sent {sent if len(sent) <= 60 else sent[:60] + '…'})" if sent else ""  # noqa: PLR2004 -- a line
    return f"{where or 'the arguments'}: {reason}{sent}{valid}."


def _broken_json(fault: Any) -> str:
    """Why text in place of a list or an object is not the JSON that it looks like."""
    text = fault["input"]
    if fault["type"] not in _COMPOSED or not isinstance(text, str) or text.lstrip()[:1] not in {"[", "{"}:
        return ""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f", and the text is no valid JSON ({error.msg} at character {error.pos + 1})"
    except (ValueError, RecursionError):
        return ", and the text is no JSON that can be read"
    return ""


def _example(fault: Any, model: type[BaseModel], arguments: Mapping[str, Any]) -> str:
    """Half a sentence with a valid value, or nothing."""
    found = example(model, fault["loc"], arguments) if fault["type"] in _FORMS else None
    text = json.dumps(found, ensure_ascii=False)
    return f"; send for example {text}" if found is not None and len(text) <= _MAX_EXAMPLE else ""


def _is_secret(name: Any) -> bool:
    return any(word in str(name).lower() for word in _SECRETS)


def _abridged(sent: Any, deeper: int = 5) -> Any:
    """The value as sent, cut to what one line can hold, with secrets redacted."""
    match sent:
        case dict() | list() | tuple() if not deeper:
            return ...
        case dict():
            first = itertools.islice(sent.items(), 20)
            return {name: _REDACTED if _is_secret(name) else _abridged(value, deeper - 1) for name, value in first}
        case list() | tuple():
            return [_abridged(value, deeper - 1) for value in sent[:20]]
        case str() if sent.lstrip()[:1] in ("{", "[", '"') and _is_secret(sent):  # JSON text in place of an object
            return _REDACTED
    return sent
