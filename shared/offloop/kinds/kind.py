"""Kinds: name, input, output, limits, queue and isolation of a job, and the decorators that declare one.

A contract is what callers see (`declare`). The work performs it (`performs`); only a worker's child loads the work.
A small job is both in one function (`job`)::

    @job(seconds=10, memory_mb=256)
    def count_words(text: Text, context: Context) -> Count:
        ...

These functions register nothing: they return values, and a `Catalogue` (see `offloop.kinds.catalogue`) collects the
values of the modules that it loads. So importing a job module has no effect beyond the import.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict

from offloop.errors import SettingsError
from offloop.kinds.context import Context
from offloop.kinds.limits import Limits
from offloop.kinds.options import BUDGET, FAMILIES, Family, Isolation, KindOptions, Sandbox, as_fields, unknown_family

_QUEUE = re.compile(r"[a-z0-9_-]{1,32}")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Names of kinds and tools."""


class Model(BaseModel):
    """Base of inputs and outputs: unknown fields are refused, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


InputT = TypeVar("InputT", bound=Model)
OutputT = TypeVar("OutputT", bound=Model)
_Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[InputT, OutputT]):
    """Kind of job: a declared sort of heavy work.

    Attributes:
        name: the tool's name, ``verb_noun``.
        description: the text from which a model chooses the tool.
        input: the tool's arguments.
        output: model of a completed job's ``output``.
        limits: limits of one attempt.
        queue: queue of its jobs; each worker serves some or all queues.
        isolation: ``"fork"`` runs every job in a child of its own (for documents of unknown origin),
            ``"reuse"`` in a warm child that served other jobs before, ``"none"`` on the worker's own loop: for an
            ``async def`` that waits for others instead of computing, with nothing between it and the worker.
        sandbox: ``"strict"`` leaves a job no files but its own, and no programs; it needs ``isolation="fork"``.
        network: the work may open sockets of its own; it needs ``isolation="fork"``, and no guard checks the hosts.
        pure: the same input always gives the same output, so results may be shared.
        retries: number of further executions after a worker or child was lost.
        family: the family of tools that the operator switches it on and off with; None for one that is always listed.
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
    family: Family | None = None
    work: _Function | None = None

    def __post_init__(self) -> None:
        """Refuse names that are not allowed and options that contradict each other.

        Raises:
            SettingsError: the first problem; the message says what to change.
        """
        for problem in (*_problems_of_names(self), *_problems_of_isolation(self)):
            raise SettingsError(problem)

    def __call__(self, *arguments: Any) -> OutputT:
        """Call the work directly, as a test of a one-file job does."""
        if self.work is None:
            message = f"{self.name} is a contract; its work is elsewhere, marked @performs({self.name})"
            raise TypeError(message)
        return typing.cast("OutputT", self.work(*arguments))


def _problems_of_names(kind: Kind[Any, Any]) -> Iterator[str]:
    if not NAME.fullmatch(kind.name):
        yield f"kind name {kind.name!r} must be lower-case words joined by underscores, at most 63 characters"
    for taken in sorted(BUDGET & set(kind.input.model_fields)):
        yield f"kind {kind.name}: the input field {taken!r} is taken, every tool has it; rename the field"
    if not _QUEUE.fullmatch(kind.queue):
        yield f"kind {kind.name}: queue {kind.queue!r} must be lower-case letters, digits, - or _, at most 32"
    if kind.family is not None and kind.family not in FAMILIES:
        yield f"kind {kind.name}: {unknown_family(kind.family)}, or leave it out"
    if kind.retries < 0:
        yield f"kind {kind.name}: retries must be 0 or more, got {kind.retries}"


def _problems_of_isolation(kind: Kind[Any, Any]) -> Iterator[str]:
    if kind.isolation == "none" and kind.limits.fetches:
        yield (
            f"kind {kind.name}: fetches need a process of the job's own, so that it can wait for them; with "
            'isolation="none" the work asks the network itself'
        )
    if kind.isolation == "none" and kind.work is None:
        yield f'kind {kind.name}: isolation="none" is for a function marked @job: contract and work in one place'
    strict = kind.sandbox == "strict"
    for option, chosen in (("network=True", kind.network), ('sandbox="strict"', strict)):
        if chosen and kind.isolation != "fork":
            yield (
                f'kind {kind.name}: {option} needs isolation="fork", because a process that served other jobs '
                "has already given up other things for good"
            )
    if kind.network and strict:
        yield f'kind {kind.name}: sandbox="strict" has no network; leave out one of the two'


@dataclass(frozen=True, slots=True)
class Work:
    """Function that performs a kind; only workers load it."""

    kind: Kind[Any, Any]
    function: _Function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function directly, as a test does."""
        return self.function(*arguments)


def declare(
    name: str,
    input: type[InputT],  # noqa: A002 -- the word of the domain; keyword callers read well
    output: type[OutputT],
    *,
    description: str,
    **options: Unpack[KindOptions],
) -> Kind[InputT, OutputT]:
    """Declare a kind whose work is elsewhere. See `Kind` and `Limits` for the meaning of each option.

    Raises:
        TypeError: there is no such option.
        SettingsError: a name or an option does not fit.
    """
    return Kind(name=name, description=inspect.cleandoc(description), input=input, output=output, **as_fields(options))


def performs(kind: Kind[InputT, OutputT]) -> Callable[[Callable[[InputT, Context], OutputT]], Work]:
    """Mark a function ``(input, context) -> output`` as the work of a declared kind."""

    def mark(function: Callable[[InputT, Context], OutputT]) -> Work:
        return Work(kind, function)

    return mark


def job(**options: Unpack[KindOptions]) -> Callable[[Callable[..., OutputT | Awaitable[OutputT]]], Kind[Any, OutputT]]:
    """Make a kind of one function: name, description and schemas come from the function itself.

    The function, ``def`` or ``async def``, takes one `Model`, optionally a `Context`, and returns a `Model`. Its module
    is imported by the front end too, so heavy imports belong inside the function. See `Kind` and `Limits` for the
    meaning of each option.

    Raises:
        TypeError: there is no such option.
        SettingsError: an option does not fit, the signature does not say input and output, or there is no docstring.
    """
    fields = as_fields(options)

    def make(function: Callable[..., OutputT | Awaitable[OutputT]]) -> Kind[Any, OutputT]:
        input_type, output_type, takes_context = _signature(function)
        kind: Kind[Any, OutputT] = Kind(
            name=function.__name__,
            description=inspect.cleandoc(function.__doc__ or ""),
            input=input_type,
            output=output_type,
            work=function if takes_context else lambda value, _context=None: function(value),
            **fields,
        )
        if kind.isolation == "none" and not inspect.iscoroutinefunction(function):
            message = (
                f'@job {function.__name__}: isolation="none" runs on the worker\'s own loop, which must not be '
                'blocked: write `async def`, and wait for others in it; work that computes needs "reuse" or "fork"'
            )
            raise SettingsError(message)
        return kind

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
