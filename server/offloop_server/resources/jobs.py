"""Jobs as MCP resources: ``offloop://jobs/<id>`` is the structured answer of ``job_status``, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mcp_types import ReadResourceResult, ResourceTemplate, TextResourceContents

from offloop.queue import batches
from offloop_server.toolkit.answers import describe
from offloop_server.toolkit.batch_answers import batch_answer

if TYPE_CHECKING:
    from offloop.artifacts.links import Links
    from offloop.queue.client import JobQueue
    from offloop.redis import RedisClient

JOB_URI: Final = "offloop://jobs/"
JOB_TEMPLATE: Final = JOB_URI + "{job_id}"
MIME_TYPE: Final = "application/json"
_MAX_ID: Final = 64


def id_in(uri: str, prefix: str, longest: int = _MAX_ID) -> str | None:
    """The id after the prefix of a URI; None if there is none."""
    found = uri.removeprefix(prefix)
    return None if found == uri or not found or len(found) > longest or "/" in found else found


class JobResources:
    """Reads jobs as resources.

    Args:
        queue: reads jobs.
        redis: holds the items of batches.
    """

    def __init__(self, queue: JobQueue, redis: RedisClient) -> None:
        self._queue = queue
        self._redis = redis

    @property
    def template(self) -> ResourceTemplate:
        """The URI template of jobs."""
        return ResourceTemplate(
            name="job",
            title="Job",
            uri_template=JOB_TEMPLATE,
            mime_type=MIME_TYPE,
            description="A job of yours as it is now: what job_status answers. subscriptions/listen tells of changes.",
        )

    async def read(self, uri: str, job_id: str, *, principal: str, links: Links) -> ReadResourceResult:
        """The current state of a job.

        Raises:
            NotFound: the principal has no such job.
            Unavailable: Redis does not answer.
        """
        record = await self._queue.get(job_id, principal=principal)
        if record.kind == batches.KIND:
            shape = (await batch_answer(record, self._redis, links)).structured_content
        else:
            shape = describe(record, links).model_dump(mode="json")
        text = json.dumps(shape, ensure_ascii=False)
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=MIME_TYPE, text=text)])
