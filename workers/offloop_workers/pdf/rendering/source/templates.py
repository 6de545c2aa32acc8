"""Jinja templates of unknown origin: rendered in a sandbox, with errors that name the line."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from offloop.errors import JobError, LimitExceeded
from offloop_workers.pdf.rendering.source import decimals, filters
from offloop_workers.pdf.rendering.source.decimals import NoNumberError

MAX_OUTPUT: Final = 20_000_000
"""Characters that a filled template may have."""

_MAX_REPEATED: Final = 1_000_000
_MAX_BITS: Final = 100_000
_MAX_LISTED: Final = 12
_NAME: Final = "template"
_FRAME: Final = "<filled> "


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, for data that came as JSON."""

    intercepted_binops = frozenset({"**", "*", "+", "-", "/", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up keys of a dictionary before its methods, so that ``invoice.items`` is the data's."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Let ``'{:.2f}'.format(x)`` round in decimals."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None or getattr(value, "__name__", "") != "format":
            return wrapped
        call = wrapped

        def formatted(*values: Any, **named: Any) -> str:
            return call(*map(decimals.to_format, values), **{k: decimals.to_format(v) for k, v in named.items()})

        return formatted

    def call_binop(self, context: Any, operator_: str, left: Any, right: Any) -> Any:
        """Calculate in decimals; refuse powers and repetitions whose result is huge although the template is small."""
        del context
        if operator_ == "**":
            return _power(left, right)
        if operator_ == "%":
            return decimals.printf(left, right) if type(left) is str else left % right
        if operator_ == "*":
            _check_repetition(left, right)
        return decimals.calculate(operator_, left, right)


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _MAX_BITS:
        message = "a number of that size is not calculated"
        raise jinja2.TemplateRuntimeError(message)
    return left**right


def _check_repetition(left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(sequence, (str, list)) and len(sequence) * times > _MAX_REPEATED:
            message = f"a text or list is not repeated to more than {_MAX_REPEATED:,}"
            raise jinja2.TemplateRuntimeError(message)


def fill(
    template: str,
    data: Mapping[str, Any],
    read: Callable[[str], str | None],
    markdown: Callable[[str], str],
) -> str:
    """Fill a template with data; values are escaped.

    Args:
        template: Jinja markup of an HTML document.
        data: the values.
        read: returns the text of another template by name, for ``include``, ``extends`` and ``import``, or None.
        markdown: converts Markdown to HTML, for the filter of that name.

    Raises:
        JobError: ``template_error``: the markup or the data is wrong; the message names the line and the variable.
        LimitExceeded: the result would have more than `MAX_OUTPUT` characters.
    """
    environment = _environment().overlay(loader=_loader(template, read))
    environment.filters = environment.filters | {"markdown": lambda text: Markup(markdown(str(text)))}  # noqa: S704 -- its raw HTML is filtered
    try:
        return _capped(environment.get_template(_NAME).generate(dict(data)))
    except (JobError, MemoryError):
        raise
    except RecursionError:
        message = "The template includes or calls itself without end, or is nested too deep: flatten it."
        raise JobError(message, code="too_complex") from None
    except jinja2.TemplateSyntaxError as error:
        raise _fault(str(error.message), _position(error.name, error.lineno)) from None
    except Exception as error:  # noqa: BLE001 -- an expression in a template may raise any exception
        raise _fault(_reason(error, data), _line(error)) from None


def _capped(parts: Iterator[str]) -> str:
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part)
        if length > MAX_OUTPUT:
            message = (
                f"The filled template has more than {MAX_OUTPUT:,} characters: send less data, or split it over "
                "several jobs."
            )
            raise LimitExceeded(message)
    return "".join(kept)


def _loader(template: str, read: Callable[[str], str | None]) -> jinja2.BaseLoader:
    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        text = template if name == _NAME else read(name)
        # The "file name" marks the frames of this template in a traceback; the file does not exist.
        return None if text is None else (text, f"{_FRAME}{name}", lambda: True)

    return jinja2.FunctionLoader(load)


@cache
def _environment() -> _Environment:
    environment = _Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]
    )
    environment.globals.pop("lipsum", None)
    environment.filters.update(filters.ALL)
    return environment


def _reason(error: Exception, data: Mapping[str, Any]) -> str:
    if isinstance(error, jinja2.UndefinedError):
        known = ", ".join(map(str, list(data)[:_MAX_LISTED])) or "nothing"
        more = ", …" if len(data) > _MAX_LISTED else ""
        return f"{error.message}; data has {known}{more}"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"no asset is called {error.name!r}: pass the template in assets under the name that is included"
    if isinstance(error, (jinja2.TemplateError, NoNumberError, OverflowError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _line(error: Exception) -> str:
    """The position of an error in the markup: Jinja's frames have the line numbers of their template."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    positions = [_position(name.removeprefix(_FRAME), line) for name, line in frames if name.startswith(_FRAME)]
    return positions[-1] if positions else ""


def _position(name: str | None, line: int) -> str:
    return f"line {line}" if name in {None, _NAME} else f"line {line} of {name!r}"


def _fault(reason: str, position: str) -> JobError:
    where = f" at {position}" if position else ""
    message = f"The template could not be filled{where}: {reason[:400].rstrip('.')}. Correct the template or the data."
    return JobError(message, code="template_error")
