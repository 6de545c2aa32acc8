"""Searches through the official client: an uploaded log, a file outside, a saved result, a hostile pattern."""

from __future__ import annotations

import json

import pytest

from support.hosts.outside import outside
from support.stack.client import Mode
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio
LOG = "".join(f"2026-11-30 12:00:{n % 60:02} {'ERROR' if n % 40 == 0 else 'INFO'} job={n} ü\n" for n in range(4000))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_uploaded_log_is_searched_with_context_and_groups(stack: Stack, mode: Mode) -> None:
    async with stack.client(mode=mode) as caller:
        log = await caller.upload(LOG.encode(), "a.log", "text/plain")
        arguments = {"file": log, "patterns": [r"ERROR job=(?P<job>\d+)"], "before": 1, "after": 1, "max_matches": 2}
        answer = await caller.call_with("search_text", {**arguments, "save": True, "wait_seconds": 40})
        first, second = answer.output["matches"]
        assert (first["line"], first["before"], first["matches"][0]["groups"]) == (1, [], {"job": "0"})
        assert (second["line"], len(second["before"]), len(second["after"])) == (41, 1, 1)
        assert LOG.encode()[second["byte"] :].decode().startswith(second["text"] + "\n")
        assert (answer.output["lines_total"], answer.output["truncated"]) == (100, True)
        assert answer.output["patterns"][0]["engine"] == "re2"
        saved = await caller.download(answer.data["artifacts"][0])
    lines = [json.loads(line) for line in saved.splitlines()]
    assert [line["line"] for line in lines] == list(range(1, 4001, 40))


async def test_a_file_of_another_host_is_searched(full_stack: Stack) -> None:
    async with outside() as server, full_stack.client() as caller:
        url = server.url("/as?type=text/plain&body=one%0Atwo%0Athree")
        answer = await caller.call("search_text", file=url, patterns=["^t"], wait_seconds=40)
        assert [line["text"] for line in answer.output["matches"]] == ["two", "three"]


async def test_a_pattern_that_does_not_compile_is_a_sentence(stack: Stack) -> None:
    async with stack.client() as caller:
        answer = await caller.call("search_text", text="a", patterns=["(a"], wait_seconds=40)
        assert answer.is_error
        assert (
            "Pattern 1 is no regular expression (missing ), unterminated subpattern at position 0, in (a)"
            in answer.text
        )


async def test_a_catastrophic_pattern_is_stopped_and_the_next_search_is_served(stack: Stack) -> None:
    async with stack.client() as caller:
        arguments = {"text": "a" * 50 + "!", "patterns": [r"(a+)+\1$"], "wait_seconds": 50}
        answer = await caller.call_with("search_text", arguments)
        while answer.state in {"queued", "running"}:  # on a busy machine, five seconds of CPU time are long
            answer = await caller.call("job_status", job_id=answer.job_id, wait_seconds=50)
        assert answer.is_error
        assert "Without that, RE2 runs it in linear time" in answer.text
        assert (await caller.call("search_text", text="a", patterns=["a"], wait_seconds=40)).output["lines_total"] == 1
