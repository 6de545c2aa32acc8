"""delete_artifact: the outcome of each id, and the remains of deleted files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2
import pytest
from arq.connections import ArqRedis
from mcp_types import CallToolResult, TextContent
from starlette.applications import Starlette
from starlette.routing import Route

from offloop.artifacts.quota import Usage
from offloop.artifacts.store import Artifact, ArtifactStore
from offloop.errors import BadInput, NotFound
from offloop.settings import load
from offloop_server.tools.artifacts import DeleteArtifact
from offloop_server.web.files import Files
from support.services import LINKS, only, principal

pytestmark = pytest.mark.anyio

ALICE, BOB = principal("alice"), principal("bob")


@pytest.fixture
def store(redis: ArqRedis, tmp_path: Path) -> ArtifactStore:
    """A store in a local folder."""
    return ArtifactStore((tmp_path / "artifacts").as_uri(), redis, retention_seconds=60)


@pytest.fixture
def delete(redis: ArqRedis, store: ArtifactStore) -> DeleteArtifact:
    """The tool; it runs no jobs."""
    return DeleteArtifact(only(settings=load({}), redis=redis, store=store))


async def _put(store: ArtifactStore, tmp_path: Path, principal: str = "alice") -> Artifact:
    path = tmp_path / "source"
    path.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    return await store.put(path, principal=principal, name="a", mime_type="x/y", digest=digest)


def _text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def test_each_id_has_its_own_outcome_and_an_unknown_one_blocks_no_other(
    delete: DeleteArtifact, store: ArtifactStore, tmp_path: Path
) -> None:
    mine, theirs = await _put(store, tmp_path), await _put(store, tmp_path, "bob")
    pending = await store.reserve(principal="alice", name="b", mime_type="x/y")
    ids = [theirs.artifact_id, mine.artifact_id, "unknown", pending.artifact_id, mine.artifact_id]
    result = await delete.call({"artifact_ids": ids}, ALICE)
    assert not result.is_error
    assert result.structured_content == {
        "deleted": [mine.artifact_id, pending.artifact_id],
        "unknown": [theirs.artifact_id, "unknown"],
    }
    assert _text(result).splitlines() == [
        "Deleted 2 files; their room is free.",
        NotFound.artifact(theirs.artifact_id).message,
        NotFound.artifact("unknown").message,
    ]
    assert await store.quotas.usage("alice") == Usage(0, 0)
    assert await store.get(theirs.artifact_id, principal="bob") == theirs


async def test_a_call_that_deletes_nothing_is_an_error_and_so_is_the_same_call_again(
    delete: DeleteArtifact, store: ArtifactStore, tmp_path: Path
) -> None:
    """In the words for an id that never was, and it changes nothing."""
    artifact = await _put(store, tmp_path)
    arguments = {"artifact_ids": [artifact.artifact_id]}
    foreign = await delete.call(arguments, BOB)
    assert not (await delete.call(arguments, ALICE)).is_error
    again = await delete.call(arguments, ALICE)
    assert again.is_error
    assert (again, _text(again)) == (foreign, NotFound.artifact(artifact.artifact_id).message)


async def test_a_hundred_unknown_ids_are_a_short_text(delete: DeleteArtifact) -> None:
    ids = [f"{number:0>64}" for number in range(100)]
    result = await delete.call({"artifact_ids": ids}, ALICE)
    assert result.is_error
    assert result.structured_content == {"deleted": [], "unknown": ids}
    assert _text(result).endswith("The same goes for 95 more ids: they are in unknown.")
    assert len(_text(result)) < 1500


@pytest.mark.parametrize("ids", [None, [], ["a"] * 101, ["a" * 65], [""], "a", [7]], ids=str)
async def test_ids_that_do_not_fit_are_refused_and_nothing_is_deleted(
    delete: DeleteArtifact, store: ArtifactStore, tmp_path: Path, ids: object
) -> None:
    artifact = await _put(store, tmp_path)
    sent = [*ids, artifact.artifact_id] if isinstance(ids, list) and ids else ids
    with pytest.raises(BadInput, match="artifact_ids"):
        await delete.call({} if ids is None else {"artifact_ids": sent}, ALICE)
    assert await store.get(artifact.artifact_id, principal="alice") == artifact


async def test_its_links_are_answered_as_for_one_that_never_was(
    delete: DeleteArtifact, store: ArtifactStore, tmp_path: Path
) -> None:
    """The link to read it, and the link that takes its bytes, though both are signed and hold."""
    artifact = await _put(store, tmp_path)
    pending = await store.reserve(principal="alice", name="b", mime_type="x/y")
    await delete.call({"artifact_ids": [artifact.artifact_id, pending.artifact_id]}, ALICE)
    files = Files(store, LINKS, 1 << 20)
    app = Starlette(routes=[Route("/files/{artifact_id}", files.handle, methods=["GET", "PUT"])])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        answers = [await client.get(LINKS.download(artifact)), await client.put(LINKS.upload(pending), content=b"late")]
    for each, answer in zip((artifact, pending), answers, strict=True):
        assert (answer.status_code, answer.json()["error"]) == (404, NotFound.artifact(each.artifact_id).message)
    assert await store.quotas.usage("alice") == Usage(0, 0)


async def test_it_is_annotated_as_destructive_and_idempotent(delete: DeleteArtifact) -> None:
    hints = delete.describe().annotations
    assert hints
    assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint) == (
        False,
        True,
        True,
        False,
    )
