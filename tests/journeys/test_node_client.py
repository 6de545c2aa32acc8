"""Official TypeScript client of the legacy era.

It needs Node and, for its first use on a machine, the npm registry; without them the tests are skipped with a reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pypdfium2
import pytest

from support.files.documents import documents
from support.programs import needs
from support.stack.client import PLAIN
from support.stack.stack import Stack

CLIENTS = Path(__file__).parents[1] / "clients"


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client script, with the locked packages installed into a temporary folder."""
    needs("nodejs npm", "node", "npm")
    folder = tmp_path_factory.mktemp("clients")
    for name in ("package.json", "package-lock.json", ".npmrc", "legacy.mjs"):
        shutil.copy(CLIENTS / name, folder)
    install = [str(shutil.which("npm")), "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=45, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("needs-npm-registry: npm ci did not end within 45 s; it needs the registry or a filled cache")
    if done.returncode:
        pytest.skip(f"needs-npm-registry: npm ci failed: {done.stderr.strip()[-300:]}")
    return folder / "legacy.mjs"


def calls(script: Path, stack: Stack, tool: str, arguments: list[dict[str, Any]]) -> dict[str, Any]:
    """The client's results, with one call for each of the arguments."""
    command = [str(shutil.which("node")), str(script), stack.front_ends[0].endpoint, str(stack.new_key()), tool]
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_renders_three_documents_of_other_people(node_client: Path, stack: Stack) -> None:
    """The client validates every structured answer against the tool's output schema."""
    papers = documents()
    got = calls(node_client, stack, "render_pdf", [{paper.format: paper.text} for paper in papers])
    assert got["protocol"] == "2025-11-25"
    assert "render_pdf" in got["tools"]
    for paper, answer in zip(papers, got["answers"], strict=True):
        job = answer["result"]["structuredContent"]
        assert job["state"] == "completed", answer
        assert job["output"]["pages"] >= paper.least_pages
        pdf = httpx2.get(job["artifacts"][0]["download_url"], trust_env=False, verify=PLAIN).content
        document = pypdfium2.PdfDocument(pdf)
        assert len(document) == job["output"]["pages"]
        document.close()


def test_it_receives_progress_handles_and_errors(node_client: Path, stack: Stack) -> None:
    got = calls(node_client, stack, "nap", [{"seconds": 1.2}, {"seconds": 1, "wait_seconds": 0}, {"seconds": "long"}])
    whole, handle, bad = (answer["result"] for answer in got["answers"])
    updates = got["answers"][0]["progress"]
    assert len(updates) >= 2
    assert updates == sorted(set(updates))
    assert whole["structuredContent"]["output"]["steps"] == 4
    assert handle["structuredContent"]["state"] in ("queued", "running")
    assert not handle.get("isError")
    assert bad["isError"]
    assert "seconds" in bad["content"][0]["text"]
