"""What a job is: a kind has a name, an input, an output, limits, a queue, and how it is isolated.

A contract says what the world sees (`declare`); the work performs it (`performs`), and only a worker's child loads the
work. A small job is both in one function (`job`)::

    @job(seconds=10, memory_mb=256)
    def count_words(text: Text, context: Context) -> Count:
        ...

None of these register anything: they return values, and a `Catalogue` (see `offloop.kinds.catalogue`) collects the
values it finds in the modules it is told to load. So importing a job module has no effect beyond the import.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from offloop.errors import SettingsError
from offloop.kinds.context import Context
from offloop.kinds.limits import Limits

Isolation = Literal["fork", "reuse", "none"]
Sandbox = Literal["standard", "strict"]

_QUEUE = re.compile(r"[a-z0-9_-]{1,32}")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""What kinds and tools may be called."""


class Model(BaseModel):
    """Base of inputs and outputs: unknown fields are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


InputT = TypeVar("InputT", bound=Model)
OutputT = TypeVar("OutputT", bound=Model)
_Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[InputT, OutputT]):
    """A declared sort of heavy work.

    Attributes:
        name: the tool's name, ``verb_noun``.
        description: what a model reads to choose the tool.
        input: the tool's arguments.
        output: what a completed job's ``output`` holds.
        limits: what one attempt may use.
        queue: the queue its jobs wait in; workers are told which queues to serve.
        isolation: ``"fork"`` runs every job in a child of its own (for documents of unknown origin),
            ``"reuse"`` in a warm child that served other jobs before, ``"none"`` on the worker's own loop: for an
            ``async def`` that waits for others instead of computing, with nothing between it and the worker.
        sandbox: ``"strict"`` leaves a job no files but its own, and no programs; it needs ``isolation="fork"``.
        network: the work may open sockets of its own; it needs ``isolation="fork"``, and nobody guards where it dials.
        pure: the same input always gives the same output, so that a result may be shared.
        retries: how often a job is run again after its worker or its child was lost.
        work: the function, where contract and work are one (`job`).
    """

    name: str
    description: str
    input: type[InputT]
    output: type[OutputT]
    limits: Limits = field(default_factory=Limits)
    queue: str = "default"
    isolation: Isolation = "reuse"
    sandbox: Sandbox = "standard"
    network: bool = False
    pure: bool = False
    retries: int = 0
    work: _Function | None = None

    def __post_init__(self) -> None:
        """Refuse a name that is not a tool name and an input that collides with the wait budget's own arguments."""
        if not NAME.fullmatch(self.name):
            message = f"kind name {self.name!r} must be lower-case words joined by underscores, at most 63 characters"
            raise SettingsError(message)
        if taken := {"wait_seconds", "idempotency_key", "notify_url"} & set(self.input.model_fields):
            message = f"kind {self.name}: the input field {min(taken)!r} is taken, every tool has it; rename the field"
            raise SettingsError(message)
        if not _QUEUE.fullmatch(self.queue):
            message = f"kind {self.name}: queue {self.queue!r} must be lower-case letters, digits, - or _, at most 32"
            raise SettingsError(message)
        if self.retries < 0:
            message = f"kind {self.name}: retries must be 0 or more, got {self.retries}"
            raise SettingsError(message)
        if self.isolation == "none" and (self.work is None or self.limits.fetches):
            message = (
                f"kind {self.name}: fetches need a process of the job's own, so that it can wait for them; with "
                'isolation="none" the work asks the network itself'
                if self.limits.fetches
                else f'kind {self.name}: isolation="none" is for a function marked @job: contract and work in one place'
            )
            raise SettingsError(message)
        if self.isolation != "fork" and (self.network or self.sandbox == "strict"):
            asked = "network=True" if self.network else 'sandbox="strict"'
            message = (
                f'kind {self.name}: {asked} needs isolation="fork", because a process that served other jobs '
                "has already given up other things for good"
            )
            raise SettingsError(message)
        if self.network and self.sandbox == "strict":
            message = f'kind {self.name}: sandbox="strict" has no network; leave out one of the two'
            raise SettingsError(message)

    def __call__(self, *arguments: Any) -> OutputT:
        """Call the work directly, as a test of a one-file job does."""
        if self.work is None:
            message = f"{self.name} is a contract; its work is elsewhere, marked @performs({self.name})"
            raise TypeError(message)
        return typing.cast("OutputT", self.work(*arguments))


@dataclass(frozen=True, slots=True)
class Work:
    """The function that performs a kind, found only inside a worker."""

    kind: Kind[Any, Any]
    function: _Function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function directly, as a test does."""
        return self.function(*arguments)


def declare(  # noqa: PLR0913 -- a declaration is a table of named values, each with its default
    name: str,
    input: type[InputT],  # noqa: A002 -- the word of the domain; keyword callers read well
    output: type[OutputT],
    *,
    description: str,
    seconds: float = 60,
    memory_mb: int = 1024,
    output_mb: int = 256,
    fetches: int = 0,
    artifacts: int = 100,
    pages: int = 0,
    pixels: int = 0,
    queue: str = "default",
    isolation: Isolation = "reuse",
    sandbox: Sandbox = "standard",
    network: bool = False,
    pure: bool = False,
    retries: int = 0,
) -> Kind[InputT, OutputT]:
    """Declare a kind whose work is elsewhere. See `Kind` and `Limits` for the meaning of each value."""
    return Kind(
        name=name,
        description=inspect.cleandoc(description),
        input=input,
        output=output,
        limits=Limits(seconds, memory_mb, output_mb, fetches, artifacts, pages, pixels),
        queue=queue,
        isolation=isolation,
        sandbox=sandbox,
        network=network,
        pure=pure,
        retries=retries,
    )


def performs(kind: Kind[InputT, OutputT]) -> Callable[[Callable[[InputT, Context], OutputT]], Work]:
    """Mark a function ``(input, context) -> output`` as the work of a declared kind."""

    def mark(function: Callable[[InputT, Context], OutputT]) -> Work:
        return Work(kind, function)

    return mark


def job(  # noqa: PLR0913 -- a declaration is a table of named values, each with its default
    *,
    seconds: float = 60,
    memory_mb: int = 1024,
    output_mb: int = 256,
    fetches: int = 0,
    artifacts: int = 100,
    pages: int = 0,
    pixels: int = 0,
    queue: str = "default",
    isolation: Isolation = "reuse",
    sandbox: Sandbox = "standard",
    network: bool = False,
    pure: bool = False,
    retries: int = 0,
) -> Callable[[Callable[..., OutputT | Awaitable[OutputT]]], Kind[Any, OutputT]]:
    """Make a kind of one function: name, description and schemas come from the function itself.

    The function, ``def`` or ``async def``, takes one `Model`, optionally a `Context`, and returns a `Model`. Its module
    is imported by the front end too, so heavy imports belong inside the function.

    Raises:
        SettingsError: the signature does not say input and output, or there is no docstring.
    """

    def make(function: Callable[..., OutputT | Awaitable[OutputT]]) -> Kind[Any, OutputT]:
        input_type, output_type, takes_context = _signature(function)
        if isolation == "none" and not inspect.iscoroutinefunction(function):
            message = (
                f'@job {function.__name__}: isolation="none" runs on the worker\'s own loop, which must not be '
                'blocked: write `async def`, and wait for others in it; work that computes needs "reuse" or "fork"'
            )
            raise SettingsError(message)
        return Kind(
            name=function.__name__,
            description=inspect.cleandoc(function.__doc__ or ""),
            input=input_type,
            output=output_type,
            limits=Limits(seconds, memory_mb, output_mb, fetches, artifacts, pages, pixels),
            queue=queue,
            isolation=isolation,
            sandbox=sandbox,
            network=network,
            pure=pure,
            retries=retries,
            work=function if takes_context else lambda value, _context=None: function(value),
        )

    return make


def _signature(function: _Function) -> tuple[type[Model], type[Any], bool]:
    hints = typing.get_type_hints(function)
    output = hints.pop("return", None)
    parameters = list(inspect.signature(function).parameters)
    models = [hints.get(name) for name in parameters[:1]]
    fits = (
        1 <= len(parameters) <= 2  # noqa: PLR2004 -- the input, and perhaps the context
        and all(inspect.isclass(model) and issubclass(model, Model) for model in (*models, output))
        and (len(parameters) == 1 or hints.get(parameters[1]) is Context)
    )
    if not fits or not function.__doc__:
        message = (
            f"@job {function.__name__}: write it as `def {function.__name__}(value: SomeModel, context: Context) -> "
            "OtherModel:` with a docstring; both models subclass offloop.Model and the context is optional"
        )
        raise SettingsError(message)
    return typing.cast("type[Model]", models[0]), typing.cast("type[Any]", output), len(parameters) > 1
