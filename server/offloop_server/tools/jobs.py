"""Job tools: job_status, wait_for_jobs, list_jobs, cancel_job. None of them runs work."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import Field

from offloop.errors import BadInput
from offloop.kinds.kind import Model
from offloop.queue import batches
from offloop.queue.record import State
from offloop_server.toolkit.answers import JobAnswer, JobsAnswer, answer, answer_many
from offloop_server.toolkit.batch_answers import batch_answer
from offloop_server.toolkit.inline import inlined
from offloop_server.toolkit.job_tool import WaitSeconds, notes
from offloop_server.toolkit.light_tool import LightTool
from offloop_server.toolkit.services import AnyTool, Caller, Services

JobId = Annotated[str, Field(min_length=1, max_length=64, description="The job_id of an earlier answer.")]
CANCEL_SECONDS = 5.0
"""Longest wait of cancel_job for the end of a running child process."""


class JobStatusArguments(Model):
    """Arguments of job_status."""

    job_id: JobId
    wait_seconds: WaitSeconds = Field(0, description="Wait for the job to end, at most that many seconds.")
    cursor: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="For run_batch: the cursor of its last answer, for the next items."
    )


class JobStatus(LightTool[JobStatusArguments]):
    """Reads one job, and can wait for its end."""

    name = "job_status"
    description = (
        "Look at a job that another tool started; carries its output and files once it is completed. "
        "With wait_seconds=20 one call replaces many."
    )
    arguments = JobStatusArguments
    answers = JobAnswer[dict[str, Any]]

    async def do(self, value: JobStatusArguments, caller: Caller) -> CallToolResult:
        record = await self._services.calls.status(
            value.job_id, principal=caller.principal, wait=value.wait_seconds, relay=caller.relay
        )
        noted = await notes(record, self._services)
        if record.kind == batches.KIND:
            return await batch_answer(record, self._services.redis, caller.links, notes=noted, cursor=value.cursor)
        if value.cursor:
            message = f"cursor: job {value.job_id} is no run_batch; leave it out."
            raise BadInput(message)
        return answer(
            record,
            caller.links,
            notes=noted,
            inlined=await inlined(record, self._services.store),
        )


class WaitForJobsArguments(Model):
    """Arguments of wait_for_jobs."""

    job_ids: Annotated[list[JobId], Field(min_length=1, max_length=50)] = Field(description="1 to 50 job ids.")
    wait_seconds: WaitSeconds = Field(20, description="Wait at most that many seconds.")
    until: Literal["any", "all"] = Field("all", description="Answer when any or when all of them have ended.")


class WaitForJobs(LightTool[WaitForJobsArguments]):
    """Long poll for several jobs."""

    name = "wait_for_jobs"
    description = "Wait for several jobs together; answers all of them as they are when any or all have ended."
    arguments = WaitForJobsArguments
    answers = JobsAnswer

    async def do(self, value: WaitForJobsArguments, caller: Caller) -> CallToolResult:
        ids = list(dict.fromkeys(value.job_ids))
        records = await self._services.calls.wait_for(
            ids, principal=caller.principal, wait=value.wait_seconds, until=value.until
        )
        return answer_many(records, caller.links)


class ListJobsArguments(Model):
    """Arguments of list_jobs."""

    state: State | None = Field(None, description="Only jobs in this state.")
    kind: Annotated[str, Field(max_length=63)] | None = Field(None, description="Only jobs of this tool.")
    limit: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Most jobs in one answer.")
    cursor: Annotated[str, Field(max_length=100)] | None = Field(None, description="From the last answer.")


class ListJobs(LightTool[ListJobsArguments]):
    """The jobs of the caller."""

    name = "list_jobs"
    description = "List your jobs, newest first, with their state; finds a job whose id was lost."
    arguments = ListJobsArguments
    answers = JobsAnswer

    async def do(self, value: ListJobsArguments, caller: Caller) -> CallToolResult:
        page = await self._services.queue.jobs(
            principal=caller.principal, state=value.state, kind=value.kind, limit=value.limit, cursor=value.cursor
        )
        return answer_many(page.records, caller.links, cursor=page.cursor)


class CancelJobArguments(Model):
    """Arguments of cancel_job."""

    job_id: JobId


class CancelJob(LightTool[CancelJobArguments]):
    """Stops a job."""

    name = "cancel_job"
    description = "Stop a queued or running job; answers cancelled only when its process is gone."
    arguments = CancelJobArguments
    answers = JobAnswer[dict[str, Any]]
    read_only = False
    destructive = True

    async def do(self, value: CancelJobArguments, caller: Caller) -> CallToolResult:
        record, shared = await self._services.calls.cancel(
            value.job_id, principal=caller.principal, wait=CANCEL_SECONDS
        )
        note = f"It goes on: {shared} other request(s) of yours share it; call cancel_job again to end it for them too."
        return answer(record, caller.links, notes=(note,) if shared else ())


def tools(services: Services) -> list[AnyTool]:
    """All tools of this module."""
    return [JobStatus(services), WaitForJobs(services), ListJobs(services), CancelJob(services)]
