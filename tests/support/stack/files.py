"""Files of a principal: uploads through ``POST /files``, the list, and deleting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2

from support.stack.client import Caller
from support.stack.stack import Stack


async def post(stack: Stack, caller: Caller, **request: Any) -> httpx2.Response:
    """Send a file with the caller's key."""
    headers = {"Authorization": f"Bearer {caller.key}", **request.pop("headers", {})}
    return await caller.http.post(f"{stack.front_ends[0].base}/files", headers=headers, **request)


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


async def listed(caller: Caller) -> set[str]:
    """Ids of the files listed as resources."""
    found = (await caller.client.list_resources()).resources
    return {str(resource.uri).rpartition("/")[2] for resource in found}


async def delete(caller: Caller, *ids: str) -> tuple[list[str], list[str]]:
    """Deleted ids and unknown ids."""
    data = (await caller.call("delete_artifact", artifact_ids=ids)).data
    return data["deleted"], data["unknown"]
