"""Names of algorithms as programs spell them, and digests as programs print them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from offloop.jobs.hashing import DIGITS
from offloop_workers.hashing import digest as digests

SHORTEST: Final = 2
LONGEST: Final = 1024
"""Hexadecimal digits of a digest."""

_BY_LENGTH: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType({
    8: ("crc32", "xxh32"),
    16: ("xxh3_64", "xxh64"),
    32: ("md5", "xxh3_128"),
    40: ("sha1", "ripemd160"),
    56: ("sha224", "sha512_224", "sha3_224"),
    64: ("sha256", "blake3", "sha3_256", "sha512_256", "sm3", "blake2s"),
    72: ("md5-sha1",),
    96: ("sha384", "sha3_384"),
    128: ("sha512", "blake2b", "sha3_512"),
})  # fmt: skip

_LABELS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"MD5", "md5"),
        (r"MD5-SHA1", "md5-sha1"),
        (r"SHA-?1", "sha1"),
        (r"SHA(?:2-|-?)(224|256|384|512)", "sha{}"),
        (r"SHA(?:2-|-?)512[/-]?(224|256)", "sha512_{}"),
        (r"SHA3-?(224|256|384|512)", "sha3_{}"),
        (r"BLAKE2(?:B(?:-512)?)?", "blake2b"),
        (r"BLAKE2B-?([0-9]{1,3})", "blake2b_{}"),
        (r"BLAKE2S(?:-256)?", "blake2s"),
        (r"BLAKE2S-?([0-9]{1,3})", "blake2s_{}"),
        (r"(?:BLAKE3|B3)(?:-256)?", "blake3"),
        (r"(?:RIPEMD|RMD)-?160", "ripemd160"),
        (r"SM3", "sm3"),
        (r"SHAKE-?(128|256)", "shake_{}"),
        (r"XXH3(?:-64)?", "xxh3_64"),
        (r"(?:XXH3-|XXH)128", "xxh3_128"),
        (r"XXH(32|64)", "xxh{}"),
        (r"CRC-?32B?", "crc32"),
        (r"CRC|CKSUM", "cksum"),
    )
)
_OTHERS: Final = re.compile(
    r"MD[24]|TIGER2?|TTH|WHIRLPOOL|ED2K|AICH|BTIH|GOST.{0,24}|HAS-?160|EDON-?R-?\d+|SNEFRU-?\d+|CRC-?(?:16|32C|64)|"
    r"MDC2|HAVAL.{0,8}|BLAKE2[SB]P|XXH32-LE|XXH64-LE|XXH128-LE|KECCAK.{0,8}|SHA0?|RIPEMD-?\d+|RMD-?\d+|MACTRIPLEDES|"
    r"SIZE|QUICKXOR|DROPBOX|HIDRIVE|MAILRU"
)
_BYTES: Final = frozenset({4, 8, 16, 20, 28, 32, 36, 48, 64})
_SEPARATED: Final = re.compile(rb"[0-9a-fA-F]{2,8}(?:[:-][0-9a-fA-F]{2,8}| {1,2}[0-9a-fA-F]{2,8}){1,255}")
_TAGGED: Final = re.compile(
    rb"(?:urn:)?([A-Za-z][A-Za-z0-9_]{1,15}?)[:=-](?:0x)?([0-9A-Za-z+/_-]{8,1024}={0,2})(?:\?.{0,200})?"
)
_BASE64: Final = re.compile(rb"[0-9A-Za-z+/_-]{6,172}={0,2}")
_BASE32: Final = re.compile(rb"[2-7A-Z]{26,103}|[2-7a-z]{26,103}")


@lru_cache(4096)
def algorithm(label: str) -> str | None:
    """The name of an algorithm here, whatever a program calls it; None for one that is not known."""
    text = label.strip().upper().replace("_", "-")
    text = text if text in {"CKSUM", "MD5"} else re.sub(r"[- ]?(?:CHECKSUM|SUMS?|DIGEST|HASH)$", "", text)
    if text in {"B2", "B3", "SHA"}:
        text = {"B2": "BLAKE2B", "B3": "BLAKE3", "SHA": "SHA1"}[text] if label.upper() != text else "NONE"
    for pattern, name in _LABELS:
        if found := pattern.fullmatch(text):
            known = name.format(*found.groups())
            return known if known.startswith("shake_") or digests.known(known) else None
    return None


@lru_cache(4096)
def foreign(label: str) -> bool:
    """Whether it names an algorithm that other programs have."""
    return _OTHERS.fullmatch(label.strip().upper().replace("_", "-")) is not None


def sized(name: str, length: int) -> str | None:
    """The algorithm of that name whose digests have so many bytes; None where there is none."""
    if name.startswith("shake_") and name.count("_") == 1:
        return f"{name}_{length * 8}" if length else None
    if name == "blake3" and length and 2 * length != DIGITS[name]:
        return f"{name}_{length * 8}"
    return name if digits(name) == 2 * length else None


@lru_cache(4096)
def of_digits(label: bytes, count: int) -> str | None:
    """The algorithm of a label whose digests have so many hexadecimal digits; None where there is none."""
    name = algorithm(label.decode("ascii"))
    return sized(name, count // 2) if name and count % 2 == 0 else None


def digits(name: str) -> int:
    """Hexadecimal digits of an algorithm's digests."""
    return DIGITS[name] if name in DIGITS else 2 * digests.size(name)


def candidates(count: int) -> tuple[str, ...]:
    """The algorithms whose digests have so many hexadecimal digits, the most usual first; programs leave it open."""
    bits, more = 4 * count, []
    if count % 2 == 0 and SHORTEST <= count <= LONGEST:
        more = [f"blake2b_{bits}", f"blake3_{bits}"] if bits <= 512 else [f"blake3_{bits}"]  # noqa: PLR2004 -- the most of BLAKE2b
    usual = tuple(name for name in _BY_LENGTH.get(count, ()) if digests.known(name))
    return usual + tuple(name for name in more if digits_of_base(name) not in usual)


def digits_of_base(name: str) -> str:
    """The plain name of a BLAKE whose length is the usual one, else the name itself."""
    return {"blake2b_512": "blake2b", "blake3_256": "blake3"}.get(name, name)


def usual(count: int) -> str | None:
    """The algorithm that a bare digest of so many digits mostly has."""
    return next(iter(_BY_LENGTH.get(count, ())), None)


def alternatives(name: str) -> tuple[str, ...]:
    """The other algorithms that a guessed one may be."""
    if name == "cksum":
        return ("crc32",)  # newer coreutils print it in decimal too
    return tuple(other for other in candidates(digits(name)) if other != name)


def decode(text: bytes) -> bytes | None:
    """A digest as it is printed: hexadecimal, plain or in groups, Base64 of either alphabet, or Base32."""
    plain = text.strip()
    if _SEPARATED.fullmatch(plain):
        plain = re.sub(rb"[: -]", b"", plain)
    if SHORTEST <= len(plain) <= LONGEST and len(plain) % 2 == 0:
        try:
            return bytes.fromhex(plain.decode("ascii"))
        except ValueError:
            pass
    if _BASE32.fullmatch(plain) and len(plain) in {26, 32}:
        return _decoded(base64.b32decode, plain.upper() + b"=" * (-len(plain) % 8))
    if _BASE64.fullmatch(plain):
        bare = plain.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        found = _decoded(base64.b64decode, bare + b"=" * (-len(bare) % 4))
        return found if found is not None and len(found) in _BYTES else None
    return None


def tagged(text: bytes) -> tuple[str, bytes] | None:
    """Algorithm and digest of ``sha256:<hexadecimal>``, ``sha256=<Base64>`` or ``sha512-<Base64>``."""
    found = _TAGGED.fullmatch(text.strip())
    if not found or (name := algorithm(found[1].decode())) is None or (raw := decode(found[2])) is None:
        return None
    named = sized(name, len(raw))
    return (named, raw) if named else None


def _decoded(decoder: object, text: bytes) -> bytes | None:
    try:
        return decoder(text)  # type: ignore[operator,no-any-return]
    except (binascii.Error, ValueError):
        return None
