"""Hashing: digests of files and folders, checks against manifests, equal files."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from offloop.jobs.files import Links, Selection, Trouble
from offloop.kinds import spelling
from offloop.kinds.kind import Model, declare
from offloop.kinds.references import FileReference

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

NOT_FOR_SECURITY: Final = frozenset({"md5", "sha1", "xxh3_64", "xxh3_128", "crc32"})
"""Algorithms that detect accidents only: a second file with the same digest can be made on purpose."""

WITHOUT_HMAC: Final = frozenset({"blake3", "xxh3_64", "xxh3_128", "crc32"})
"""Algorithms for which HMAC is not defined, or not secure."""

DIGITS: Final[dict[str, int]] = {
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "sha3_256": 64,
    "sha3_512": 128,
    "blake2b": 128,
    "blake2s": 64,
    "blake3": 64,
    "xxh3_64": 16,
    "xxh3_128": 32,
    "crc32": 8,
}
"""Hexadecimal digits of each digest."""

HASHDEEP: Final = ("md5", "sha1", "sha256")
"""Algorithms of the program hashdeep."""

MAX_GIB: Final = 256
"""GiB that one job reads at most: about the throughput of a fast disk in a kind's ``seconds``."""

_HEX: Final = frozenset("0123456789abcdefABCDEF")


_LABELLED: Final = re.compile(r"(?P<name>[^:=]+?)\s*[:=]\s*(?P<digits>[^:=]*)")
_INTEGRITY: Final = re.compile(r"(?P<name>sha(?:256|384|512))-(?P<base64>[A-Za-z0-9+/]+={0,2})")


def _split_expected(text: str) -> tuple[str, str]:
    """Algorithm, or "", and digits: of a digest, ``<algorithm>:<digest>``, ``sha256=…``, ``sha256-<base64>`` of SRI."""
    text = text.strip()
    if found := _INTEGRITY.fullmatch(text):
        with contextlib.suppress(binascii.Error):
            return found["name"], base64.b64decode(found["base64"]).hex()
    if found := _LABELLED.fullmatch(text):
        return spelling.match(found["name"], DIGITS) or found["name"].lower(), found["digits"].strip().lower()
    return "", text.lower()


class FileToHash(Model):
    """Arguments of `hash_file`."""

    file: FileReference = Field(description="The file: artifact:<id>, data:… or root:<name>/<path>.")
    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=14)] = Field(
        ["sha256"],
        description="Digests to compute in one read. md5, sha1, xxh3 and crc32 find accidents, not attackers.",
    )
    expected: Annotated[str, Field(max_length=200)] | None = Field(
        None,
        description="A digest in hexadecimal to compare with, or <algorithm>:<digest>; the answer is in 'matches'.",
    )
    hmac_key: FileReference | None = Field(
        None,
        description="Makes each digest an HMAC with the bytes of this file as key. A data: key is kept with the job "
        "for as long as its result; a key under root:<name>/<path> stays on the server.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.hmac_key is not None and (without := WITHOUT_HMAC & {*self.algorithms}):
            message = f"there is no HMAC with {', '.join(sorted(without))}: use sha256, or leave hmac_key out"
            raise ValueError(message)
        if self.expected is not None:
            self._check_expected(*_split_expected(self.expected))
        return self

    def _check_expected(self, name: str, digits: str) -> None:
        if name and name not in self.algorithms:
            known = "name one of algorithms" if name in DIGITS else f"there are {', '.join(get_args(Algorithm))}"
            message = f"expected names the algorithm {name[:40]!r}, which is not among those asked for: {known}"
            raise ValueError(message)
        lengths = {one: DIGITS[one] for one in ([name] if name else self.algorithms)}
        if not digits or not _HEX.issuperset(digits) or len(digits) not in lengths.values():
            wanted = ", ".join(f"{one} has {length}" for one, length in lengths.items())
            message = (
                f"expected has {len(digits)} characters and is no digest of the algorithms asked for ({wanted} "
                "hexadecimal digits): send the digest alone, or <algorithm>:<digest>, and ask for its algorithm"
            )
            raise ValueError(message)

    @property
    def comparable(self) -> tuple[list[Algorithm], str]:
        """Algorithms that `expected` may be a digest of, and its digits in lower case."""
        name, digits = _split_expected(self.expected or "")
        return [one for one in self.algorithms if name in {"", one} and DIGITS[one] == len(digits)], digits


class Digests(Model):
    """The digests, in lower-case hexadecimal, by algorithm."""

    digests: dict[str, str] = Field(description="Lower-case hexadecimal digest by algorithm.")
    size: int = Field(description="Size of the file in bytes.")
    matches: bool | None = Field(None, description="Whether the file has the expected digest; null if none was sent.")
    not_for_security: list[str] = Field([], description="Those of the algorithms that attackers can fool.")


Format = Literal["gnu", "bsd", "json", "hashdeep"]


class Files(Selection):
    """A selection of files, and the treatment of symbolic links among them."""

    links: Links = Field(
        "skip",
        description="Symbolic links are never followed. skip: left out, counted; record: where a link points is part "
        "of the digest; error: a link fails the job.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.folder is None) == (not self.files):
            message = "send either folder (root:<name>/<path>) or files ({name: reference}), and not both"
            raise ValueError(message)
        return self


class TreeToHash(Files):
    """Arguments of `hash_tree`: files, algorithm and format of the manifest."""

    algorithm: Algorithm = Field("sha256", description="md5, sha1, xxh3 and crc32 find accidents, not attackers.")
    manifest: Format = Field(
        "gnu",
        description="gnu: for sha256sum -c; bsd: lines that name the algorithm; json: sizes and links too; hashdeep: "
        "for hashdeep -a, with md5, sha1 or sha256.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.manifest == "hashdeep" and self.algorithm not in HASHDEEP:
            message = f"hashdeep does not know {self.algorithm}: use {', '.join(HASHDEEP)}, or another manifest"
            raise ValueError(message)
        return self


class TreeDigest(Model):
    """Output of `hash_tree`: one digest for all files; the manifest is an artifact."""

    algorithm: str
    tree_digest: str | None = Field(
        description="Digest of the sorted paths and digests; null if a file could not be hashed. See docs/jobs.md."
    )
    files: int = Field(description="Files in the manifest.")
    bytes: int = Field(description="Their bytes.")
    links: int = Field(description="Symbolic links that were recorded.")
    skipped: dict[str, int] = Field(description="What was left out, by sort: links, pipes, devices, sockets, hidden.")
    troubles: list[Trouble] = Field(description="Files that could not be hashed, the first 50.")
    troubles_total: int
    not_for_security: bool = Field(description="Whether attackers can fool this algorithm.")


class ToVerify(Files):
    """Arguments of `verify_manifest`: the manifest, and the files to compare it with."""

    manifest: FileReference = Field(
        description="The manifest: lines of sha256sum or md5sum, BSD lines (SHA256 (name) = …), JSON of hash_tree, or "
        "what hashdeep writes."
    )
    algorithm: Algorithm | None = Field(
        None, description="For lines that do not name theirs; without it, the length of the digest decides."
    )


class Moved(Model):
    """The listed path of a file, and the path at which it was found."""

    listed: str
    found: str


class Verdict(Model):
    """Each list has its first 50 entries; the report, an artifact, has all."""

    verified: bool = Field(description="Every listed file is there with the listed digest; all lines were understood.")
    exact: bool = Field(description="Verified, and nothing is there that is not listed.")
    counts: dict[str, int] = Field(
        description="ok, mismatch, missing, moved, extra, unreadable, refused (paths that leave the folder), malformed."
    )
    mismatch: list[str]
    missing: list[str]
    moved: list[Moved] = Field(description="Missing from that path, while an unlisted file has the digest.")
    extra: list[str]
    unreadable: list[str]
    refused: list[str]
    malformed: list[str] = Field(description="Lines that are no entry, with the reason.")
    algorithms: list[str] = Field(description="Those the manifest uses.")


class DuplicatesToFind(Files):
    """Arguments of `find_duplicates`."""

    min_size: Annotated[int, Field(ge=0)] = Field(1, description="Smaller files, in bytes, are not looked at.")


class Duplicates(Model):
    """Files with the same content."""

    size: int = Field(description="Bytes of each.")
    count: int = Field(description="How many copies; hard links to one file are one copy.")
    wasted: int = Field(description="Bytes that all but one take.")
    blake3: str
    paths: list[str] = Field(description="The first 20.")


class DuplicatesFound(Model):
    """The groups that waste most, at most 50; the report, an artifact, has all."""

    groups: list[Duplicates]
    groups_total: int
    wasted: int = Field(description="Bytes, over all groups.")
    files: int = Field(description="Files looked at.")
    bytes_read: int = Field(description="Bytes that had to be read to tell.")
    hard_links: int = Field(description="Further names of files that were already counted; they waste nothing.")
    troubles: list[Trouble] = Field(description="Files that could not be read, the first 50.")
    troubles_total: int


hash_file = declare(
    "hash_file",
    FileToHash,
    Digests,
    description="""
        Compute any number of digests of one file in a single read (sha256 by default; also md5, sha1, sha2, sha3,
        blake2, blake3, xxh3, crc32, or HMACs), and compare with an expected one. Use it to verify a download.
        For folders use hash_tree.
    """,
    seconds=1800,
    memory_mb=256,
    family="hashing",
    queue="hash",
    isolation="reuse",
    pure=True,
    retries=2,
)

hash_tree = declare(
    "hash_tree",
    TreeToHash,
    TreeDigest,
    description="""
        Hash a folder (or several files): one digest for the whole tree, and a manifest of each file's digest (GNU,
        BSD, JSON or hashdeep) as an artifact. Use it to tell whether a folder has changed. Uses all cores.
    """,
    seconds=3600,
    memory_mb=1024,
    family="hashing",
    queue="hash",
    isolation="reuse",
    pure=True,
    retries=2,
)

verify_manifest = declare(
    "verify_manifest",
    ToVerify,
    Verdict,
    description="""
        Check a folder (or several files) against a manifest such as SHA256SUMS: which files are unchanged, changed,
        missing, moved or not listed. Paths in the manifest never lead out of the folder.
    """,
    seconds=3600,
    memory_mb=1024,
    family="hashing",
    queue="hash",
    isolation="reuse",
    pure=True,
    retries=2,
)

find_duplicates = declare(
    "find_duplicates",
    DuplicatesToFind,
    DuplicatesFound,
    description="""
        Find files of equal content in a folder (or among several files), and how many bytes the copies waste.
        Compares sizes first and reads only what it must. Nothing is deleted.
    """,
    seconds=3600,
    memory_mb=1024,
    family="hashing",
    queue="hash",
    isolation="reuse",
    pure=True,
    retries=2,
)
