"""Documents to render; no two are equal, so no stack can answer from a cache."""

from __future__ import annotations

import itertools

_numbers = itertools.count(1)

_STYLE = """
@page { size: A4; margin: 18mm }
body { font: 10pt/1.4 'DejaVu Sans', sans-serif; color: #222 }
h1 { font-size: 20pt; margin: 0 0 6mm; color: #17507a }
table { width: 100%; border-collapse: collapse }
th { text-align: left; background: #e8eef3 }
td, th { padding: 1.2mm 2mm; border-bottom: 0.2mm solid #c5ced6 }
td.n { text-align: right }
.total { margin-top: 5mm; text-align: right; font-weight: bold }
"""


def invoice() -> str:
    """One page: an address, a table of 20 lines and a total."""
    number = next(_numbers)
    lines = "".join(
        f"<tr><td>{line}</td><td>Service {line} of order {number}</td><td class=n>{line % 7 + 1}</td>"
        f"<td class=n>{line * 3.5:.2f}</td><td class=n>{line * 3.5 * (line % 7 + 1):.2f}</td></tr>"
        for line in range(1, 21)
    )
    return (
        f"<html><head><style>{_STYLE}</style><title>Invoice {number}</title></head><body><h1>Invoice {number}</h1>"
        "<p>Example Ltd.<br>1 Sample Street<br>12345 Town</p><table><tr><th>#</th><th>Item</th><th>Qty</th>"
        f"<th>Price</th><th>Sum</th></tr>{lines}</table><p class=total>Total: {number * 17 % 9973}.00</p></body></html>"
    )


def ten_pages() -> str:
    """Ten pages: a heading, two paragraphs and a table each."""
    number = next(_numbers)
    words = "The quick brown fox jumps over the lazy dog while the report goes on and on. "
    pages = []
    for page in range(10):
        rows = "".join(
            f"<tr><td>{row}</td><td>Row {row} of page {page}</td><td class=n>{row * page * 1.25:.2f}</td></tr>"
            for row in range(15)
        )
        pages.append(
            f"<section style='break-after: {'auto' if page == 9 else 'page'}'><h1>Report {number}, part {page + 1}</h1>"  # noqa: PLR2004 -- the last of ten
            f"<p>{words * 6}</p><table><tr><th>#</th><th>What</th><th>Value</th></tr>{rows}</table><p>{words * 4}</p>"
            "</section>"
        )
    return (
        f"<html><head><style>{_STYLE}</style><title>Report {number}</title></head><body>{''.join(pages)}</body></html>"
    )


def table() -> str:
    """About a hundred pages, as the machine's fonts have it: one table of 3,100 rows in five columns."""
    number = next(_numbers)
    rows = "".join(
        f"<tr><td>{row}</td><td>Row {row} of table {number}</td><td>Group {row % 17}</td><td class=n>{row % 7 + 1}</td>"
        f"<td class=n>{row * 1.25:.2f}</td></tr>"
        for row in range(3_100)
    )
    return (
        f"<html><head><style>{_STYLE}</style><title>Table {number}</title></head><body><table><thead><tr><th>#</th>"
        f"<th>What</th><th>Group</th><th>Count</th><th>Value</th></tr></thead><tbody>{rows}</tbody></table></body></html>"
    )
