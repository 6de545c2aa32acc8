"""The name of a front end, and a kind for its jobs."""

from __future__ import annotations

from offloop.kinds.kind import Model, declare

FRONT = "front"


class Nothing(Model):
    """An input without fields."""


kind = declare("do_nothing", Nothing, Nothing, description="d")
