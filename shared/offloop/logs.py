"""One log shape on both sides: an event in words, then ``key=value`` pairs, such as the job's id."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from offloop.settings import Settings


def configure(settings: Settings, *, role: str) -> None:
    """Send every log line of this process, ours and the libraries', to standard error in one shape.

    Args:
        settings: decides the format and the least severe level.
        role: which process this is, as shown in each line: ``server``, ``worker``, ``up``.
    """
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _stamp(role),
    ]
    last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            last,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    # The libraries speak of every request and every render; their own warnings are enough.
    quiet = logging.WARNING if settings.log_level in ("debug", "info") else logging.ERROR
    for noisy in (
        "arq",
        "asyncio",
        "fontTools",
        "httpx2",
        "httpcore2",
        "mcp",
        "sse_starlette",
        "uvicorn",
        "weasyprint",
    ):
        logging.getLogger(noisy).setLevel(quiet)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _stamp(role: str) -> structlog.types.Processor:
    def stamp(
        _logger: structlog.types.WrappedLogger, _method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        event.setdefault("role", role)
        return event

    return stamp


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry its module's name."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
