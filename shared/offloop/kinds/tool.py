"""A light tool of a developer's own: a function that the front end answers itself, without a queue or a worker.

::

    @tool(seconds=2, read_only=True)
    def look_up_price(value: Article) -> Price:
        ...

An ``async def`` runs on the front end's event loop, a ``def`` in one of its threads. Like a kind, a tool is a value
that registers nothing: a `Catalogue` finds it in the modules it is told to load, and workers pass it by.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from offloop.errors import SettingsError
from offloop.kinds.kind import NAME, Model

MAX_SECONDS: Final = 600.0
"""The longest a call may be held open; what takes longer is a job."""

InputT = TypeVar("InputT", bound=Model)
OutputT = TypeVar("OutputT", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTool(Generic[InputT, OutputT]):
    """A declared light tool.

    Attributes:
        name: the tool's name, ``verb_noun``.
        description: what a model reads to choose the tool.
        input: its arguments.
        output: its answer.
        function: what is called, ``input -> output`` or ``async input -> output``.
        seconds: how long a call may take; a ``def`` that takes longer goes on in its thread, without an audience.
        read_only: it changes nothing.
        destructive: it may change or remove what was there.
        idempotent: the same call again changes nothing more.
        open_world: it deals with the world outside, such as the web.
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

    def __post_init__(self) -> None:
        """Refuse a name that is not a tool name, and a time that is none."""
        if not NAME.fullmatch(self.name):
            message = f"tool name {self.name!r} must be lower-case words joined by underscores, at most 63 characters"
            raise SettingsError(message)
        if not 0 < self.seconds <= MAX_SECONDS:
            message = (
                f"tool {self.name}: seconds must be above 0 and at most {MAX_SECONDS:g}, got {self.seconds:g}; "
                "make longer work a job"
            )
            raise SettingsError(message)

    @property
    def asynchronous(self) -> bool:
        """Whether it is awaited on the loop."""
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, value: InputT) -> Any:
        """Call the function directly, as a test does; that of an ``async def`` is to be awaited."""
        return self.function(value)


def tool(
    *,
    seconds: float = 10,
    read_only: bool = False,
    destructive: bool = False,
    idempotent: bool = False,
    open_world: bool = False,
) -> Callable[[Callable[[Any], Any]], DeclaredTool[Any, Any]]:
    """Make a light tool of a function: name, description and schemas come from the function itself.

    The function takes one `Model` and returns a `Model`. See `DeclaredTool` for the meaning of each value.

    Raises:
        SettingsError: the signature does not say input and output, or there is no docstring.
    """

    def make(function: Callable[[Any], Any]) -> DeclaredTool[Any, Any]:
        takes, gives = _signature(function)
        return DeclaredTool(
            name=function.__name__,
            description=inspect.cleandoc(function.__doc__ or ""),
            input=takes,
            output=gives,
            function=function,
            seconds=seconds,
            read_only=read_only,
            destructive=destructive,
            idempotent=idempotent,
            open_world=open_world,
        )

    return make


def _signature(function: Callable[[Any], Any]) -> tuple[type[Model], type[Model]]:
    hints = typing.get_type_hints(function)
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
