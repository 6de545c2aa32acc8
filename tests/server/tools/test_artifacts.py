"""delete_artifact: the outcome of each id, and the remains of deleted files; read_artifact: texts in any charset."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

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
from offloop_server.tools.artifacts import DeleteArtifact, ReadArtifact
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


@pytest.mark.parametrize("ids", [None, [], ["a"] * 101, ["a" * 65], [""], {"a": 1}, [None], "a,b"], ids=str)
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


@pytest.fixture
def reader(redis: ArqRedis, store: ArtifactStore) -> ReadArtifact:
    """The tool, without kinds that render."""
    return ReadArtifact(only(settings=load({}), redis=redis, store=store, kinds={}))


async def _kept(store: ArtifactStore, tmp_path: Path, data: bytes, mime_type: str) -> Artifact:
    path = tmp_path / "source"
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return await store.put(path, principal="alice", name="a", mime_type=mime_type, digest=digest)


async def _read(reader: ReadArtifact, artifact: Artifact, **arguments: object) -> dict[str, Any]:
    result = await reader.call({"artifact_id": artifact.artifact_id, **arguments}, ALICE)
    return cast("dict[str, Any]", result.structured_content)


RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю.\n"
TEXTS = {
    "utf-16 with a mark": ("text/csv", RUSSIAN.encode("utf-16"), RUSSIAN, "utf-16le", ""),
    "utf-16 without one": ("text/plain", "Größe\n".encode("utf-16-be"), "Größe\n", "utf-16be", "guess"),
    "utf-32": ("application/octet-stream", "日本\n".encode("utf-32"), "日本\n", "utf-32-le", ""),
    "meta": ("text/html", b"<meta charset=koi8-r>" + RUSSIAN.encode("koi8-r"), RUSSIAN, "koi8-r", ""),
    "xml": ("a/b+xml", b"<?xml version='1.0' encoding='koi8-r'?>" + RUSSIAN.encode("koi8-r"), RUSSIAN, "koi8-r", ""),
    "svg": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "<svg", "utf-8", ""),
    "guess": ("text/plain", RUSSIAN.encode("cp1251"), RUSSIAN, "windows-1251", "guess"),
    "broken": ("text/plain", b"<meta charset=x>" + RUSSIAN.encode() + b"\xff", RUSSIAN, "", ""),
    "yaml": ("application/yaml", b"a: 1", "a: 1", "utf-8", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
async def test_a_text_is_read_in_its_charset_and_a_guess_is_told(
    reader: ReadArtifact, store: ArtifactStore, tmp_path: Path, name: str
) -> None:
    mime_type, data, text, charset, warning = TEXTS[name]
    artifact = await _kept(store, tmp_path, data, mime_type)
    answer = await _read(reader, artifact)
    if name == "broken":
        assert answer["warnings"], "what is lost is told"
        return
    assert text in answer["content"]
    assert (answer["encoding"], answer["charset"], answer["next_offset"]) == ("text", charset, None)
    assert any(warning in one for one in answer["warnings"]) if warning else answer["warnings"] == []


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32", "cp932", "euc_jp", "iso2022_jp"])
async def test_a_long_text_is_read_in_windows_and_in_lines(
    reader: ReadArtifact, store: ArtifactStore, tmp_path: Path, codec: str
) -> None:
    lines = [f"{number} 日本語の文章です。表示\n" for number in range(1, 301)]
    artifact = await _kept(store, tmp_path, "".join(lines).encode(codec), "text/plain")
    read: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = await _read(reader, artifact, offset=offset, length=997)
        assert answer["offset"] == offset
        read.append(answer["content"])
        offset = answer["next_offset"]
    assert "".join(read) == "".join(lines)
    inside = await _read(reader, artifact, offset=1501, length=80)
    assert inside["content"] in "".join(lines)
    answer = await _read(reader, artifact, line=100, lines=3)
    assert (answer["content"], answer["next_line"]) == ("".join(lines[99:102]), 103)
    with pytest.raises(BadInput, match="has fewer lines"):
        await _read(reader, artifact, line=302)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
async def test_a_window_shorter_than_the_mark_goes_beyond_it(
    reader: ReadArtifact, store: ArtifactStore, tmp_path: Path, codec: str, length: int
) -> None:
    artifact = await _kept(store, tmp_path, "é日".encode(codec), "text/plain")
    first = await _read(reader, artifact, length=length)
    rest = await _read(reader, artifact, offset=first["next_offset"])
    assert (first["content"] + rest["content"], first["warnings"]) == ("é日", [])


async def test_bytes_beyond_ascii_after_a_long_beginning_are_guessed(
    reader: ReadArtifact, store: ArtifactStore, tmp_path: Path
) -> None:
    artifact = await _kept(store, tmp_path, b"plain\n" * 20_000 + RUSSIAN.encode("cp1251"), "text/plain")
    assert (await _read(reader, artifact))["warnings"] == []
    answer = await _read(reader, artifact, offset=120_000)
    assert (answer["content"], answer["charset"]) == (RUSSIAN, "windows-1251")
    assert "guess" in answer["warnings"][0]


async def test_what_is_no_text_is_base64(reader: ReadArtifact, store: ArtifactStore, tmp_path: Path) -> None:
    for mime_type, data in (
        ("application/octet-stream", b"\0\1\2"),
        ("image/x-none", b"text"),
        ("a/b", b"\xff\xfe\0\1\0\0"),
    ):
        answer = await _read(reader, await _kept(store, tmp_path, data, mime_type))
        assert (answer["encoding"], answer["charset"]) == ("base64", None)
        forced = await _read(reader, await _kept(store, tmp_path, data, mime_type), encoding="text")
        assert forced["encoding"] == "text"
