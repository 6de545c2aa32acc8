"""Every failure a caller can meet, drawn once.

::

    OffloopError            code, message, retryable
    ├── BadInput            bad_input        an argument must change before the call can work
    ├── NotFound            not_found        no such job or artifact, or it belongs to somebody else
    ├── Conflict            conflict         an idempotency key was used for a different request
    ├── Busy                busy             too much is queued; carries retry_after seconds
    ├── QuotaExceeded       quota_exceeded   the principal keeps as many files or bytes as allowed
    ├── Refused             refused          an address that may not be fetched or called
    ├── FetchFailed         fetch_failed     an outside host did not answer as it should
    ├── Unavailable         unavailable      Redis or the artifact store does not answer
    ├── JobError            job_failed       foreseen by the job's author (the code may be the author's own)
    │   ├── LimitExceeded   limit_exceeded   time, memory, pages, pixels or bytes ran out
    │   └── Crashed         crashed          the child process died while it ran the job
    └── SettingsError       settings         the process cannot start as configured

A message says what failed, why, and what to do; it never carries a traceback or a path of the server. Codes are
stable: clients may branch on them.
"""

from __future__ import annotations

from typing import Any, ClassVar


class OffloopError(Exception):
    """Base of all failures offloop reports on purpose.

    Args:
        message: what failed, why, and what to do, in one or two sentences.
        code: a stable identifier that replaces the class's own, for failures an author names.
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
        """The failure as it travels and as clients see it: ``{code, message, retryable}``."""
        return {"code": self.reason, "message": self.message, "retryable": self.retryable}


class BadInput(OffloopError):
    """An argument is wrong; the message names it, its limit and what to send instead."""

    code = "bad_input"


class NotFound(OffloopError):
    """The id is unknown, expired, or somebody else's: all three in the same words, so that nothing can be probed."""

    code = "not_found"

    @classmethod
    def job(cls, job_id: str) -> NotFound:
        """The one sentence for every job id the caller may not see."""
        return cls(f"No job {job_id[:64]!r}: it never existed or has expired. list_jobs shows the jobs there are.")

    @classmethod
    def artifact(cls, artifact_id: str) -> NotFound:
        """The one sentence for every artifact id the caller may not see."""
        return cls(
            f"No artifact {artifact_id[:64]!r}: it never existed, was deleted or has expired. "
            "Run the job that makes it again, or upload the file with create_upload."
        )

    @classmethod
    def delivery(cls, delivery_id: str) -> NotFound:
        """The one sentence for every delivery id the caller may not see."""
        return cls(
            f"No delivery {delivery_id[:64]!r}: it never existed or has expired. list_deliveries shows those there are."
        )


class Conflict(OffloopError):
    """The idempotency key already names a request with other arguments."""

    code = "conflict"


class Busy(OffloopError):
    """Too much is waiting; nothing was queued.

    Args:
        message: what is full.
        retry_after: seconds after which a retry is reasonable.
    """

    code = "busy"
    retryable = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(OffloopError):
    """The principal keeps as many files, or bytes, as allowed; nothing was kept of the new ones."""

    code = "quota_exceeded"
    retryable = True


class Unavailable(OffloopError):
    """A service that offloop stands on does not answer; nothing was lost, a retry is safe."""

    code = "unavailable"
    retryable = True


class Refused(OffloopError):
    """A URL that may not be asked; the message says which host, why, and which setting decides. Nothing was sent."""

    code = "refused"


class FetchFailed(OffloopError):
    """A server outside did not answer, too slowly, or with more than was allowed.

    The code may be narrower: ``timeout``, ``connect_failed``, ``too_large`` or ``bad_answer``.
    """

    code = "fetch_failed"
    retryable = True


class JobError(OffloopError):
    """A failure foreseen by the job's author; its text reaches the caller as it is."""

    code = "job_failed"


def as_job_error(error: OffloopError) -> JobError:
    """Any failure of ours as one of the job's, in the same words."""
    if isinstance(error, JobError):
        return error
    return JobError(error.message, code=error.reason, retryable=error.retryable)


class LimitExceeded(JobError):
    """A limit of the kind ended the job; the message says which one, its value, and what to send instead."""

    code = "limit_exceeded"


class Crashed(JobError):
    """The child process died; the message says of what and after how many attempts."""

    code = "crashed"
    retryable = True


class SettingsError(OffloopError):
    """A setting, an environment variable or a job module does not fit; the process does not start."""

    code = "settings"
