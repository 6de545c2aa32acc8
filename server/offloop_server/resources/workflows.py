"""Common workflows: the tool of each, its arguments, and the checks that follow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from offloop.errors import BadInput
from offloop.jobs.hashing import Algorithm
from offloop.jobs.images import WebFormat
from offloop.jobs.pdf import PAPERS, Theme, Variant

_WIDTH: Final = re.compile(r"[0-9]{1,6}")

INVOICE: Final = """\
<h1>Invoice {{ number }}</h1>
<p>{{ date }}</p>
<p><strong>From</strong> {{ seller }}<br><strong>To</strong> {{ buyer }}</p>
{% set sum = namespace(total=0) %}
<table>
<thead><tr><th>Item</th><th>Quantity</th><th>Price</th><th>Amount</th></tr></thead>
<tbody>
{% for item in items %}
{% set sum.total = sum.total + item.quantity * item.price %}
<tr><td>{{ item.text }}</td><td>{{ item.quantity }}</td><td>{{ "%.2f" | format(item.price) }}</td>
<td>{{ "%.2f" | format(item.quantity * item.price) }}</td></tr>
{% endfor %}
</tbody>
<tfoot><tr><td colspan="3">Total {{ currency }}</td><td>{{ "%.2f" | format(sum.total) }}</td></tr></tfoot>
</table>
"""
"""The default template; takes number, date, seller, buyer, currency, and items of text, quantity, price."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a workflow; a string, since prompts have only those.

    Attributes:
        name: the name.
        description: its meaning, for people.
        required: whether the workflow needs it.
        choices: its values, if they can be enumerated.
    """

    name: str
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workflow:
    """A task for a model.

    Attributes:
        name: the name of the prompt.
        title: the title, for people.
        description: its result, for people.
        tool: the kind that does the work.
        arguments: the arguments of the prompt.
        call: maps these to the arguments of the tool.
        after: the steps that follow the answer.
    """

    name: str
    title: str
    description: str
    tool: str
    arguments: tuple[Argument, ...]
    call: Callable[[Mapping[str, str]], dict[str, Any]]
    after: tuple[str, ...]


def _report(given: Mapping[str, str]) -> dict[str, Any]:
    call = {
        "markdown": given["markdown"],
        "theme": given.get("theme", "report"),
        "page_size": given.get("page_size", "A4"),
        "footer": {"left": "{title}", "right": "{page} / {pages}"},
        "name": "report.pdf",
    }
    return call | ({"title": given["title"]} if "title" in given else {})


def _invoice(given: Mapping[str, str]) -> dict[str, Any]:
    try:
        data = json.loads(given["data"])
    except (ValueError, RecursionError) as error:
        message = f"data is not JSON ({error}): send one object with the template's values."
        raise BadInput(message) from None
    call = {"template": given.get("template", INVOICE), "data": data, "theme": "invoice", "name": "invoice.pdf"}
    return call | ({"pdf_variant": given["pdf_variant"]} if "pdf_variant" in given else {})


def _photos(given: Mapping[str, str]) -> dict[str, Any]:
    widths = [part.strip() for part in given.get("widths", "480,960,1600").split(",") if part.strip()]
    formats = [part.strip() for part in given.get("formats", "webp,jpeg").split(",") if part.strip()]
    if not all(_WIDTH.fullmatch(width) for width in widths):
        message = "widths are pixels by comma, such as 480,960,1600."
        raise BadInput(message)
    return {
        "image": given["image"],
        "widths": [int(width) for width in widths],
        "formats": formats,
        "alt": given.get("alt", ""),
    }


def _download(given: Mapping[str, str]) -> dict[str, Any]:
    algorithm = given.get("algorithm", "sha256")
    return {"file": given["file"], "algorithms": [algorithm], "expected": f"{algorithm}:{given['expected']}"}


_FILE: Final = "artifact:<id>, root:<name>/<path>, or https://… where the server fetches; create_upload takes others."

WORKFLOWS: Final = (
    Workflow(
        "report_from_markdown",
        "Report from Markdown",
        "Turn Markdown into a report as PDF, with page numbers, and check how it looks.",
        "render_pdf",
        (
            Argument("markdown", "The text of the report, as Markdown.", required=True),
            Argument("title", "Shown at the foot of each page and in the PDF's properties."),
            Argument("theme", "Its looks; default report.", choices=get_args(Theme)),
            Argument("page_size", "Its paper; default A4.", choices=PAPERS),
        ),
        _report,
        (
            (
                "Read the answer's warnings: each names something that was left out or replaced. Mend the Markdown "
                "where that matters, and render again."
            ),
            "Look at the first page: read_artifact with the artifact_id and page=1.",
            "Give the user the download_url and the number of pages.",
        ),
    ),
    Workflow(
        "invoice_from_template",
        "Invoice from template and data",
        "Fill a template with data and make an invoice as PDF, on request as PDF/A for the archive.",
        "render_pdf",
        (
            Argument(
                "data",
                "A JSON object with the template's values; for the built-in one number, date, seller, buyer, currency, "
                "and items, each with text, quantity and price.",
                required=True,
            ),
            Argument("template", "A Jinja template of HTML; left out, a plain invoice."),
            Argument("pdf_variant", "A standard to follow, such as pdf/a-3b.", choices=get_args(Variant)),
        ),
        _invoice,
        (
            (
                "Look at it: read_artifact with the artifact_id and page=1. Check every name, each amount and the "
                "total against the data."
            ),
            "Give the user the download_url, and say which standard it follows if one was asked for.",
        ),
    ),
    Workflow(
        "photo_set_for_web",
        "Photo set for the web",
        "Make all sizes and formats of a photo that a web page needs, and the HTML that uses them.",
        "responsive_images",
        (
            Argument("image", f"The photo: {_FILE}", required=True),
            Argument("widths", "Pixels by comma; default 480,960,1600."),
            Argument("formats", "By comma, the fallback last; default webp,jpeg.", choices=get_args(WebFormat)),
            Argument("alt", "What the photo shows, for those who cannot see it."),
        ),
        _photos,
        (
            (
                "Give the user the html of the output, and the download_url of each file beside its name: the html "
                "names the files as they are called."
            ),
            "Say how large the largest and the smallest file is.",
        ),
    ),
    Workflow(
        "verify_download",
        "Verify a download",
        "Check a file against the digest that its maker published.",
        "hash_file",
        (
            Argument("file", f"The file: {_FILE}", required=True),
            Argument("expected", "The digest its maker published, in hexadecimal.", required=True),
            Argument("algorithm", "Which digest that is; default sha256.", choices=get_args(Algorithm)),
        ),
        _download,
        (
            (
                "The output's matches says whether the file is the one its maker published. Where it is false, tell "
                "the user not to use the file, and show both digests."
            ),
            "Where not_for_security is true, say that this digest finds damage, but not a forgery.",
        ),
    ),
)
