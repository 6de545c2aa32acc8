"""Encryption of a PDF in words."""

from __future__ import annotations

from typing import Any

import pikepdf
from pikepdf import Dictionary, Name

_METHODS = {"/AESV2": "aes, 128 bits", "/AESV3": "aes, 256 bits", "/None": "other"}
_WITH_FILTERS = 4
_NOT = "not encrypted"


def method(pdf: pikepdf.Pdf) -> str | None:
    """Algorithm and length of the key, apart for strings and files that are treated otherwise; None without any."""
    if not pdf.is_encrypted:
        return None
    found: Any = pdf.trailer.get("/Encrypt")
    version = found.get("/V", 0) if isinstance(found, Dictionary) else 0
    rc4 = f"rc4, {pdf.encryption.bits} bits"
    if not isinstance(version, int) or version < _WITH_FILTERS:
        return rc4
    streams = _filter(found, "/StmF", rc4)
    parts = {
        "streams": streams,
        "strings": _filter(found, "/StrF", rc4),
        "embedded files": _filter(found, "/EFF", rc4) if "/EFF" in found else streams,
    }
    text = streams if len(set(parts.values())) == 1 else "; ".join(f"{what}: {how}" for what, how in parts.items())
    return f"{text}; metadata: {_NOT}" if found.get("/EncryptMetadata") is False and streams != _NOT else text


def _filter(found: Any, key: str, rc4: str) -> str:
    name, filters = found.get(key, Name.Identity), found.get("/CF")
    if not isinstance(name, Name) or name == Name.Identity:
        return _NOT
    one = filters.get(str(name)) if isinstance(filters, Dictionary) else None
    how = str(one.get("/CFM")) if isinstance(one, Dictionary) else "/None"
    return rc4 if how == "/V2" else _METHODS.get(how, "other")
