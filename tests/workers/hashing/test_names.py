"""Names of a manifest that are not in the folder as they are written, and those that fit in several ways."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from offloop.jobs.hashing import ToVerify, Verdict
from offloop.kinds.job_context import JobContext
from offloop_workers.hashing import verify

from .conftest import MakeContext

NFC, NFD = "caf\u00e9.txt", "cafe\u0301.txt"


def run(context: JobContext, manifest: str | bytes, **more: Any) -> Verdict:
    """Verify the root."""
    content = manifest if isinstance(manifest, bytes) else os.fsencode(manifest)
    reference = "data:text/plain;base64," + base64.b64encode(content).decode()
    request = {"folder": "root:in", "manifest": reference, **more}
    result: Verdict = verify.verify(ToVerify.model_validate(request), context)
    return result


def line(content: str, path: str, algorithm: str = "sha256") -> str:
    """A GNU line."""
    return f"{hashlib.new(algorithm, content.encode()).hexdigest()}  {path}\n"


@pytest.fixture
def full(root: Path) -> Path:
    """A root with a few files, whose content is their name."""
    (root / "sub").mkdir()
    for name in ("a", "b", "sub/c", "sub/D"):
        (root / name).write_text(name)
    return root


@pytest.mark.parametrize(
    "path", ["./a", "././a", ".//a", "a", "/x/../a", "/srv//a", "C:\\a", "\\\\host\\share\\a", ".\\a"]
)
def test_a_path_that_means_a_file_of_the_folder_is_it(full: Path, context: JobContext, path: str) -> None:
    assert full.exists()
    found = run(context, line("a", path), include=["/a"])
    assert found.exact is (".." not in path), (found, context.warnings)


@pytest.mark.parametrize("path", ["sub//c", "./sub/c", "sub/./c", ".//sub///c", "sub\\c", ".\\sub\\c", "SUB\\C"])
def test_slashes_may_be_doubled_or_be_those_of_windows(full: Path, context: JobContext, path: str) -> None:
    assert full.exists()
    assert run(context, line("sub/c", path), include=["sub/c"]).exact


@pytest.mark.parametrize(
    "path", ["..\\a", "sub\\..\\..\\a", "C:\\..\\a", "../in/a", "/..", "/", "C:\\", "sub/..", "a/", "a/.", "/a/../a"]
)
def test_a_name_that_leads_out_of_the_folder_or_names_none_finds_nothing(
    full: Path, context: JobContext, path: str
) -> None:
    assert full.exists()
    found = run(context, line("a", path))
    assert (found.counts["ok"], found.verified) == (0, False)


@pytest.mark.parametrize(("listed", "there"), [(NFD, NFC), (NFC, NFD)])
def test_a_name_in_another_normalization_form_is_found_and_told(
    root: Path, context: JobContext, listed: str, there: str
) -> None:
    (root / there).write_text("x")
    assert run(context, line("x", listed)).exact
    assert "another Unicode normalization form" in context.warnings[0]


def test_the_form_that_is_there_as_written_comes_first(root: Path, make_context: MakeContext) -> None:
    (root / NFC).write_text("c")
    (root / NFD).write_text("d")
    context = make_context()
    assert run(context, line("c", NFC) + line("d", NFD)).exact
    assert context.warnings == []
    (root / NFD).unlink()
    found = run(make_context(), line("c", NFC) + line("d", NFD))
    assert (found.counts["ok"], found.counts["missing"]) == (1, 1)


def test_a_name_that_fits_several_files_is_told_and_missing(root: Path, context: JobContext) -> None:
    for name in ("\u1e9b\u0323", "\u017f\u0323\u0307"):
        (root / name).write_text("x")
    found = run(context, line("y", "\u017f\u0307\u0323"))
    assert found.counts["missing"] == 1
    assert "fits several files" in " ".join(context.warnings)


def test_a_name_that_lost_its_bytes_is_found_if_only_one_file_fits(root: Path, make_context: MakeContext) -> None:
    (root / os.fsdecode(b"caf\xe9")).write_text("x")
    context = make_context()
    assert run(context, line("x", "caf\ufffd")).exact
    assert "lost bytes" in context.warnings[0]
    (root / os.fsdecode(b"caf\xe8")).write_text("y")
    assert not run(make_context(), line("x", "caf\ufffd")).verified


def test_absolute_names_are_taken_relative_to_the_folder_that_most_are_in(
    full: Path, make_context: MakeContext
) -> None:
    assert full.exists()
    text = "".join(line(name, f"/srv/data/{name}") for name in ("a", "b", "sub/c", "sub/D"))
    context = make_context()
    assert run(context, text).exact
    assert "taken relative to '/srv/data'" in context.warnings[0]
    found = run(make_context(), text + line("gone", "/srv/data/gone") + line("x", "/etc/passwd"))
    assert (found.counts["ok"], found.missing, found.refused) == (4, ["gone"], ["/etc/passwd"])
    context = make_context()
    assert run(context, text, folder="root:in/sub").counts["ok"] == 2
    assert "taken relative to '/srv/data/sub'" in context.warnings[0]


def test_absolute_names_that_fit_nothing_are_refused_and_told(full: Path, context: JobContext) -> None:
    assert full.exists()
    found = run(context, line("x", "/etc/passwd") + line("y", "/etc/shadow"))
    assert found.refused == ["/etc/passwd", "/etc/shadow"]
    assert "2 names are absolute, and no file of this folder fits one" in context.warnings[0]


def test_hashdeep_started_in_another_folder_is_understood(full: Path, make_context: MakeContext) -> None:
    assert full.exists()
    digest = hashlib.sha256(b"sub/c").hexdigest()
    text = f"%%%% HASHDEEP-1.0\n%%%% size,sha256,filename\n## Invoked from: /srv\n5,{digest},/srv/in/sub/c\n"
    assert run(make_context(), text, include=["sub/c"]).exact
    assert run(make_context(), text.replace("/srv/in/", "in/"), include=["sub/c"]).exact


@pytest.mark.parametrize("columns", [["md5", "sha256"], ["sha256"], ["md5", "sha1", "sha256"]])
def test_a_moved_file_is_recognised_by_all_its_digests(
    full: Path, make_context: MakeContext, columns: list[str]
) -> None:
    def text(*contents: str) -> str:
        digests = ",".join(
            hashlib.new(one, content.encode()).hexdigest() for one, content in zip(columns, contents, strict=False)
        )
        return f"%%%% HASHDEEP-1.0\n%%%% size,{','.join(columns)},filename\n1,{digests},./was/here\n"

    assert full.exists()
    found = run(make_context(), text("a", "a", "a"))
    assert [(one.listed, one.found) for one in found.moved] == [("was/here", "a")]
    if len(columns) > 1:
        found = run(make_context(), text("a", "b", "a"))
        assert (found.missing, found.moved) == (["was/here"], [])


def test_a_moved_file_with_several_candidates_is_told(full: Path, context: JobContext) -> None:
    (full / "again").write_text("a")
    found = run(context, line("a", "gone"))
    assert [one.found for one in found.moved] == ["a"]
    assert "several unlisted files of their content" in context.warnings[0]


def test_a_size_that_differs_is_a_mismatch(full: Path, context: JobContext) -> None:
    assert full.exists()
    digest = hashlib.sha256(b"a").hexdigest()
    assert run(context, f"%%%% HASHDEEP-1.0\n%%%% size,sha256,filename\n2,{digest},a\n").mismatch == ["a"]


def test_contradictory_digests_of_a_file_are_told(full: Path, context: JobContext) -> None:
    assert full.exists()
    found = run(context, line("a", "a") + line("b", "./a"), include=["/a"])
    assert found.mismatch == ["a"]
    assert "listed twice with different digests, such as 'a'" in context.warnings[0]


def test_an_algorithm_that_was_guessed_is_corrected_by_the_files(full: Path, make_context: MakeContext) -> None:
    text = "".join(line(name, name, "sha3_256") for name in ("a", "b", "sub/c", "sub/D"))
    context = make_context()
    found = run(context, text)
    assert (found.exact, found.algorithms) == (True, ["sha3_256"])
    assert "sha256 fits no file, and sha3_256 does" in context.warnings[0]
    (full / "a").write_text("changed")
    assert run(make_context(), text).mismatch == ["a"]
    for name in ("a", "b", "sub/c", "sub/D"):
        (full / name).rename(full / f"{name}-moved")
    (full / "a-moved").write_text("a")
    assert run(make_context(), text).counts["moved"] == 4
    context = make_context()
    assert not run(context, line("x", "b-moved")).verified
    assert "No file has its listed digest as sha256, nor as blake3" in " ".join(context.warnings)


def test_a_given_algorithm_is_not_corrected(full: Path, context: JobContext) -> None:
    assert full.exists()
    assert run(context, line("a", "a", "sha3_256"), algorithm="sha256").mismatch == ["a"]


def test_a_first_line_with_one_space_makes_the_second_one_a_part_of_names(
    root: Path, make_context: MakeContext
) -> None:
    (root / "a").write_text("a")
    (root / " b").write_text("b")
    text = line("a", "a").replace("  ", " ") + line("b", "b")
    assert run(make_context(), text).exact
    (root / " b").rename(root / "b")
    assert run(make_context(), text).exact


def test_listed_links_and_unreadable_files_are_told_apart_from_missing_ones(full: Path, context: JobContext) -> None:
    (full / "link").symlink_to("a")
    os.mkfifo(full / "pipe")
    found = run(context, line("a", "link") + line("a", "pipe") + line("a", "gone"))
    assert found.counts["missing"] == 2  # one of the three is taken for the unlisted file a
    assert "are no regular files, such as" in " ".join(context.warnings)


def test_reasons_for_unreadable_files_are_in_the_report(
    full: Path, context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: int, _name: str) -> int:
        raise PermissionError(13, "Permission denied")

    assert full.exists()
    monkeypatch.setattr("offloop_workers.files.sources.open_regular", refuse)
    found = run(context, line("a", "a"), include=["/a"])
    assert (found.unreadable, found.counts["unreadable"]) == (["a"], 1)
    assert "such as 'a': permission denied" in " ".join(context.warnings)
    report = json.loads(context.artifacts[0].path.read_bytes())
    assert report["reasons"] == [{"path": "a", "reason": "permission denied"}]


def test_hidden_files_left_out_are_told(full: Path, context: JobContext) -> None:
    (full / ".hidden").write_text("h")
    assert not run(context, line("h", ".hidden"), hidden=False).verified
    assert "1 hidden names were left out" in " ".join(context.warnings)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("Größe.txt", "windows-1252"),
        ("Größe.txt", "cp850"),
        ("первый файл.txt", "cp1251"),
        ("Файл.txt", "cp1251"),
        ("Файл.txt", "cp866"),
        ("一覧表です.txt", "cp932"),
        ("日本語.txt", "cp932"),
        ("测试.txt", "gbk"),
        ("Łódź.txt", "cp852"),
        ("Ελλάς.txt", "cp1253"),
        ("한글.txt", "cp949"),
    ],
)
def test_a_name_in_an_old_charset_is_found_and_told(root: Path, context: JobContext, name: str, codec: str) -> None:
    (root / name).write_text("x")
    assert run(context, line("x", "").encode().removesuffix(b"\n") + name.encode(codec) + b"\n").exact, context.warnings
    assert "names were found read as" in context.warnings[0]


@pytest.mark.parametrize("path", [" a", "a ", '"a"', "'a'", "%61"])
def test_blanks_quotes_and_codes_around_a_name_are_left_out_and_told(
    full: Path, context: JobContext, path: str
) -> None:
    assert full.exists()
    assert run(context, line("a", path), include=["/a"]).exact
    assert context.warnings[0].startswith("1 names were found ")
