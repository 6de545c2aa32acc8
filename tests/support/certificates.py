"""Certificates that vouch for themselves."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address
from pathlib import Path


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a host name or an address, and its key."""
    path, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(path), "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName={_kind(name)}:{name}"]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    return path, key


def _kind(name: str) -> str:
    try:
        ip_address(name)
    except ValueError:
        return "DNS"
    return "IP"
