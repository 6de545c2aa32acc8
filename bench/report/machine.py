"""Description of the machine of a run."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.venvs import HERE
from offloop.processes.embedded_redis import find_binary


def machine() -> dict[str, Any]:
    """Hardware and software of this run."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next((int(line.split()[1]) >> 10 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    server = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=False)  # noqa: S603 -- the product's own server
    pins = [line.strip() for file in sorted((HERE / "requirements").glob("*.txt")) for line in _lines(str(file))]
    ours = [f"{name}=={metadata.version(name)}" for name in ("arq", "redis", "hiredis", "mcp", "uvicorn", "weasyprint")]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_mib": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "server": server.stdout.strip(),
        "packages": sorted({*ours, *pins}),
        "load_at_start": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
