"""Test support for authors: a context to run a job in, and an engine that runs jobs in the process of their caller.

Neither needs Redis, a worker or a network.
"""

from offloop.testing.context import RecordingContext, context
from offloop.testing.inline import InlineJob, InlineOffloop

__all__ = ["InlineJob", "InlineOffloop", "RecordingContext", "context"]
