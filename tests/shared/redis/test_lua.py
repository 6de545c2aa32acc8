"""Scripts carry what they use of the library, and nothing else."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from offloop.redis import scripts
from offloop.redis.lua import link

LIBRARY = """
local A, B = 'a', 'b'
local late -- comes below
local count = 0

-- A word of use() in a comment is no use.
local function use()
  return A
end

local function twice()
  return use() .. use()
end

local function other()
  return B .. late()
end

late = function()
  return 'late'
end
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "answer"),
    [("return twice()", b"aa"), ("return other()", b"blate"), ("return late()", b"late"), ("return count", 0)],
)
async def test_a_script_runs_with_what_it_uses_through_others(redis: ArqRedis, script: str, answer: object) -> None:
    assert await redis.execute_command("EVAL", link(LIBRARY, script), 0) == answer  # type: ignore[no-untyped-call]


def test_what_it_does_not_use_is_left_out() -> None:
    linked = link(LIBRARY, "return use()")
    assert "twice" not in linked
    assert "late" not in linked
    assert link(LIBRARY, "return 1") == "return 1"


@pytest.mark.anyio
async def test_no_script_carries_all_of_the_library(redis: ArqRedis) -> None:
    """The word that a job begins needs none of it."""
    lengths = {name: len(scripts.load(redis, getattr(scripts, name)).text) for name in ("BEGIN", "SUBMIT", "SWEEP")}
    assert lengths["BEGIN"] < lengths["SUBMIT"] < lengths["SWEEP"]
