"""Pages as Markdown: what HTML means by the standard, and what of it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloop_server.io.http.readable.document import readable

URL = "http://host/docs/page?x=1#part"


def markdown(html: str, url: str = URL) -> str:
    """The Markdown of a page."""
    text = readable(html, "markdown", url=url).text
    assert text is not None
    return text


def notes(html: str) -> str:
    return " ".join(readable(html, "markdown", url=URL).notes)


def cases(name: str) -> dict[str, tuple[str, str]]:
    """The cases of a file beside this one: source and Markdown by name."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8").replace("⏎", "  ")
    found = {}
    for case in text.split("\n=== ")[1:]:
        title, _, rest = case.partition("\n")
        source, _, expected = rest.partition("\n---\n")
        found[title] = (source, expected.rstrip("\n"))
    return found


CASES = {**cases("cases.txt"), **cases("tables.txt")}


@pytest.mark.parametrize(("html", "expected"), CASES.values(), ids=CASES)
def test_html_is_read_as_it_is_seen(html: str, expected: str) -> None:
    assert markdown(html) == expected


def test_data_in_a_page_is_left_out_with_its_size() -> None:
    html = f"<img alt=chart src='data:image/png;base64,{'A' * 33_000}'><a href='data:,abc'>d</a>"
    assert markdown(html) == "![chart](data:image/png, 25 kB left out)[d](data:text/plain, 3 bytes left out)"


def test_plain_text_has_no_marks_and_keeps_powers_apart() -> None:
    html = (
        "<h1>A_b</h1><p>10<sup>6</sup> <b>H<sub>2</sub>O</b> *x* x<sup>n+k</sup>"
        "<ul><li>a</ul><table><tr><td>1<td>2</table>"
    )
    assert readable(html, "text").text == "A_b\n\n10⁶ H₂O *x* x^(n+k)\n\n- a\n\n1\t2"


def test_the_title_is_there_unless_the_page_begins_with_it() -> None:
    assert markdown("<title>A *b*</title><p>x") == "# A \\*b\\*\n\nx"
    assert markdown("<title>A *b*</title><h1>A *b*</h1>") == "# A \\*b\\*"
    assert markdown("<title>New</title><p>Newer") == "# New\n\nNewer"


def test_notes_say_what_is_left_out_and_where_forms_go() -> None:
    found = notes(
        "<a href=javascript:x>a</a><canvas></canvas><img width=1 height=1 src=t><p hidden>four</p><svg></svg>"
        "<form action=/go method=post><input name=q><input name=l></form>"
        "<pre><a href=/x>x</a><span class=linenos>1</span></pre>"
    )
    left_out = ("links that run scripts", "drawings of scripts", "pictures of one dot", "drawings without text")
    for part in (*left_out, "links inside blocks of code", "line numbers in code"):
        assert f"{part} (1)" in found
    assert "characters that the page hides (4)" in found
    assert "POST http://host/go with q, l." in found


def test_a_page_that_scripts_build_says_so_and_shows_what_it_has_instead() -> None:
    html = (
        "<title>App</title><meta name=description content=Shop><div id=root></div><script src=a.js></script>"
        "<noscript>No JS</noscript>"
    )
    assert markdown(html) == "# App\n\nNo JS\n\nShop"
    assert "are not run" in notes(html)
    assert "are not run" not in notes("<p>short")


def test_a_page_without_text_says_so() -> None:
    assert "has no text" in notes("<p> ")
    assert "are not run" in notes("<head><script type=module src=a.js></script></head><div id=root></div>")
    assert "are not run" not in notes("<head><script type=application/json>{}</script></head>")


def test_a_refresh_is_found_where_browsers_follow_it() -> None:
    def refresh(html: str) -> tuple[float, str] | None:
        return readable(html, "markdown", url=URL).refresh

    assert refresh("<meta http-equiv=refresh content='0; url=/next'>") == (0, "http://host/next")
    assert refresh("<base href=/b/><meta http-equiv=Refresh content='5;URL=\"a b\"'>") == (5, "http://host/b/a%20b")
    assert refresh("<noscript><meta http-equiv=refresh content='0; url=/next'></noscript>") is None
    assert refresh("<meta http-equiv=refresh content='0; url=//['>") is None
