"""Workflows: the calls of prompts work, and the programs of docs/workflows.md run as printed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, TextContent
from PIL import Image

from support.stack.client import Caller, Mode
from support.stack.stack import FrontEnd, Stack

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"
MODES: list[Mode] = ["auto", "legacy"]
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
INVOICE = {"number": "7", "date": "today", "seller": "A", "buyer": "B & C", "currency": "EUR"} | {
    "items": [{"text": "Ink", "quantity": 2, "price": 1.25}]
}
PROMPTS: dict[str, dict[str, str]] = {
    "report_from_markdown": {"markdown": "# Title\n\n```\ncode\n```", "title": "A {strange} title", "theme": "compact"},
    "invoice_from_template": {"data": json.dumps(INVOICE), "pdf_variant": "pdf/a-3b"},
    "photo_set_for_web": {"image": "", "widths": "16, 32", "formats": "png", "alt": 'a "photo"'},
    "verify_download": {"file": "data:,hello", "expected": HELLO},
}


async def call_of(caller: Caller, name: str, arguments: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The tool and the arguments of a prompt's call."""
    result = await caller.client.get_prompt(name, arguments)
    [message] = result.messages
    assert isinstance(message.content, TextContent)
    found = re.search(
        r"Call (\w+) with exactly these arguments:\n\n```json\n(.*?)\n```", message.content.text, re.DOTALL
    )
    assert found, message.content.text
    return found[1], json.loads(found[2])


def jpeg(size: tuple[int, int] = (64, 32)) -> bytes:
    """A picture."""
    file = io.BytesIO()
    Image.new("RGB", size, "navy").save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_are_listed_with_their_arguments_in_both_eras(stack: Stack, mode: Mode) -> None:
    async with stack.client(mode=mode) as caller:
        prompts = {prompt.name: prompt for prompt in (await caller.client.list_prompts()).prompts}
        assert list(prompts) == list(PROMPTS)
        required = {
            name: [one.name for one in prompt.arguments or [] if one.required] for name, prompt in prompts.items()
        }
        assert required["verify_download"] == ["file", "expected"]
        assert all(prompt.title and prompt.description for prompt in prompts.values())
        documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE))
        assert {name: re.findall(r"\w+", names) for name, names in documented.items()} == {
            name: [one.name for one in prompt.arguments or []] for name, prompt in prompts.items()
        }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PROMPTS)
async def test_the_call_that_a_prompt_names_does_what_it_promises(stack: Stack, name: str, mode: Mode) -> None:
    async with stack.client(mode=mode) as caller:
        arguments = dict(PROMPTS[name])
        if name == "photo_set_for_web":
            arguments["image"] = await caller.upload(jpeg(), "photo.jpg", "image/jpeg")
        tool, call = await call_of(caller, name, arguments)
        answer = await caller.call_with(tool, call)
        assert answer.state == "completed", answer.text
        assert answer.output.get("matches") is not False
        if tool == "render_pdf":
            assert answer.data["warnings"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("report_from_markdown", {}, "needs markdown"),
        ("report_from_markdown", {"markdown": "x", "themes": "report"}, "did you mean theme?"),
        ("report_from_markdown", {"markdown": "x", "page_size": "A99"}, "page_size"),
        ("invoice_from_template", {"data": "no json"}, "not JSON"),
        ("invoice_from_template", {"data": "[]"}, "data"),
        ("photo_set_for_web", {"image": "photo.jpg"}, "not a file reference"),
        ("photo_set_for_web", {"image": "data:,x", "widths": "wide"}, "widths are pixels"),
        ("verify_download", {"file": "data:,x", "expected": "12"}, "expected"),
        ("make_coffee", {}, "There is no prompt 'make_coffee'; there are: report_from_markdown"),
    ],
)
async def test_a_prompt_with_wrong_arguments_is_a_clear_error(
    stack: Stack, name: str, arguments: dict[str, str], message: str
) -> None:
    async with stack.client() as caller:
        with pytest.raises(MCPError, match=re.escape(message)) as refused:
            await caller.client.get_prompt(name, arguments)
        assert refused.value.code == -32602


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("report_from_markdown theme=r", ["report"]),
        ("report_from_markdown page_size=le", ["letter", "legal", "ledger"]),
        ("photo_set_for_web formats=webp,j", ["webp,jpeg"]),
        ("verify_download algorithm=sha3", ["sha3_256", "sha3_512"]),
        ("report_from_markdown markdown=x", []),
        ("report_from_markdown nothing=x", []),
    ],
)
async def test_arguments_are_completed_where_they_can_be_listed(
    stack: Stack, mode: Mode, text: str, completed: list[str]
) -> None:
    prompt, argument, begun = re.split(r"[ =]", text)
    async with stack.client(mode=mode) as caller:
        result = await caller.client.complete(PromptReference(name=prompt), {"name": argument, "value": begun})
        assert set(completed) <= set(result.completion.values)
        assert bool(completed) == bool(result.completion.values)


def test_the_programs_of_the_page_do_what_they_say(
    keyless: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is executed as the main module of this process: an interpreter of its own would only start more slowly."""
    (tmp_path / "photo.jpg").write_bytes(jpeg((1200, 800)))
    (tmp_path / "download.bin").write_bytes(b"hello")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    printed = []
    for code in programs:
        exec(code.replace("http://127.0.0.1:8750", keyless.base), {"__name__": "__main__"})  # noqa: S102 -- code of this repository
        printed.append(capsys.readouterr().out.strip())
    assert printed == ["1 report.pdf", "1 invoice.pdf", "4 files", "genuine"]
    with pikepdf.open(tmp_path / "report.pdf") as report, pikepdf.open(tmp_path / "invoice.pdf") as invoice:
        assert str(report.docinfo["/Title"]) == "Third quarter"
        assert list(invoice.attachments) == ["invoice.json"]
    check_photos(tmp_path)


def check_photos(folder: Path) -> None:
    """Check that the HTML refers to existing files."""
    html = (folder / "photo.html").read_text("utf-8")
    named = set(re.findall(r"[\w.-]+\.(?:webp|jpg|jpeg)", html))
    assert named == {path.name for path in folder.glob("lighthouse-*")}
    assert 'alt="A lighthouse at dusk"' in html
