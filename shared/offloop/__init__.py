"""offloop: heavy work for AI agents, off the event loop. The names that an author of jobs needs."""

from offloop.errors import JobError, LimitExceeded
from offloop.kinds.context import Context
from offloop.kinds.kind import Kind, Model, declare, job, performs
from offloop.kinds.limits import Limits
from offloop.kinds.references import FileReference
from offloop.kinds.tool import tool

__all__ = [
    "Context",
    "FileReference",
    "JobError",
    "Kind",
    "LimitExceeded",
    "Limits",
    "Model",
    "declare",
    "job",
    "performs",
    "tool",
]

__version__ = "0.1.0"
