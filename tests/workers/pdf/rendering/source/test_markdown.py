"""Markdown as HTML: what is kept of raw HTML, formulas, marks, page breaks, tables."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from offloop import testing
from offloop.jobs.pdf import Pdf
from offloop.kinds.job_context import JobContext
from offloop_workers.pdf.rendering.source.markdown import to_html
from support.files.rendered import Document, warned

Run = Callable[..., tuple[Pdf, Document]]


@pytest.fixture
def convert(context: JobContext) -> Callable[[str], str]:
    """Convert Markdown; drawings are replaced by their titles."""

    def converted(markdown: str) -> str:
        html = to_html(markdown, context).removeprefix("<article class=markdown>").removesuffix("</article>").strip()
        return re.sub(r"<svg .*?<title>(.*?)</title>.*?</svg>", r"[\1]", html, flags=re.DOTALL)

    return converted


@pytest.mark.parametrize(
    "kept",
    [
        '<p style="color: red; margin-top: 1em !important">x</p>',
        '<div style="page-break-after: always"></div>',
        '<div class="a b" id="c" align="center" title="t">x</div>',
        '<p><font color="red" size="5" face="serif">x</font></p>',
        '<table border="1" width="50%"><tr bgcolor="#eee"><td rowspan="2" valign="top">x</td></tr></table>',
        '<ol start="3" type="a" reversed=""><li value="7">x</li></ol>',
        '<figure><img src="a.png" width="40" height="20" style="width: 50%"><figcaption>x</figcaption></figure>',
        "<center><big>a</big><small>b</small><u>c</u><s>d</s><sub>e</sub><sup>f</sup></center>",
        '<details open=""><summary>x</summary>y</details>',
        '<p><picture><source srcset="b.png" media="print"><img src="a.png"></picture></p>',
        '<div style="background: url(a.png); --tone: 1; border-left: 1px solid var(--tone)">x</div>',
    ],
)
def test_raw_html_that_shapes_text_is_kept(convert: Callable[[str], str], context: JobContext, kept: str) -> None:
    source = kept.removeprefix("<p>").removesuffix("</p>") if kept.startswith(("<p><font", "<p><picture")) else kept
    assert convert(source) == kept
    assert context.warnings == []


def test_what_is_dropped_of_raw_html_is_counted_by_name(convert: Callable[[str], str], context: JobContext) -> None:
    html = '<div style="position: absolute; position: fixed; color: red; }{" onclick="x" contenteditable>a</div>'
    assert convert(f"{html}\n\n<script>x</script>\n\n<video>b</video> <video>c</video>").startswith(
        '<div style="color: red">a</div>'
    )
    assert warned(context, "position: (2x)", "<video> (2x)", "<script>", "contenteditable=", "malformed CSS")
    assert not warned(context, "onclick")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("H~2~O, C~6~H~12~O~6~", "<p>H<sub>2</sub>O, C<sub>6</sub>H<sub>12</sub>O<sub>6</sub></p>"),
        ("10^6^ m^2^/s, 1^st^", "<p>10<sup>6</sup> m<sup>2</sup>/s, 1<sup>st</sup></p>"),
        ("x^2+y^2, 2^10, a ^b^", "<p>x^2+y^2, 2^10, a ^b^</p>"),
        ("~one~ and ~~two~~", "<p><s>one</s> and <s>two</s></p>"),
        ("==a **b**== a==b, c==d", "<p><mark>a <strong>b</strong></mark> a==b, c==d</p>"),
        (":smile: `:smile:` :nosuch: 10:30:45", "<p>\U0001f604 <code>:smile:</code> :nosuch: 10:30:45</p>"),
        (
            ":+1::tada: (:cat:) 1:100:5 key:100:x a::x::b",
            "<p>\U0001f44d\ufe0f\U0001f389 (\U0001f431) 1:100:5 key:100:x a::x::b</p>",
        ),
        ("Term\n: definition", "<dl>\n<dt>Term</dt>\n<dd>definition</dd>\n</dl>"),
        ('a  \nb\\\nc "quoted" -- it\'s', "<p>a<br />\nb<br />\nc &quot;quoted&quot; -- it's</p>"),
        ("https://example.org/a_b_c", '<p><a href="https://example.org/a_b_c">https://example.org/a_b_c</a></p>'),
        ("`\\newpage`\n\n    \\newpage", "<p><code>\\newpage</code></p>\n<pre><code>\\newpage\n</code></pre>"),
        ("a\n\\newpage\nb", '<p>a</p>\n<div class="page-break"></div>\n<p>b</p>'),
        ("<!-- pagebreak -->\n\\pagebreak", '<div class="page-break"></div>\n<div class="page-break"></div>'),
    ],
)
def test_marks_beyond_github_are_understood(
    convert: Callable[[str], str], context: JobContext, markdown: str, html: str
) -> None:
    assert convert(markdown) == html
    assert context.warnings == []


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("$E = mc^2$", '<span class="math inline">[E = mc^2]</span>'),
        (r"a \(x\) b", 'a <span class="math inline">[x]</span> b'),
        (r"\(\alpha\)", r'<span class="math inline">[\alpha]</span>'),
        (r"so $$y=1$$ it", 'so <div class="math block">[y=1]</div> it'),
        (r"\[a = b\]", '<div class="math block">[a = b]</div>'),
        ("$`x^2`$", '<span class="math inline">[x^2]</span>'),
        (r"$x < y$", '<span class="math inline">[x &lt; y]</span>'),
    ],
)
def test_formulas_are_typeset(convert: Callable[[str], str], context: JobContext, markdown: str, html: str) -> None:
    assert convert(markdown) == f"<p>{html}</p>"
    assert context.warnings == []


@pytest.mark.parametrize("block", ["$$\n\\frac{1}{2}\n$$", "```math\n\\frac{1}{2}\n```", "$$\\frac{1}{2}$$"])
def test_formulas_stand_on_lines_of_their_own(convert: Callable[[str], str], block: str) -> None:
    assert "".join(convert(block).split("\n")) in {
        r'<div class="math block">[\frac{1}{2}]</div>',
        r'<p><div class="math block">[\frac{1}{2}]</div></p>',
    }


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        "costs $5, or 10$ more",
        "US$3 to US$4",
        "$HOME/bin:$PATH",
        "the $foo and bar$ names",
        "between $1,000 and $2,000.",
        r"\$5 and \$6",
        "5$ 6$",
        r"\(note\) and \[x\] and \[TODO\]",
        "$ a $",
        "`$x$`",
    ],
)
def test_prices_and_names_are_no_formulas(convert: Callable[[str], str], text: str) -> None:
    assert "math" not in convert(text)


def test_a_formula_that_is_not_understood_stays_in_the_text(convert: Callable[[str], str], context: JobContext) -> None:
    assert convert(r"$\nosuch{x}$ $\frac{1$") == (
        r'<p><span class="math inline"><code>\nosuch{x}</code></span> '
        r'<span class="math inline"><code>\frac{1</code></span></p>'
    )
    assert warned(context, "could not be typeset", "2", r"\\nosuch{x}")


def test_diagrams_are_code_with_a_warning(convert: Callable[[str], str], context: JobContext) -> None:
    assert "graph TD; A--&gt;B" in convert("```mermaid\ngraph TD; A-->B\n```\n\n```mermaid\nx\n```\n\n```c\nx\n```")
    assert warned(context, "shown as their code", "mermaid (2x)")


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (r"| `a \| b` | c |", ["<code>a | b</code>", "c"]),
        (r"| a \| b | c |", ["a | b", "c"]),
        ("| `x||y` | two |", ["<code>x||y</code>", "two"]),
        ("| ``a`|b`` | c |", ["<code>a`|b</code>", "c"]),
        ("| a ` b | c |", ["a ` b", "c"]),
        ("a|b", ["a", "b"]),
        ("| a |", ["a", ""]),
    ],
)
def test_pipes_in_code_belong_to_the_cell(
    convert: Callable[[str], str], context: JobContext, row: str, cells: list[str]
) -> None:
    html = convert(f"| A | B |\n|---|---|\n{row}")
    assert re.findall(r"<td>(.*?)</td>", html) == cells
    assert context.warnings == []


def test_cells_beyond_the_header_are_counted(convert: Callable[[str], str], context: JobContext) -> None:
    convert("| A | B |\n|---|---|\n| 1 | 2 | 3 | 4 |\n| 1 | 2 |  |")
    assert warned(context, "Cells of tables", "2", "\\|")


@pytest.mark.parametrize(
    "settings",
    ["title: a", "title: a\nx: |\n  b\n\n  c\ntags:\n- d\n# e", "# a\nb:", "'a b': \"c: d\"\r", "größe: 1\n中: 2", ""],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_front_matter_is_left_out(convert: Callable[[str], str], settings: str, mark: str) -> None:
    for end in ("---", "..."):
        assert convert(f"{mark}---\n{settings}{settings and chr(10)}{end}\n# A") == '<h1 id="a">A</h1>'


@pytest.mark.parametrize(
    "text",
    ["\nwords\n", "\nkey: words\n", "words", "key: words\nand more", "# words", "- words", "> words: x", "a:\n\nwords"],
)
def test_text_between_two_rules_is_no_front_matter(convert: Callable[[str], str], text: str) -> None:
    assert "words" in convert(f"---\n{text}\n---\n\nend")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ('<div class="pagebreak"/>\n\nx', '<div class="pagebreak"></div>\n<p>x</p>'),
        ('<a name="x"/>y<br/>z', '<p><a name="x"></a>y<br>z</p>'),
        ("<video/>x", "<p>x</p>"),
    ],
)
def test_elements_that_close_themselves_are_empty(convert: Callable[[str], str], markdown: str, html: str) -> None:
    assert convert(markdown) == html


def test_pages_break_where_the_text_says(run: Run, context: JobContext) -> None:
    breaks = [
        '<div style="page-break-after: always;"></div>',
        '<div class="pagebreak"></div>',
        "\\newpage",
        "<!-- newpage -->",
        '<div style="break-before: page">x</div>',
    ]
    pdf, _ = run(markdown="\n\n".join(f"# {number}\n\n{text}" for number, text in enumerate([*breaks, "end"])))
    assert pdf.pages == len(breaks) + 1
    assert context.warnings == []


def test_css_of_the_caller_reaches_classes_in_markdown(run: Run) -> None:
    markdown = '<div class="box">x</div>\n\n$x^2$'
    assert run(markdown=markdown, css=".box { background: #f0f }")[1].has((255, 0, 255))


def test_formulas_have_the_colour_of_their_text(run: Run, context: JobContext) -> None:
    assert run(markdown="$\\rule{1em}{1em}$ $\\blacksquare$", css="body { color: #f00; font-size: 60pt }")[1].has(
        (255, 0, 0)
    )
    assert context.warnings == []


@pytest.mark.parametrize("piece", ["$", "$a", "\\(", "\\[", "==a ", "a~b", "a^b", "| `a ", "`|", "\\newpage ", "$$\n"])
def test_repeated_beginnings_take_linear_time(tmp_path: Path, piece: str) -> None:
    context = testing.context(tmp_path)
    to_html("a", context)

    def seconds(count: int) -> float:
        began = time.process_time()
        to_html("| a |\n|---|\n" + piece * count, context)
        return time.process_time() - began

    assert seconds(8_000) < 12 * max(seconds(2_000), 0.1)
