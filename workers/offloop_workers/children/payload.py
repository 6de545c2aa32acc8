"""The payload of a job: arq's envelope with the kind's name and the arguments, which make the kind's input.

It is read where it is needed, as a rule only in the child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from offloop.errors import JobError
from offloop.kinds import contract
from offloop.redis.codec import unpack

if TYPE_CHECKING:
    from offloop.kinds.kind import Kind, Model

_MAX_NAME: Final = 200


def kind_of(payload: bytes) -> str:
    """The name of the kind, cut to `_MAX_NAME` characters: it is repeated in logs and outcomes.

    Raises:
        JobError: ``bad_input``: this is not a job in msgpack.
    """
    return _unpacked(payload)[0][:_MAX_NAME]


def input_of(payload: bytes, kind: Kind[Any, Any]) -> Model:
    """The validated input.

    Raises:
        JobError: ``bad_input``: this is not a job of the kind in msgpack, or its arguments do not fit.
    """
    name, positional, named = _unpacked(payload)
    if name != kind.name:
        raise _unreadable()
    if positional:
        message = f"{name} takes named arguments only"
        raise JobError(message, code="bad_input")
    value: Model = contract.input_of(kind, named)
    return value


def _unpacked(payload: bytes) -> tuple[str, Any, Any]:
    try:
        job = unpack(payload)
        return str(job["f"]), job["a"], job["k"]
    except Exception:  # noqa: BLE001 -- whatever msgpack raises for bytes that are none, it is the same to the caller
        raise _unreadable() from None


def _unreadable() -> JobError:
    message = "the job's arguments cannot be read: submit it again, or enqueue it with offloop's serializer"
    return JobError(message, code="bad_input")
