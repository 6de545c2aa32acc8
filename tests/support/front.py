"""One front end's name, and a kind whose jobs are asked for under it."""

from __future__ import annotations

from offloop.kinds.kind import Model, declare

FRONT = "front"


class Nothing(Model):
    """An input without fields."""


kind = declare("do_nothing", Nothing, Nothing, description="d")
