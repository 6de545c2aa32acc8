"""Hashing: many digests of one file in a single read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from offloop.job import Model, declare
from offloop.references import FileReference

Algorithm = Literal[
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sha3_256",
    "sha3_512",
    "blake2b",
    "blake2s",
    "blake3",
    "xxh3_64",
    "xxh3_128",
    "crc32",
]

NOT_FOR_SECURITY = frozenset({"md5", "sha1", "xxh3_64", "xxh3_128", "crc32"})


class FileToHash(Model):
    """Which file, and which digests of it."""

    file: FileReference = Field(description="The file: artifact:<id>, data:… or root:<name>/<path>.")
    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=14)] = Field(
        ["sha256"],
        description="Digests to compute in one read. md5, sha1, xxh3 and crc32 find accidents, not attackers.",
    )


class Digests(Model):
    """The digests, in lower-case hexadecimal, by algorithm."""

    digests: dict[str, str] = Field(description="Lower-case hexadecimal digest by algorithm.")
    size: int = Field(description="Size of the file in bytes.")


hash_file = declare(
    "hash_file",
    FileToHash,
    Digests,
    description="""
        Compute any number of digests of one file in a single read (sha256 by default; also md5, sha1, sha2, sha3,
        blake2, blake3, xxh3 and crc32). Use it to verify a download or to compare files.
    """,
    seconds=600,
    memory_mb=256,
    queue="hash",
    isolation="reuse",
    pure=True,
    retries=2,
)
