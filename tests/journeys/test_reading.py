"""Reading files: inline in answers, in parts, as pictures, and as MCP resources."""

from __future__ import annotations

import base64
import io
import random

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import (
    BlobResourceContents,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    ResourceTemplateReference,
    TextResourceContents,
)
from PIL import ExifTags, Image

from offloop_server.resources.artifacts import PAGE
from support.stack.client import Answer, Caller, Mode
from support.stack.stack import Stack

pytestmark = pytest.mark.anyio


async def uploaded(caller: Caller, content: bytes, name: str = "a.txt", mime_type: str = "text/plain") -> str:
    """The id of an uploaded file."""
    return (await caller.upload(content, name, mime_type)).removeprefix("artifact:")


def picture(size: tuple[int, int], kind: str = "PNG", *, noisy: bool = False) -> bytes:
    """A picture file."""
    file = io.BytesIO()
    noise = random.Random(3).randbytes(size[0] * size[1] * 3)  # noqa: S311 -- no security needed
    image = Image.frombytes("RGB", size, noise) if noisy else Image.new("RGB", size, "teal")
    image.save(file, kind)
    return file.getvalue()


def seen(answer: Answer) -> Image.Image:
    """The only image of an answer, opened."""
    [block] = [block for block in answer.content if isinstance(block, ImageContent)]
    assert len(block.data) <= 700 << 10
    image = Image.open(io.BytesIO(base64.b64decode(block.data)))
    image.load()
    return image


async def test_a_small_text_of_a_job_is_in_its_answer_and_a_large_one_is_a_link(stack: Stack) -> None:
    async with stack.client() as caller:
        for size, inside in ((10, True), (64 << 10, True), ((64 << 10) + 1, False)):
            answer = await caller.call("write_note", text="x" * size)
            links = [block for block in answer.content if isinstance(block, ResourceLink)]
            texts = [block.resource for block in answer.content if isinstance(block, EmbeddedResource)]
            assert len(links) == 1
            assert [isinstance(text, TextResourceContents) and len(text.text) for text in texts] == (
                [size] if inside else []
            )
        again = await caller.call("job_status", job_id=answer.job_id)
        assert [block.type for block in again.content] == ["text", "resource_link"]


@pytest.mark.parametrize("mime_type", ["image/png", "application/pdf", "application/octet-stream"])
async def test_a_file_with_a_false_image_type_is_not_returned_as_an_image(stack: Stack, mime_type: str) -> None:
    async with stack.client() as caller:
        answer = await caller.call("write_note", text="no picture", name="x.png", mime_type=mime_type)
        assert [block.type for block in answer.content] == ["text", "resource_link"]


async def test_a_small_picture_of_a_job_is_seen_in_its_answer(stack: Stack) -> None:
    async with stack.client() as caller:
        image = "data:image/png;base64," + base64.b64encode(picture((64, 32))).decode()
        answer = await caller.call("transform_image", image=image, width=32)
        assert seen(answer).size == (32, 16)


async def test_a_picture_too_large_to_be_shown_is_made_smaller_by_a_worker(stack: Stack) -> None:
    async with stack.client() as caller:
        artifact = await uploaded(caller, picture((800, 600), noisy=True), "noise.png", "image/png")
        answer = await caller.call("read_artifact", artifact_id=artifact)
        assert seen(answer).size == (800, 600)
        assert (answer.data["encoding"], answer.data["name"]) == ("image", "noise.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_picture_with_an_orientation_is_shown_upright(stack: Stack, kind: str) -> None:
    """Models see the pixels as they are stored; a camera's orientation is applied before."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    Image.new("RGB", (64, 32), "teal").save(file, kind, exif=exif)
    async with stack.client() as caller:
        artifact = await uploaded(caller, file.getvalue(), f"photo.{kind.lower()}", f"image/{kind.lower()}")
        answer = await caller.call("read_artifact", artifact_id=artifact)
        assert seen(answer).size == (32, 64)


async def test_a_picture_in_a_format_that_models_do_not_know_is_converted(stack: Stack) -> None:
    async with stack.client() as caller:
        artifact = await uploaded(caller, picture((40, 20), "TIFF"), "scan.tiff", "image/tiff")
        assert seen(await caller.call("read_artifact", artifact_id=artifact)).size == (40, 20)


async def test_a_page_of_a_pdf_is_looked_at(stack: Stack) -> None:
    async with stack.client() as caller:
        rendered = await caller.call("render_pdf", html="<p>One</p><p style='break-before: page'>Two</p>")
        artifact = rendered.data["artifacts"][0]["artifact_id"]
        for page in (1, 2):
            assert seen(await caller.call("read_artifact", artifact_id=artifact, page=page)).width == 1024
        beyond = await caller.call("read_artifact", artifact_id=artifact, page=3)
        assert beyond.is_error
        assert "page" in beyond.text.lower()


async def test_a_page_that_is_not_there_in_time_is_asked_for_again(stack: Stack) -> None:
    """The second call joins the job of the first."""
    async with stack.client() as caller:
        rendered = await caller.call("render_pdf", markdown="# Slow")
        arguments = {"artifact_id": rendered.data["artifacts"][0]["artifact_id"], "page": 1}
        first = await caller.call("read_artifact", **arguments, wait_seconds=0)
        assert (first.data["encoding"], first.is_error) == ("pending", False)
        assert seen(await caller.call("read_artifact", **arguments)).width == 1024
        jobs = (await caller.call("list_jobs", kind="preview_pdf")).data["jobs"]
        assert len(jobs) == 1


async def test_a_page_of_a_file_without_pages_is_an_error(stack: Stack) -> None:
    async with stack.client() as caller:
        artifact = await uploaded(caller, b"text")
        assert "no pages" in (await caller.call("read_artifact", artifact_id=artifact, page=1)).text
        both = await caller.call("read_artifact", artifact_id=artifact, page=1, line=1)
        assert "only one of offset, line and page" in both.text


async def test_lines_are_read_from_one_to_the_next(stack: Stack) -> None:
    lines = [f"line {number}: {'é' * (number % 50)}\n" for number in range(1, 1001)]
    async with stack.client() as caller:
        artifact = await uploaded(caller, "".join(lines).encode())
        read: list[str] = []
        line: int | None = 1
        while line:
            part = (await caller.call("read_artifact", artifact_id=artifact, line=line, lines=333)).data
            read.append(part["content"])
            line = part["next_line"]
        assert "".join(read) == "".join(lines)
        assert [text.count("\n") for text in read] == [333, 333, 333, 1]
        beyond = await caller.call("read_artifact", artifact_id=artifact, line=1001)
        assert "has fewer lines" in beyond.text


@pytest.mark.parametrize(
    ("content", "text", "charset"),
    [
        ("grün".encode(), "grün", "utf-8"),
        ("grün".encode("utf-8-sig"), "grün", "utf-8"),
        ("grün 😀".encode("utf-16"), "grün 😀", "utf-16le"),
        ("\ufeffgrün 😀".encode("utf-16-be"), "grün 😀", "utf-16be"),
        ("grün".encode("cp1252"), "grün", "windows-1252"),
    ],
)
async def test_a_text_is_read_in_any_charset(stack: Stack, content: bytes, text: str, charset: str) -> None:
    async with stack.client() as caller:
        part = (await caller.call("read_artifact", artifact_id=await uploaded(caller, content))).data
        assert (part["content"], part["charset"], part["length"]) == (text, charset, len(content))


async def test_utf_16_is_not_cut_in_the_middle_of_a_character(stack: Stack) -> None:
    text = "a😀é" * 20
    async with stack.client() as caller:
        artifact = await uploaded(caller, text.encode("utf-16"))
        read = ""
        offset: int | None = 0
        while offset is not None:
            part = (await caller.call("read_artifact", artifact_id=artifact, offset=offset, length=21)).data
            read, offset = read + part["content"], part["next_offset"]
        assert read == text


MODES: list[Mode] = ["auto", "legacy"]


@pytest.mark.parametrize("mode", MODES)
async def test_artifacts_are_resources_in_both_eras(stack: Stack, mode: Mode) -> None:
    async with stack.client(mode=mode) as caller:
        text = await uploaded(caller, "späte Grüße".encode(), "a.txt")
        blob = await uploaded(caller, b"\0\1\2", "b.bin", "application/octet-stream")
        await caller.call("create_upload", name="pending", mime_type="text/plain")
        listed = (await caller.client.list_resources()).resources
        assert [(one.uri, one.name, one.size) for one in listed] == [
            (f"offloop://artifacts/{blob}", "b.bin", 3),
            (f"offloop://artifacts/{text}", "a.txt", 14),
        ]
        [first] = (await caller.client.read_resource(f"offloop://artifacts/{text}")).contents
        assert isinstance(first, TextResourceContents)
        assert (first.text, first.mime_type) == ("späte Grüße", "text/plain")
        [second] = (await caller.client.read_resource(f"offloop://artifacts/{blob}")).contents
        assert isinstance(second, BlobResourceContents)
        assert base64.b64decode(second.blob) == b"\0\1\2"
        template, _ = (await caller.client.list_resource_templates()).resource_templates
        assert template.uri_template == "offloop://artifacts/{artifact_id}"
        completed = await caller.client.complete(
            ResourceTemplateReference(uri=template.uri_template), {"name": "artifact_id", "value": text[:4]}
        )
        assert completed.completion.values == [text]


async def test_a_long_list_of_resources_comes_in_pages(stack: Stack) -> None:
    count = PAGE + 3
    async with stack.client() as caller:
        base = f"{stack.front_ends[0].base}/files"
        for _ in range(count):
            answer = await caller.http.post(base, content=b"x", headers={"Authorization": f"Bearer {caller.key}"})
            assert answer.status_code == 201
        first = await caller.client.list_resources()
        rest = await caller.client.list_resources(cursor=first.next_cursor)
        assert (len(first.resources), len(rest.resources), rest.next_cursor) == (PAGE, 3, None)
        assert len({one.uri for one in (*first.resources, *rest.resources)}) == count
        with pytest.raises(MCPError, match="is not one that resources/list gave"):
            await caller.client.list_resources(cursor="nonsense!")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("offloop://artifacts/AAAAAAAAAAAAAAAAAAAAAA", "No artifact"),
        ("offloop://artifacts/", "not a resource of this server"),
        ("offloop://artifacts/../../etc/passwd", "not a resource of this server"),
        ("file:///etc/passwd", "not a resource of this server"),
        ("offloop://artifacts/" + "x" * 5000, "not a resource of this server"),
    ],
)
async def test_an_unknown_resource_is_a_clear_error(stack: Stack, mode: Mode, uri: str, message: str) -> None:
    async with stack.client(mode=mode) as caller:
        with pytest.raises(MCPError, match=message) as refused:
            await caller.client.read_resource(uri)
        assert refused.value.code == -32602


async def test_a_resource_too_large_to_read_is_an_error_with_advice(stack: Stack) -> None:
    async with stack.client() as caller:
        artifact = await uploaded(caller, b"x" * ((512 << 10) + 1))
        with pytest.raises(MCPError, match=r"read it in parts with read_artifact\(artifact_id="):
            await caller.client.read_resource(f"offloop://artifacts/{artifact}")
        upload = (await caller.call("create_upload", name="pending", mime_type="text/plain")).data
        with pytest.raises(MCPError, match="has no bytes yet"):
            await caller.client.read_resource(f"offloop://artifacts/{upload['artifact_id']}")


def test_the_front_end_loads_no_library_of_the_workers(stack: Stack) -> None:
    """Workers make the previews."""
    maps = (stack.front_ends[0].pid, "maps")
    with open(f"/proc/{maps[0]}/{maps[1]}", encoding="utf-8") as file:  # noqa: PTH123 -- procfs
        assert "_imaging" not in file.read()
