"""The program that converts pages: what it may not do, whatever a page makes of its parser."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

_PROBE: Final = """
import json, os, socket
from offloop_server.io.http.convert import confine
from offloop_server.io.http.readable.document import readable

confine()
refused = []
for name, attempt in (
    ("open", lambda: os.open("/etc/passwd", os.O_RDONLY)), ("socket", socket.socket), ("pipe", os.pipe)
):
    try:
        attempt()
    except OSError:
        refused.append(name)
sources = (
    ("html", "<base href='//['><ruby>a<rt>b</ruby><math><mi>x</mi></math><a href='//[x'>c</a><img srcset='a 1x'>"),
    ("xml", "<html xmlns='http://www.w3.org/1999/xhtml'><p>a&nbsp;b<br></html>"),
    ("xml", "<feed xmlns='http://www.w3.org/2005/Atom'><title>d</title><entry><title>e</title></entry></feed>"),
)
texts = [readable(source, to, kind, "http://h/").text for kind, source in sources for to in ("markdown", "text")]
print(json.dumps([refused, texts]))
"""


def test_the_converter_opens_nothing_and_still_reads_pages() -> None:
    program = [sys.executable, "-c", _PROBE]
    refused, texts = json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    assert refused == ["open", "socket", "pipe"]
    assert all(texts)
