"""Requests: a kind and its validated input in the form in which they are stored, compared and claimed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from arq.jobs import serialize_job

from offloop.kinds.references import references
from offloop.redis import codec, schema

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model

_FETCHED: Final = frozenset({"artifact", "http", "https"})
_CHANGING: Final = frozenset({"root", "http", "https"})
"""Schemes whose files may change from one job to the next: such a reference is not the input itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as it is stored.

    Attributes:
        payload: arq's serialized job.
        references: the artifacts and URLs that the input names, as a packed list: the worker fetches them before the
            payload is read.
        fingerprint: the same for equal requests only; ``""`` where it is not needed.
        key: under which an equal request finds the job; ``""`` where each is a job of its own.
    """

    payload: bytes
    references: bytes
    fingerprint: str
    key: str

    @classmethod
    def of(
        cls, kind: Kind[Any, Any], value: Model, principal: str, key: str | None = None, *, compared: bool = False
    ) -> Request:
        """A principal's request for a kind, perhaps under an idempotency key, or one of several that are compared."""
        arguments = value.model_dump(mode="json", exclude_unset=True)
        mark = fingerprint(kind.name, arguments) if key or compared or kind.pure else ""
        payload = serialize_job(kind.name, (), arguments, None, 0, serializer=codec.pack)
        schemes = {str(reference): reference.partition(":")[0] for reference in references(value)}  # all are checked
        fetched = [reference for reference, scheme in schemes.items() if scheme in _FETCHED]
        return cls(payload, codec.pack(fetched), mark, _join_key(kind, schemes.values(), principal, key, mark))


def fingerprint(kind: str, arguments: dict[str, Any]) -> str:
    """A digest that equal requests share."""
    text = json.dumps([kind, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _join_key(kind: Kind[Any, Any], schemes: Collection[str], principal: str, key: str | None, mark: str) -> str:
    """The key under which an equal request finds the job; ``""`` where each request is a job of its own."""
    if key:
        return schema.idempotency_key(principal, key)
    if kind.pure and _CHANGING.isdisjoint(schemes):
        return schema.same_input_key(principal, mark)
    return ""
