"""Light tools of a developer's own: functions that the front end answers itself, without a queue or a worker.

::

    @tool(seconds=2, read_only=True)
    def look_up_price(value: Article) -> Price:
        ...

An ``async def`` runs on the front end's event loop, a ``def`` in one of its threads. Like a kind, a tool is a value
that registers nothing: a `Catalogue` finds it in the modules that it loads, and workers ignore it.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypedDict, TypeVar, Unpack, get_type_hints

from offloop.errors import SettingsError
from offloop.kinds.kind import NAME, Model
from offloop.kinds.options import FAMILIES, Family, check_options, unknown_family

MAX_SECONDS: Final = 600.0
"""Longest time that a call may be held open; longer work is a job."""

InputT = TypeVar("InputT", bound=Model)
OutputT = TypeVar("OutputT", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTool(Generic[InputT, OutputT]):
    """A declared light tool.

    Attributes:
        name: the tool's name, ``verb_noun``.
        description: the text from which a model chooses the tool.
        input: its arguments.
        output: its answer.
        function: ``input -> output``, or ``async input -> output``.
        seconds: time limit of a call; a ``def`` that takes longer continues in its thread, and its result is dropped.
        read_only: it changes nothing.
        destructive: it may change or remove what was there.
        idempotent: the same call again changes nothing more.
        open_world: it deals with the world outside, such as the web.
        family: the family of tools that the operator switches it on and off with; None for one that is always listed.
    """

    name: str
    description: str
    input: type[InputT]
    output: type[OutputT]
    function: Callable[[Any], Any]
    seconds: float = 10
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False
    family: Family | None = None

    def __post_init__(self) -> None:
        """Refuse a name, a time limit or a family that does not fit.

        Raises:
            SettingsError: one does not fit.
        """
        if not NAME.fullmatch(self.name):
            message = f"tool name {self.name!r} must be lower-case words joined by underscores, at most 63 characters"
            raise SettingsError(message)
        if not 0 < self.seconds <= MAX_SECONDS:
            message = (
                f"tool {self.name}: seconds must be above 0 and at most {MAX_SECONDS:g}, got {self.seconds:g}; "
                "make longer work a job"
            )
            raise SettingsError(message)
        if self.family is not None and self.family not in FAMILIES:
            message = f"tool {self.name}: {unknown_family(self.family)}, or leave it out"
            raise SettingsError(message)

    @property
    def asynchronous(self) -> bool:
        """Whether it runs on the event loop."""
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, value: InputT) -> Any:
        """Call the function directly, as a test does; await the result of an ``async def``."""
        return self.function(value)


class ToolOptions(TypedDict, total=False):
    """Options of `tool`, each with its default; see `DeclaredTool` for the meaning of each value."""

    seconds: float
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool
    family: Family | None


_OPTIONS: Final = tuple(get_type_hints(ToolOptions))


def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[[Any], Any]], DeclaredTool[Any, Any]]:
    """Make a light tool of a function: name, description and schemas come from the function itself.

    The function takes one `Model` and returns a `Model`. See `DeclaredTool` for the meaning of each option.

    Raises:
        TypeError: there is no such option.
        SettingsError: an option does not fit, the signature does not say input and output, or there is no docstring.
    """
    check_options("a tool", options, _OPTIONS)

    def make(function: Callable[[Any], Any]) -> DeclaredTool[Any, Any]:
        takes, gives = _signature(function)
        return DeclaredTool(
            name=function.__name__,
            description=inspect.cleandoc(function.__doc__ or ""),
            input=takes,
            output=gives,
            function=function,
            **options,
        )

    return make


def _signature(function: Callable[[Any], Any]) -> tuple[type[Model], type[Model]]:
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters)
    models = [hints.get(name) for name in (*parameters, "return")]
    fits = len(parameters) == 1 and all(inspect.isclass(model) and issubclass(model, Model) for model in models)
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if not fits or yields or not function.__doc__:
        message = (
            f"@tool {function.__name__}: write it as `def {function.__name__}(value: SomeModel) -> OtherModel:`, or "
            "with async, and with a docstring; both models subclass offloop.Model. Only a job has a context"
        )
        raise SettingsError(message)
    return typing.cast("tuple[type[Model], type[Model]]", tuple(models))
