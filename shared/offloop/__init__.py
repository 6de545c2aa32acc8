"""offloop: heavy work for AI agents, off the event loop. These are the words a job author needs."""

from offloop.errors import JobError, LimitExceeded
from offloop.job import Context, Kind, Model, declare, job, performs
from offloop.limits import Limits
from offloop.references import FileReference
from offloop.tool import tool

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
