"""Error hierarchy: every failure a caller can receive.

::

    OffloopError            code, message, retryable
    ├── BadInput            bad_input        an argument must change before the call can work
    ├── NotFound            not_found        no such job or artifact, or it belongs to another principal
    ├── Conflict            conflict         an idempotency key was used for a different request
    ├── Busy                busy             too much is queued; has retry_after, in seconds
    ├── QuotaExceeded       quota_exceeded   the principal stores as many files or bytes as allowed
    ├── Refused             refused          a URL that the policy does not allow
    ├── FetchFailed         fetch_failed     an outside host did not answer, or not as required
    ├── Unavailable         unavailable      Redis or the artifact store does not answer
    ├── JobError            job_failed       raised by the job's code (which may set its own error code)
    │   ├── LimitExceeded   limit_exceeded   a limit on time, memory, pages, pixels or bytes was exceeded
    │   └── Crashed         crashed          the child process died during the job
    └── SettingsError       settings         the process cannot start as configured

A message says what failed, why, and what to do; it contains no traceback and no path of the server. Codes are stable:
clients may branch on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar


class OffloopError(Exception):
    """Base class of all errors that offloop reports to callers and operators.

    Args:
        message: what failed, why, and what to do, in one or two sentences.
        code: stable identifier instead of the class's own, for errors that a job's author defines.
        retryable: whether the same request may succeed later, unchanged.
    """

    code: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        if retryable is not None:
            self.retryable = retryable

    def to_wire(self) -> dict[str, Any]:
        """The error as stored in Redis and sent to clients: ``{code, message, retryable}``."""
        return {"code": self.reason, "message": self.message, "retryable": self.retryable}


class BadInput(OffloopError):
    """An argument is wrong; the message names it, its limit and a valid alternative."""

    code = "bad_input"


class NotFound(OffloopError):
    """The id is unknown, expired, or another principal's; one message for all three, so that ids cannot be probed."""

    code = "not_found"

    @classmethod
    def job(cls, job_id: str) -> NotFound:
        """The error for every job id that the caller may not see."""
        return cls(f"No job {job_id[:64]!r}: it never existed or has expired. list_jobs shows the jobs there are.")

    @classmethod
    def artifact(cls, artifact_id: str) -> NotFound:
        """The error for every artifact id that the caller may not see."""
        return cls(
            f"No artifact {artifact_id[:64]!r}: it never existed, was deleted or has expired. "
            "Run the job that makes it again, or upload the file with create_upload."
        )

    @classmethod
    def delivery(cls, delivery_id: str) -> NotFound:
        """The error for every delivery id that the caller may not see."""
        return cls(
            f"No delivery {delivery_id[:64]!r}: it never existed or has expired. list_deliveries shows those there are."
        )


class Conflict(OffloopError):
    """The idempotency key was used for a request with other arguments."""

    code = "conflict"


class Busy(OffloopError):
    """Backpressure: a queue or pool is full, nothing was queued.

    Args:
        message: names the full queue or pool.
        retry_after: seconds after which a retry is reasonable.
    """

    code = "busy"
    retryable = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(OffloopError):
    """The principal's quota of files or bytes is exhausted; nothing of the new ones was stored."""

    code = "quota_exceeded"
    retryable = True


class Unavailable(OffloopError):
    """A service that offloop depends on does not answer; nothing was lost, a retry is safe."""

    code = "unavailable"
    retryable = True


class Refused(OffloopError):
    """The policy does not allow the URL; the message names the host, the reason and the setting. Nothing was sent."""

    code = "refused"


class FetchFailed(OffloopError):
    """An outside host did not answer, answered too slowly, or sent more than allowed.

    The code may be narrower: ``timeout``, ``connect_failed``, ``too_large``, ``http_error`` or ``bad_answer``.
    """

    code = "fetch_failed"
    retryable = True


class JobError(OffloopError):
    """An error raised by the job's code; its message reaches the caller unchanged."""

    code = "job_failed"


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in an exception group, nested groups included; any other exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def as_job_error(error: OffloopError) -> JobError:
    """The error as a `JobError` with the same message, code and retryability."""
    if isinstance(error, JobError):
        return error
    return JobError(error.message, code=error.reason, retryable=error.retryable)


class LimitExceeded(JobError):
    """A limit of the kind ended the job; the message names the limit, its value and a valid alternative."""

    code = "limit_exceeded"


class Crashed(JobError):
    """The child process died; the message states the cause and the number of attempts."""

    code = "crashed"
    retryable = True


class SettingsError(OffloopError):
    """A setting, an environment variable or a job module is invalid; the process does not start."""

    code = "settings"
