"""Contract of a kind or a light tool: its arguments become an input, and its result becomes plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from offloop.errors import JobError


class Contract(Protocol):
    """Name, input and output of a kind or a light tool."""

    @property
    def name(self) -> str:
        pass

    @property
    def input(self) -> type[BaseModel]:
        pass

    @property
    def output(self) -> type[BaseModel]:
        pass


def input_of(contract: Contract, arguments: Mapping[str, Any]) -> Any:
    """Validate arguments.

    Returns:
        An instance of the contract's input.

    Raises:
        JobError: ``bad_input``: the arguments do not fit; the message names the first fault.
    """
    try:
        return contract.input.model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = f"{contract.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise JobError(message, code="bad_input") from None


def output_of(contract: Contract, result: object) -> dict[str, Any]:
    """Convert a result to plain data.

    Raises:
        TypeError: the result is not an instance of the contract's output.
    """
    if not isinstance(result, contract.output):
        message = f"{contract.name} returned {type(result).__name__}, its contract says {contract.output.__name__}"
        raise TypeError(message)
    return result.model_dump(mode="json")
