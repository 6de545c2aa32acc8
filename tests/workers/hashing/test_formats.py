"""Manifests of programs that are not at hand, as their documentation shows them, for files with real digests."""

from __future__ import annotations

import base64
import codecs
import hashlib
import io
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from offloop.errors import JobError
from offloop.jobs.hashing import ToVerify, Verdict
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import manifest, verify
from offloop_workers.hashing.manifests.lines import Lines
from support.fuzzing import check_refusal

from .conftest import MakeContext

FILES = {"a.txt": b"A", "sub/b c.txt": b"BB\n", "ünï.bin": b"\0" * 300, "par (1).txt": b"("}
A = FILES["a.txt"]


def hexadecimal(name: str, algorithm: str = "sha256") -> str:
    """The digest of a file."""
    return hashlib.new(algorithm, FILES[name]).hexdigest()


def b64(name: str, algorithm: str = "sha256") -> str:
    """The same in Base64."""
    return base64.b64encode(hashlib.new(algorithm, FILES[name]).digest()).decode()


def urlsafe(name: str) -> str:
    """The same in the other alphabet, without padding."""
    return b64(name).translate({ord("+"): "-", ord("/"): "_"}).rstrip("=")


def windows(name: str) -> str:
    """The path that Windows has."""
    return "C:\\Users\\me\\Down loads\\" + name.replace("/", "\\")


def rows(line: Callable[[str], str], end: str = "\n") -> str:
    """One line for each file."""
    return "".join(line(name) + end for name in FILES)


def rows_of(fields: dict[str, str]) -> str:
    """A table of TOML."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())


def powershell_list(name: str, width: int = 60, algorithm: str = "SHA256") -> str:
    """Format-List, which goes on in indented lines at the width of the window."""

    def field(label: str, value: str) -> str:
        room = width - 12
        parts = [value[start : start + room] for start in range(0, len(value), room)]
        return f"{label:<9} : " + ("\r\n" + " " * 12).join(parts) + "\r\n"

    digest = hexadecimal(name, algorithm.lower()).upper()
    return field("Algorithm", algorithm) + field("Hash", digest) + field("Path", windows(name)) + "\r\n"


def powershell_table(name: str) -> str:
    """A row of its table."""
    return f"SHA256          {hexadecimal(name).upper():<86} {windows(name)}\r\n"


def in_pairs(text: str) -> str:
    """Digits in pairs with spaces, as older versions of certutil print them."""
    return " ".join(text[start : start + 2] for start in range(0, len(text), 2))


def debian(algorithm: str) -> str:
    """The lines of a field of a control file."""
    return rows(lambda n: f" {hexadecimal(n, algorithm)} {len(FILES[n]):>8} {n}") if algorithm else ""


HASH_LIST = [{"Algorithm": "SHA256", "Hash": hexadecimal(n).upper(), "Path": windows(n)} for n in FILES]
NO_SPACE = [n for n in FILES if " " not in n]
EVERY = {
    "PowerShell table": "\r\nAlgorithm       Hash" + " " * 83 + "Path\r\n---------       ----" + " " * 83 + "----\r\n"
    + rows(powershell_table, "") + "\r\n\r\n",
    "PowerShell list": "\r\n\r\n" + rows(powershell_list, ""),
    "PowerShell list of SHA512": rows(lambda n: powershell_list(n, 80, "SHA512"), ""),
    "PowerShell 5 CSV": "#TYPE Microsoft.Powershell.Utility.FileHash\r\n" + '"Algorithm","Hash","Path"\r\n'
    + rows(lambda n: f'"SHA256","{hexadecimal(n).upper()}","{windows(n)}"', "\r\n"),
    "PowerShell 7 CSV, semicolons": "Path;Hash\r\n" + rows(lambda n: f'"{windows(n)}";{hexadecimal(n)}', "\r\n"),
    "PowerShell JSON": json.dumps(HASH_LIST, indent=4),
    "PowerShell JSON with ASCII only": json.dumps(HASH_LIST, ensure_ascii=True),
    "PowerShell ConvertTo-Xml": '<?xml version="1.0" encoding="utf-16"?><Objects>'
    + "".join("<Object>" + "".join(f'<Property Name="{k}" Type="System.String">{v}</Property>' for k, v in one.items())
              + "</Object>" for one in HASH_LIST) + "</Objects>",
    "PowerShell Export-Clixml": '<Objs Version="1.1.0.1">'
    + "".join('<Obj RefId="0"><MS>' + "".join(f'<S N="{k}">{v}</S>' for k, v in one.items()) + "</MS></Obj>"
              for one in HASH_LIST) + "</Objs>",
    "certutil": rows(lambda n: f"SHA256 hash of {windows(n)}:\r\n{hexadecimal(n)}\r\n"
                     "CertUtil: -hashfile command completed successfully.", "\r\n"),
    "certutil of Windows 7": rows(lambda n: f"SHA1 hash of file {windows(n)}:\r\n{in_pairs(hexadecimal(n, 'sha1'))}\r\n"
                                  "CertUtil: -hashfile command completed successfully.", "\r\n"),
    "certutil in German": rows(lambda n: f"MD5-Hash von {windows(n)}:\r\n{hexadecimal(n, 'md5')}", "\r\n"),
    "FCIV": '<?xml version="1.0"?><FCIV>' + "".join(
        f"<FILE_ENTRY><name>{n}</name><MD5>{b64(n, 'md5')}</MD5><SHA1>{b64(n, 'sha1')}</SHA1></FILE_ENTRY>"
        for n in FILES) + "</FCIV>",
    "pip hash": rows(lambda n: f"{n}:\n--hash=sha256:{hexadecimal(n)}"),
    "RECORD": rows(lambda n: f"{n},sha256={urlsafe(n)},{len(FILES[n])}"),
    "RECORD with quotes": rows(lambda n: f'"{n}",sha256={urlsafe(n)},{len(FILES[n])}', "\r\n"),
    "OpenBSD": rows(lambda n: f"SHA256 ({n}) = {b64(n)}"),
    "OpenBSD cksum -b -a md5": rows(lambda n: f"MD5 ({n}) = {b64(n, 'md5')}"),
    "FreeBSD sha256 -r": rows(lambda n: f"{hexadecimal(n)} {n}"),
    "FreeBSD distinfo": "TIMESTAMP = 1700000000\n"
    + rows(lambda n: f"SHA256 ({n}) = {hexadecimal(n)}\nSIZE ({n}) = {len(FILES[n])}"),
    "NetBSD": rows(lambda n: f"SHA512 ({n}) = {hexadecimal(n, 'sha512')}")
    + rows(lambda n: f"RMD160 ({n}) = {hexadecimal(n, 'ripemd160')}"),
    "openssl before 3": rows(lambda n: f"SHA256({n})= {hexadecimal(n)}"),
    "openssl with spaces": rows(lambda n: f"SHA2-256 ({n}) = {hexadecimal(n)}"),
    "coreutils --base64": rows(lambda n: f"SHA384 ({n}) = {b64(n, 'sha384')}"),
    "coreutils --base64 --untagged": rows(lambda n: f"{b64(n)}  {n}"),
    "coreutils 9.8 SHA-3": rows(lambda n: f"SHA3-384 ({n}) = {hexadecimal(n, 'sha3_384')}"),
    "b3sum --tag": rows(lambda n: f"BLAKE3 ({n}) = {blake3(FILES[n]).hexdigest()}"),
    "leading blanks": rows(lambda n: f"  \t{hexadecimal(n)}  {n}"),
    "tabs": rows(lambda n: f"{hexadecimal(n)}\t{n}"),
    "a prefix": rows(lambda n: f"sha256:{hexadecimal(n)}  {n}"),
    "the name first": rows(lambda n: f"{n}: {hexadecimal(n)}"),
    "the name and an equals sign": rows(lambda n: f"{n} = {hexadecimal(n)}"),
    "FCIV without XML": "//\r\n// File Checksum Integrity Verifier version 2.05.\r\n//\r\n"
    + rows(lambda n: f"{hexadecimal(n, 'md5')} {n}", "\r\n"),
    "SRI and names": rows(lambda n: f"sha512-{b64(n, 'sha512')}  {n}"),
    "cfv csv": rows(lambda n: f"{n},{len(FILES[n])},{zlib.crc32(FILES[n]):08x},", "\r\n"),
    "SFV": "; made by hand\r\n" + rows(lambda n: f"{n} {zlib.crc32(FILES[n]):08X}", "\r\n"),
    "SFV without a remark": rows(lambda n: f"{n} {zlib.crc32(FILES[n]):08X}"),
    "old Mac line ends": rows(lambda n: f"{hexadecimal(n)}  {n}", "\r"),
    "BagIt": rows(lambda n: f"{hexadecimal(n)}   {n}".replace("  ", " ", 1).replace("(", "%28")),
    "Release": "Origin: Example\nSuite: stable\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nMD5Sum:\n" + debian("md5")
    + "SHA256:\n" + debian("sha256"),
    "clear-signed": "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + rows(lambda n: f"{hexadecimal(n)}  {n}")
    + "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCgAdFiEE\n=AbCd\n-----END PGP SIGNATURE-----\n",
    "fsum": "; SlavaSoft Optimizing Checksum Utility - fsum 2.52\n;\n"
    + rows(lambda n: f"{hexadecimal(n)} ?SHA256*{n}") + rows(lambda n: f"{hexadecimal(n, 'md5')} *{n}"),
    "HashMyFiles": rows(lambda n: f"{'=' * 50}\nFilename          : {n}\nMD5               : {hexadecimal(n, 'md5')}\n"
                        f"SHA-256           : {hexadecimal(n)}\nFull Path         : {windows(n)}\n"
                        f"File Size         : {len(FILES[n])}\n{'=' * 50}"),
    **{
        f"certutil in {language}": "".join(f"{heading.format(n)}\r\n{hexadecimal(n)}\r\n" for n in FILES)
        for language, heading in {
            "French": "SHA256 hachage de {} :", "Japanese": "SHA256 \u30cf\u30c3\u30b7\u30e5 (\u5bfe\u8c61 {}):",
            "Chinese": "SHA256 \u7684 {} \u54c8\u5e0c:", "Russian": "\u0425\u044d\u0448 SHA256 {}:",
            "Korean": "SHA256\uc758 {} \ud574\uc2dc:", "Polish": "Skr\u00f3t SHA256 pliku {}:",
        }.items()
    },
    "signify": "untrusted comment: verify with release.pub\nRW" + "Ab3/" * 24 + "Ab==\n"
    + rows(lambda n: f"SHA256 ({n}) = {hexadecimal(n)}"),
    "NetBSD distinfo": "$NetBSD: distinfo,v 1.2 2024/01/01 $\n\n"
    + rows(lambda n: f"SHA512 ({n}) = {hexadecimal(n, 'sha512')}\nSize ({n}) = {len(FILES[n])} bytes"),
    "headings of algorithms": "MD5:\n" + rows(lambda n: f"{hexadecimal(n, 'md5')}  {n}") + "\nSHA256:\n"
    + rows(lambda n: f"{hexadecimal(n)}  {n}"),
    "MANIFEST.MF": "Manifest-Version: 1.0\r\nCreated-By: 21 (Example)\r\n\r\n" + rows(
        lambda n: f"Name: {n}\r\nSHA-512-Digest: {b64(n, 'sha512')[:54]}\r\n {b64(n, 'sha512')[54:]}\r\n", "\r\n"),
    "metalink 4": '<metalink xmlns="urn:ietf:params:xml:ns:metalink">' + "".join(
        f'<file name="{n}"><size>{len(FILES[n])}</size><hash type="sha-256">{hexadecimal(n)}</hash>'
        f'<pieces length="1" type="sha-256"><hash>{"0" * 64}</hash></pieces></file>' for n in FILES) + "</metalink>",
    "metalink 3": '<metalink version="3.0"><files>' + "".join(
        f'<file name="{n}"><verification><hash type="sha1">{hexadecimal(n, "sha1")}</hash></verification></file>'
        for n in FILES) + "</files></metalink>",
    "Gradle": "<verification-metadata><components><component>" + "".join(
        f'<artifact name="{n}"><sha256 value="{hexadecimal(n)}" origin="x"/></artifact>'
        for n in FILES) + "</component></components></verification-metadata>",
    "repomd.xml": "<repomd><revision>1</revision>" + "".join(
        f'<data type="primary"><checksum type="sha256">{hexadecimal(n)}</checksum><open-checksum type="sha256">'
        f'{"0" * 64}</open-checksum><location href="{n}"/><size>{len(FILES[n])}</size></data>' for n in FILES)
    + "</repomd>",
    "XML of attributes": "<x>" + "".join(f'<f path="{n}" md5="{hexadecimal(n, "md5")}"/>' for n in FILES) + "</x>",
    "CycloneDX": json.dumps({"components": [
        {"type": "file", "name": n, "hashes": [{"alg": "SHA-256", "content": hexadecimal(n)}]} for n in FILES]}),
    "SPDX": json.dumps({"files": [
        {"fileName": f"./{n}", "checksums": [{"algorithm": "SHA1", "checksumValue": hexadecimal(n, "sha1")}]}
        for n in FILES]}),
    "release of GitHub": json.dumps({"assets": [
        {"name": n, "digest": "sha256:" + hexadecimal(n), "url": "https://api.github.com/repos/x/y/releases/assets/1",
         "browser_download_url": f"https://github.com/x/y/releases/download/v1/{n}"} for n in FILES if "/" not in n]
         + [{"path": "sub/b c.txt", "sha256": hexadecimal("sub/b c.txt")}]}),
    "rclone lsf --format ph": rows(lambda n: f"{n};{hexadecimal(n)}") + "sub/;\n",
    "rclone lsf --format hp": rows(lambda n: f"{hexadecimal(n)};{n}"),
    "two texts with marks": rows(lambda n: f"\ufeff{hexadecimal(n)}  {n}"),
    "JSON lines": rows(lambda n: json.dumps({"path": n, "sha256": hexadecimal(n)})),
    "CSV of SHA-256 checksums": "File Name,SHA-256 Checksum\n" + rows(lambda n: f'"{n}",{hexadecimal(n)}'),
    "Fedora CHECKSUM": rows(lambda n: f"# {n}: {len(FILES[n])} bytes\nSHA256 ({n}) = {hexadecimal(n)}"),
    "dictionary": json.dumps({n: "sha256:" + hexadecimal(n) for n in FILES}),
    "dictionary of digests": json.dumps({"files": {n: hexadecimal(n) for n in FILES}}),
    "rclone lsjson": json.dumps([{"Path": n, "Name": n.rpartition("/")[2], "Size": len(FILES[n]), "IsDir": False,
                                  "Hashes": {"md5": hexadecimal(n, "md5"), "quickxor": "00", "whirlpool": "00"}}
                                 for n in FILES]),
    "PyPI": json.dumps({"urls": [{"filename": n, "size": len(FILES[n]), "digests": {"sha256": hexadecimal(n)},
                                  "url": "https://files.example/x"} for n in FILES]}),
    "conda": json.dumps({"packages": {n: {"md5": hexadecimal(n, "md5"), "sha256": hexadecimal(n), "name": n,
                                          "size": len(FILES[n])} for n in FILES}}),
    "poetry": '[[package]]\nname = "x"\nfiles = [\n'
    + rows(lambda n: f'    {{file = "{n}", hash = "sha256:{hexadecimal(n)}"}},') + "]\n",
    "CSV of our own": "name,size,sha256,md5\n"
    + rows(lambda n: f'"{n}",{len(FILES[n])},{hexadecimal(n)},{hexadecimal(n, "md5")}'),
    "mtree": "#mtree\n/set type=file\n. type=dir\n    a.txt sha256digest=" + hexadecimal("a.txt")
    + "\n    sub type=dir\n        b\\040c.txt size=3 \\\n     sha256=" + hexadecimal("sub/b c.txt")
    + "\n        link type=link link=x\n    ..\n    par\\s(1).txt md5=" + hexadecimal("par (1).txt", "md5")
    + "\n    \\M-C\\M-<n\\303\\257.bin rmd160digest=" + hexadecimal("ünï.bin", "ripemd160") + "\n..\n",
}  # fmt: skip
SHA256, SHA1, MD5 = hexadecimal("a.txt"), hexadecimal("a.txt", "sha1"), hexadecimal("a.txt", "md5")
SHA512, BLAKE2B = hexadecimal("a.txt", "sha512"), hexadecimal("a.txt", "blake2b")
SRI512 = b64("a.txt", "sha512")
ONLY_A: dict[str, str | bytes] = {
    "digest": SHA256,
    "digest of md5 -q": MD5 + "\n",
    "Maven": SHA1,
    "upper case and CRLF": SHA256.upper() + "\r\n",
    "Base64": b64("a.txt"),
    "SRI": "sha256-" + b64("a.txt"),
    "several of SRI": f"sha256-{b64('a.txt')} sha512-{SRI512}?opt",
    "with a prefix": "sha256:" + SHA256,
    "colons": ":".join(in_pairs(SHA256).split()),
    "two lines": SHA256 + "\n" + MD5 + "\n",
    "a label": "SHA256: " + SHA256,
    "standard input": SHA256 + "  -\n",
    "openssl of a pipe": f"SHA2-256(stdin)= {SHA256}\n",
    "older openssl of a pipe": f"(stdin)= {SHA256}\n",
    "raw": hashlib.sha256(A).digest(),
    "npm lock": json.dumps({"packages": {"node_modules/a": {"version": "1", "integrity": "sha512-" + SRI512,
                                                           "resolved": "https://registry.example/a/-/a.txt"}}}),
    "npm pack": json.dumps([{"id": "a@1", "name": "a", "filename": "a.txt", "size": 1, "shasum": SHA1,
                             "integrity": "sha512-" + SRI512, "files": [{"path": "x.js", "size": 9}]}]),
    "uv": 'version = 1\n[[package]]\nname = "a"\nsdist = { url = "https://f.example/x/a.txt", '
    f'hash = "sha256:{SHA256}" }}\n',
    "Packages": f"Package: a\nVersion: 1\nFilename: a.txt\nSize: 1\nMD5sum: {MD5}\n"
    f"SHA256: {SHA256}\nDescription: x\n  y\n\n",
    "dsc": "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nFormat: 3.0 (quilt)\nSource: a\nChecksums-Sha1:\n"
    f" {SHA1} 1 a.txt\nChecksums-Sha256:\n {SHA256} 1 a.txt\nFiles:\n"
    f" {MD5} 1 a.txt\n\n-----BEGIN PGP SIGNATURE-----\n\nxyz\n-----END PGP SIGNATURE-----\n",
    "changes": f"Format: 1.8\nDate: x\nSource: a\nFiles:\n {MD5} 1 devel optional a.txt\n",
    "Gentoo": f"DIST a.txt 1 BLAKE2B {BLAKE2B} SHA512 {SHA512} WHIRLPOOL 00\n",
    "gpg of a pipe": " ".join(SHA256.upper()[start : start + 8] for start in range(0, 64, 8)) + "\n",
}  # fmt: skip
ENCODINGS = {
    "UTF-8": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 LE": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-32 LE": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
    "UTF-32 BE": lambda text: codecs.BOM_UTF32_BE + text.encode("utf-32-be"),
    "UTF-16 LE without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-32 LE without a mark": lambda text: text.encode("utf-32-le"),
}


@pytest.fixture
def full(root: Path) -> Path:
    """The root with all files."""
    (root / "sub").mkdir()
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    return root


def run(context: JobContext, manifest: str | bytes, **more: Any) -> Verdict:
    """Verify the root."""
    content = manifest if isinstance(manifest, bytes) else manifest.encode()
    reference = "data:text/plain;base64," + base64.b64encode(content).decode()
    request = {"folder": "root:in", "manifest": reference, **more}
    result: Verdict = verify.verify(ToVerify.model_validate(request), context)
    return result


@pytest.mark.parametrize("case", EVERY)
def test_a_manifest_of_all_files_verifies_and_finds_a_change(full: Path, make_context: MakeContext, case: str) -> None:
    context = make_context()
    found = run(context, EVERY[case])
    assert found.exact, (found, context.warnings)
    assert found.counts["ok"] == len(FILES)
    (full / "a.txt").write_bytes(b"B")
    assert run(make_context(), EVERY[case]).mismatch == ["a.txt"]


@pytest.mark.parametrize("case", ONLY_A)
def test_a_manifest_of_one_file_verifies_and_finds_a_change(full: Path, make_context: MakeContext, case: str) -> None:
    context = make_context()
    found = run(context, ONLY_A[case], include=["a.txt"])
    assert found.exact, (found, context.warnings)
    (full / "a.txt").write_bytes(b"B")
    assert run(make_context(), ONLY_A[case], include=["a.txt"]).mismatch == ["a.txt"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("case", ["FreeBSD sha256 -r", "OpenBSD", "PowerShell table", "PowerShell JSON", "SFV"])
def test_every_encoding_of_text_is_read(full: Path, context: JobContext, case: str, encoding: str) -> None:
    assert full.exists()
    found = run(context, ENCODINGS[encoding](EVERY[case]))
    assert found.exact, (found, context.warnings)


def test_hashdeep_in_wide_characters_is_read(full: Path, context: JobContext) -> None:
    assert full.exists()
    text = "%%%% HASHDEEP-1.0\r\n%%%% size,sha256,filename\r\n## Invoked from: C:\\data\r\n" + "".join(
        f"{len(content)},{hexadecimal(name)},C:\\data\\{name}\r\n".replace("/", "\\") for name, content in FILES.items()
    )
    assert run(context, text.encode("utf-16")).exact


@pytest.mark.parametrize("case", ["digest", "SRI", "standard input", "two lines"])
def test_a_digest_without_a_name_is_refused_among_several_files(full: Path, context: JobContext, case: str) -> None:
    assert full.exists()
    with pytest.raises(JobError, match=r"no name of a file, and 4 files were chosen: choose the one") as refused:
        run(context, ONLY_A[case])
    assert refused.value.reason == "bad_input"


def test_several_digests_of_one_algorithm_without_names_are_refused(full: Path, context: JobContext) -> None:
    assert full.exists()
    with pytest.raises(JobError, match="has 2 digests and no names of files"):
        run(context, hexadecimal("a.txt") + "\n" + hexadecimal("sub/b c.txt") + "\n", include=["a.txt"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("HMAC-SHA2-256(a.txt)= " + "0" * 64, "a keyed digest, which cannot be checked without its key"),
        ("TIGER (a.txt) = " + "0" * 48, "the algorithm TIGER is not known"),
        ("MD4 (a.txt) = " + "0" * 32, "the algorithm MD4 is not known"),
        ("08403     1 a.txt", "a checksum of 16 bits, of the program sum"),
        ("532 1 a.txt", "a checksum of 16 bits, of the program sum"),
        (f"{'0' * 64}  a.txt offset 0-99", "the digest of a part of a file"),
        ("a==1 --hash=sha256:" + "0" * 64, "names a package, not a file"),
        ("Algorithm  Hash     Path\n---------  ----     ----\nSHA256     ABCD...  C:\\a.txt\n", "is cut by PowerShell"),
        ("\x1f\x8b\x08", "is a file of gzip"),
        ('{"a": 1}', "no entry"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x><name>a</name><md5>&a;</md5></x>", "declares entities"),
        ("<x>" * 300, "nested too deeply"),
        (f"{'0' * 66}  a.txt\nx\n", "is neither|send that as algorithm"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_reason(
    full: Path, context: JobContext, text: str, why: str
) -> None:
    assert full.exists()
    with pytest.raises(JobError, match=why) as refused:
        run(context, text.encode("latin-1"))
    assert refused.value.reason == "bad_input"


def test_digests_of_an_unknown_algorithm_beside_known_ones_are_told(full: Path, context: JobContext) -> None:
    assert full.exists()
    text = f"SHA256 (a.txt) = {hexadecimal('a.txt')}\nTIGER (a.txt) = {'0' * 48}\n"
    assert run(context, text, include=["a.txt"]).exact
    assert any("digests of TIGER were not compared" in one for one in context.warnings)


def test_a_signature_is_not_taken_for_checked(full: Path, context: JobContext) -> None:
    assert full.exists()
    assert run(context, EVERY["clear-signed"]).exact
    assert any("OpenPGP signature, which was not checked" in one for one in context.warnings)


def test_a_lock_of_cargo_names_the_file_of_a_package(root: Path, context: JobContext) -> None:
    (root / "c-1.0.0.crate").write_bytes(A)
    fields = {"name": "c", "version": "1.0.0", "source": "registry+https://x/index", "checksum": hexadecimal("a.txt")}
    assert run(context, "[[package]]\n" + rows_of(fields)).exact


def test_a_lock_without_addresses_names_the_file_that_npm_packs(root: Path, context: JobContext) -> None:
    (root / "c-a-1.0.0.tgz").write_bytes(A)
    package = {"version": "1.0.0", "integrity": "sha512-" + SRI512}
    assert run(
        context, json.dumps({"packages": {"": {"name": "x"}, "node_modules/b/node_modules/@c/a": package}})
    ).exact


@pytest.mark.parametrize("first", ["  a", " a", "\t*a", " *a"])
def test_usual_lines_are_read_as_the_methods_for_all_lines_would(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
    digits = [hashlib.new(kind, b"").hexdigest() for kind in kinds]
    digits += [digits[3].upper(), digits[3][:-1], digits[3] + "00", digits[0][:8]]
    names = [
        "a",
        "*a",
        " a",
        "a ",
        "a\\b",
        "a\0b",
        "a\r",
        "\r",
        "x offset 0-99",
        "2020:01:01:00:00:00  a",
        "(a) = b",
        "\xe9",
    ]
    labels = ["MD5", "SHA256", "SHA2-256", "SHA-256", "sha256", "BLAKE2b", "TIGER", "HMAC-SHA256", "SIZE", "CRC32"]
    lines = [digits[3] + first]
    lines += [one + mark + name for one in digits for mark in ("  ", " *", " ", "\t") for name in names]
    lines += [f"{label} ({name}) = {one}" for one in digits for label in labels for name in names]
    text = "\n".join([*lines, "; a remark of SFV", *lines, "a heading:", *lines[:50]]).encode()
    usual = manifest.read(io.BytesIO(text), None)
    monkeypatch.setattr(Lines, "_is_usual", lambda *_: False)
    assert manifest.read(io.BytesIO(text), None) == usual
    assert len(usual.entries) > 500
    assert usual.malformed_total > 100


DIGITS = "0" * 64
HOSTILE = {
    "a field that goes on": "Algorithm : SHA256\nHash : " + DIGITS + "\nPath : a\n" + " x\n" * 900_000,
    "a specification that goes on": "#mtree\na \\\n" + "b \\\n" * 900_000,
    "a specification of folders": "#mtree\n" + "d type=dir\n" * 400_000,
    "groups of digits that go on": "a: " + "AAAA " * 10 + "\n" + "   AAAA AAAA AAAA AAAA\n" * 400_000,
    "a table of one long row": "Algorithm  Hash  Path\n---------  ----  ----\n" + "x" * 5_000_000,
    "a row of quotes": "name,sha256\n" + '"' * 4_000_001,
    "colons": f"{DIGITS} a\n" + "a:" * 16_000,
    "parentheses": f"{DIGITS} a\n" + "MD5 (" + ") = " * 8_000,
    "hashes of pip": f"{DIGITS} a\n" + "--hash=a: " * 3_000,
    "names before digests": f"{DIGITS} a\n" + ("deadbeef " * 3_000 + "\n") * 20,
    "brackets": "[" * 400_000,
    "an object of objects": '{"a":' * 40_000,
    "elements": "<x>" + "<name>a</name>" * 300_000,
    "empty fields": "SHA256:\n" + "\n" * 3_000_000,
    "a signature of lines": "-----BEGIN PGP SIGNED MESSAGE-----\n\n" + "\n" * 3_000_000,
    "marks of wide characters": "\0" * 4_000_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_read_or_refused_in_linear_time(full: Path, context: JobContext, case: str) -> None:
    assert full.exists()
    began = time.process_time()
    try:
        run(context, HOSTILE[case], include=["a.txt"])
    except JobError as error:
        check_refusal(error, most=1000)
    assert time.process_time() - began < 20
