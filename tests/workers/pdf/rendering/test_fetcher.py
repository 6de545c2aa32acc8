"""Resources from the network: only where the request allows it, and only through the context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offloop.errors import JobError
from offloop.jobs.pdf import Page
from offloop.kinds.context import Fetched
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.rendering.render import render
from support.files.rendered import Document, data, picture, warned

RED = "https://example.org/pictures/red.png"


class Online(JobContext):
    """A context whose worker fetches one picture and refuses everything else."""

    def __init__(self, folder: Path) -> None:
        super().__init__(job_id="job", folder=folder)
        self.asked: list[str] = []

    def fetch(self, url: str) -> Fetched:
        """The picture, or a refusal of the guard."""
        self.asked.append(url)
        if url != RED:
            message = "10.0.0.1 is not a public address: send the file itself."
            raise JobError(message, code="refused_url")
        path = self.folder / "fetched.png"
        path.write_bytes(picture("#ff0000"))
        return Fetched(path, "image/png", url)


@pytest.fixture
def online(tmp_path: Path) -> Online:
    """A context that can fetch."""
    return Online(tmp_path / "job")


def rendered(context: Online, **page: Any) -> Document:
    """The rendered document."""
    render(Page.model_validate(page), context)
    return Document(context.artifacts[-1].path.read_bytes())


@pytest.mark.parametrize(
    "html", [f"<img src='{RED}'>", "<base href='https://example.org/pictures/'><img src='red.png'>"]
)
def test_a_resource_is_fetched_where_the_request_allows_it(online: Online, html: str) -> None:
    assert rendered(online, html=html, allow_fetch=True).has((255, 0, 0))
    assert (online.asked, online.warnings) == ([RED], [])


def test_nothing_is_fetched_without_permission(online: Online) -> None:
    assert not rendered(online, html=f"<base href='https://example.org/pictures/'><img src='{RED}'>").has((255, 0, 0))
    assert online.asked == []
    assert warned(online, "red.png", "may not fetch anything")


def test_a_resource_that_the_guard_refuses_is_left_out_with_its_message(online: Online) -> None:
    rendered(online, html="<img src='https://inside.example/x.png'><p>text", allow_fetch=True)
    assert warned(online, "'https://inside.example/x.png' was left out", "10.0.0.1 is not a public address")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "gopher://example.org", "unknown.png"])
def test_other_schemes_never_reach_the_guard(online: Online, url: str) -> None:
    rendered(online, html=f"<img src='{url}'>", allow_fetch=True)
    assert online.asked == []
    assert online.warnings


def test_an_asset_takes_precedence_over_the_network(online: Online) -> None:
    own = data(picture("#0000ff"), "image/png")
    assert rendered(online, html=f"<img src='{RED}'>", allow_fetch=True, assets={RED: own}).has((0, 0, 255))
    assert online.asked == []


LETTERS = "Łódź, żółć"


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (f'@charset "windows-1250"; p::before {{content: "{LETTERS}"}}'.encode("cp1250"), ""),
        (f'p::before {{content: "{LETTERS}"}}'.encode("utf-16"), ""),
        (f'p::before {{content: "{LETTERS}"}}'.encode("utf-8-sig"), ""),
        (f'/* Zażółć gęślą jaźń */ p::before {{content: "{LETTERS}"}}'.encode("cp1250"), "a guess"),
        (f'@charset "utf-8"; p::before {{content: "{LETTERS}"}}'.encode() + b"/* \xff */", "1 byte sequence"),
    ],
    ids=["declared", "utf-16", "mark", "guess", "broken"],
)  # fmt: skip
def test_a_style_sheet_is_read_in_its_charset(online: Online, content: bytes, warning: str) -> None:
    document = rendered(online, html="<link rel=stylesheet href=a.css><p>", assets={"a.css": data(content, "text/css")})
    assert LETTERS in document.text
    assert warned(online, warning) if warning else online.warnings == []


def test_a_template_is_read_in_its_charset_and_a_guess_is_told(online: Online) -> None:
    text = "<p>Привет, {{ name }}, съешь ещё этих мягких французских булок"
    for content, mime_type, warning in (
        (f"<meta charset=koi8-r>{text}".encode("koi8-r"), "text/html", ""),
        (text.encode("cp1251"), "text/html", "windows-1251, a guess"),
        (text.encode("utf-16"), "text/html", ""),
        (text.encode("cp866"), "text/html;charset=cp866", ""),
    ):
        online.warnings.clear()
        assets = {"a.html": data(content, mime_type)}
        document = rendered(online, template="{% include 'a.html' %}", data={"name": "мир"}, assets=assets)
        assert "Привет, мир" in document.text
        assert warned(online, warning) if warning else online.warnings == []
    with pytest.raises(JobError, match="is no text"):
        rendered(
            online, template="{% include 'a.html' %}", data={}, assets={"a.html": data(b"PK\3\4\0\0\0", "text/html")}
        )
