"""Errors of MongoDB and its client library, for the caller: without an address, and without the query."""

from __future__ import annotations

from typing import Any, Final

from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    OperationFailure,
)

from offloop import logs
from offloop.errors import BadInput, LimitExceeded, OffloopError, Unavailable
from offloop_server.io.deadline import Deadline

_UNAUTHORIZED: Final = 13
_NO_DISK: Final = 292
"""A stage needs more memory than the server gives it."""
_GONE: Final = frozenset({6, 7, 18, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Codes that do not concern the query: network, login, shutdown, a change of the primary."""
_ENDED: Final = frozenset({50, 175, 237, 11601})
"""Codes of a query that was stopped."""

log = logs.get(__name__)


def explained(error: Exception, connection: str, deadline: Deadline, *, reachable: bool) -> OffloopError:
    """The error for the caller.

    Args:
        error: the error.
        connection: name of the connection, for the log.
        deadline: time limit of the query.
        reachable: whether there is a server; the time may have run out while one was sought.
    """
    code = getattr(error, "code", None)
    late = reachable and isinstance(error, (TimeoutError, ConnectionFailure)) and not deadline.left
    if late or isinstance(error, ExecutionTimeout) or code in _ENDED:
        return deadline.exceeded()
    gone = isinstance(error, (ConnectionFailure, ConfigurationError, OSError))
    if gone or code in _GONE:
        log.warning("source does not answer", connection=connection, error=type(error).__name__, code=code)
        return Unavailable(f"The MongoDB database does not answer ({code or type(error).__name__}). Try again later.")
    return _refusal(error, code)


def _refusal(error: Exception, code: int | None) -> OffloopError:
    """The error for a query that the server or its client library refuses."""
    if code == _UNAUTHORIZED:
        return BadInput("The connection's user may not read that. list_tables shows what may be read.")
    if code == _NO_DISK:
        message = "The query needs more memory than it may use: sort or group fewer documents, or narrower ones."
        return LimitExceeded(message)
    if isinstance(error, OperationFailure):
        return BadInput(f"MongoDB refuses the query: {_reason(error)}")
    if isinstance(error, DocumentTooLarge):
        return BadInput("The query is larger than MongoDB takes: ask in several calls.")
    kind = "value" if isinstance(error, (BSONError, OverflowError, UnicodeError)) else "query"
    return BadInput(f"MongoDB cannot take the {kind}: {str(error)[:200].rstrip('.')}.")


def _reason(error: OperationFailure) -> str:
    details: Any = error.details or {}
    text = " ".join(str(details.get("errmsg") or error).split())[:300].rstrip(".")
    name = details.get("codeName")
    return f"{text} ({name})." if name else f"{text}."
