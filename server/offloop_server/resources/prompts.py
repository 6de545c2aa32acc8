"""MCP prompts: each workflow with its first tool call ready to send; and completion of arguments."""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    PromptReference,
    TextContent,
)

from offloop.errors import BadInput
from offloop_server.resources.artifacts import TEMPLATE
from offloop_server.resources.workflows import WORKFLOWS, Workflow
from offloop_server.toolkit.arguments import validate

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from offloop.kinds.kind import Kind

MAX_COMPLETIONS: Final = 100
"""The protocol's bound."""
_WAIT: Final = (
    "Where the answer's state is queued or running, call job_status(job_id, wait_seconds=20) until it is completed. "
    "Where it is failed, its message says what to change."
)

Ids = Callable[["ServerRequestContext[Any]", str, int], Awaitable[list[str]]]


class Prompts:
    """The handlers of ``prompts/…`` and ``completion/complete``.

    Args:
        kinds: the offered kinds; workflows of other kinds are not listed.
        ids: completes the ids of the caller's artifacts.
    """

    def __init__(self, kinds: Mapping[str, Kind[Any, Any]], ids: Ids) -> None:
        self._kinds = kinds
        self._ids = ids
        self._workflows = {workflow.name: workflow for workflow in WORKFLOWS if workflow.tool in kinds}

    async def listed(
        self, _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        """All prompts."""
        return ListPromptsResult(prompts=[_listed(workflow) for workflow in self._workflows.values()])

    async def get(self, _context: ServerRequestContext[Any], params: GetPromptRequestParams) -> GetPromptResult:
        """One prompt, its arguments filled in and validated as the tool will validate them."""
        workflow = self._find(params.name)
        given = {name: value for name, value in (params.arguments or {}).items() if value}
        try:
            _check(workflow, given)
            call = workflow.call(given)
            validate(workflow.tool, self._kinds[workflow.tool].input, call)
        except BadInput as error:
            raise MCPError(INVALID_PARAMS, error.message) from None
        message = PromptMessage(role="user", content=TextContent(text=_text(workflow, call)))
        return GetPromptResult(description=workflow.description, messages=[message])

    async def complete(self, context: ServerRequestContext[Any], params: CompleteRequestParams) -> CompleteResult:
        """The values of an argument, if they can be enumerated; else none."""
        begun = params.argument.value
        if isinstance(params.ref, PromptReference):
            arguments = {one.name: one for one in self._find(params.ref.name).arguments}
            choices = arguments[params.argument.name].choices if params.argument.name in arguments else ()
            # An argument that takes a list completes its last entry.
            before, comma, last = begun.rpartition(",") if params.argument.name == "formats" else ("", "", begun)
            found = [f"{before}{comma}{one}" for one in choices if one.lower().startswith(last.strip().lower())]
        elif params.ref.uri == TEMPLATE and params.argument.name == "artifact_id":
            found = await self._ids(context, begun, MAX_COMPLETIONS)
        else:
            found = []
        more = len(found) > MAX_COMPLETIONS
        return CompleteResult(completion=Completion(values=found[:MAX_COMPLETIONS], total=len(found), has_more=more))

    def _find(self, name: str) -> Workflow:
        workflow = self._workflows.get(name)
        if workflow is None:
            there = ", ".join(self._workflows) or "none"
            message = f"There is no prompt {name[:80]!r}; there are: {there}."
            raise MCPError(INVALID_PARAMS, message)
        return workflow


def _listed(workflow: Workflow) -> Prompt:
    return Prompt(
        name=workflow.name,
        title=workflow.title,
        description=workflow.description,
        arguments=[
            PromptArgument(name=one.name, description=one.description, required=one.required)
            for one in workflow.arguments
        ],
    )


def _check(workflow: Workflow, given: Mapping[str, str]) -> None:
    known = [one.name for one in workflow.arguments]
    if missing := [one.name for one in workflow.arguments if one.required and one.name not in given]:
        message = f"{workflow.name} needs {' and '.join(missing)}."
        raise BadInput(message)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}."
            message = f"{workflow.name} has no argument {name[:80]!r}; {hint}"
            raise BadInput(message)


def _text(workflow: Workflow, call: dict[str, Any]) -> str:
    arguments = json.dumps(call, ensure_ascii=False, indent=2)
    steps = [
        f"Call {workflow.tool} with exactly these arguments:\n\n```json\n{arguments}\n```\n",
        _WAIT,
        *workflow.after,
    ]
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    return "\n".join([workflow.description, "", *lines])
