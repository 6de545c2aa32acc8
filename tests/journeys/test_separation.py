"""Front ends load no heavy library: they queue heavy work and run none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.stack.stack import Stack

HEAVY = ("weasyprint", "PIL", "pydyf", "fontTools", "blake3", "xxhash", "markdown_it", "offloop_workers")


def test_importing_the_front_end_loads_no_heavy_library() -> None:
    code = "import json, sys, offloop_server.app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=100, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & set(HEAVY)


def maps(pid: int) -> str:
    """Files mapped by a process, including shared libraries."""
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.anyio
async def test_a_front_end_that_has_served_heavy_jobs_has_mapped_no_heavy_library(stack: Stack) -> None:
    """Checked from outside, after it has answered calls for PDFs, images and hashes."""
    async with stack.client() as caller:
        for tool, arguments in (
            ("render_pdf", {"html": "<p>x"}),
            ("transform_image", {"image": "data:image/png;base64,AAAA"}),
            ("hash_file", {"file": "data:,x", "algorithms": ["blake3"]}),
        ):
            assert (await caller.call_with(tool, arguments)).data["finished_at"]
    for front_end in stack.front_ends:
        mapped = maps(front_end.pid)
        for library in ("libpango", "/PIL/", "/pillow", "_imaging", "blake3", "xxhash"):
            assert library not in mapped
