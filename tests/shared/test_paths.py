"""Opening files under a root, and sanitising file names."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from offloop.errors import JobError
from offloop.paths import enter, open_beneath, open_folder_beneath, open_regular, safe_name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, a file below a folder, and a secret beside it."""
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("A")
    (folder / "sub" / "b.txt").write_text("B")
    (tmp_path / "secret.txt").write_text("SECRET")
    return folder


@pytest.mark.parametrize(("path", "content"), [("a.txt", b"A"), ("sub/b.txt", b"B")])
def test_a_file_under_the_root_is_opened(root: Path, path: str, content: bytes) -> None:
    with open_beneath(root, path) as file:
        assert file.read() == content


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "..", "../secret.txt", "sub/../../secret.txt", "./a.txt", "sub//b.txt", "sub/", "a\0b"]
)
def test_a_path_that_could_leave_the_root_is_refused_by_its_form(root: Path, path: str) -> None:
    with pytest.raises(JobError, match="does not name a file under its root") as refused:
        open_beneath(root, path)
    assert refused.value.reason == "unreadable_file"


@pytest.mark.parametrize(
    "path", ["missing", "sub", "link", "out/secret.txt", "loop/x", "pipe", "socket", "a.txt/x", "n" * 300, "\ud800"]
)
def test_everything_but_a_regular_file_without_links_is_refused_with_one_error(root: Path, path: str) -> None:
    (root / "link").symlink_to(root.parent / "secret.txt")
    (root / "out").symlink_to(root.parent)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)  # a socket's path may have about a hundred characters
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        with pytest.raises(JobError, match="there is no regular file of that name") as refused:
            open_beneath(root, path)
    assert str(root) not in refused.value.message


@pytest.mark.parametrize("path", ["null", "zero"])
def test_devices_are_refused(path: str) -> None:
    with pytest.raises(JobError, match="no regular file"):
        open_beneath(Path("/dev"), path)


def test_a_root_that_is_gone_reads_like_a_missing_file(root: Path) -> None:
    with pytest.raises(JobError, match="no regular file"):
        open_beneath(root / "nowhere", "a.txt")


def test_a_root_that_is_itself_a_link_is_the_operators_choice(root: Path) -> None:
    (root.parent / "alias").symlink_to(root)
    with open_beneath(root.parent / "alias", "a.txt") as file:
        assert file.read() == b"A"


def test_a_refusal_leaves_no_descriptor_open(root: Path) -> None:
    os.mkfifo(root / "pipe")
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- compares names only
    for path in ("missing", "sub", "pipe", "sub/missing", "a.txt/x"):
        with pytest.raises(JobError):
            open_beneath(root, path)
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)  # noqa: PTH208 -- compares names only


@pytest.mark.parametrize(("path", "holds"), [("", {"a.txt", "sub"}), ("sub", {"b.txt"})])
def test_a_folder_under_the_root_is_opened(root: Path, path: str, holds: set[str]) -> None:
    folder = open_folder_beneath(root, path)
    try:
        assert set(os.listdir(folder)) == holds  # noqa: PTH208 -- a descriptor, not a path
    finally:
        os.close(folder)


@pytest.mark.parametrize("path", [".", "..", "sub/..", "/", "/etc", "sub/", "sub//x", "a\0b", "sub/../../x"])
def test_a_path_that_could_lead_to_a_folder_outside_is_refused_by_its_form(root: Path, path: str) -> None:
    with pytest.raises(JobError, match="does not name a folder under its root") as refused:
        open_folder_beneath(root, path)
    assert refused.value.reason == "unreadable_file"


@pytest.mark.parametrize("path", ["missing", "a.txt", "out", "out/sub", "loop", "pipe", "n" * 300, "\ud800"])
def test_everything_but_a_folder_without_links_is_refused_with_one_error(root: Path, path: str) -> None:
    (root / "out").symlink_to(root.parent)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- compares names only
    with pytest.raises(JobError, match="there is no folder of that name") as refused:
        open_folder_beneath(root, path)
    assert str(root) not in refused.value.message
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)  # noqa: PTH208 -- compares names only


def test_an_open_folder_gives_its_own_files_and_folders_only(root: Path) -> None:
    (root / "link").symlink_to("a.txt")
    (root / "out").symlink_to(root.parent)
    os.mkfifo(root / "pipe")
    folder = open_folder_beneath(root, "")
    try:
        os.close(open_regular(folder, "a.txt"))
        os.close(enter(folder, "sub"))
        for name in ("link", "pipe", "sub", "missing"):
            with pytest.raises(OSError, match=r"."):
                open_regular(folder, name)
        for name in ("out", "a.txt", "pipe"):
            with pytest.raises(OSError, match=r"."):
                enter(folder, name)
    finally:
        os.close(folder)


def test_messages_name_the_reference_and_stay_short(root: Path) -> None:
    with pytest.raises(JobError, match="'root:docs/missing' cannot be read"):
        open_beneath(root, "missing", label="root:docs/missing")
    with pytest.raises(JobError) as refused:
        open_beneath(root, "n" * 5000)
    assert len(refused.value.message) < 400


@pytest.mark.parametrize(
    ("proposed", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("Überschrift 你好.pdf", "Überschrift 你好.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\evil.exe", "evil.exe"),
        (".bashrc", "bashrc"),
        ("...", "fallback"),
        ("", "fallback"),
        ("a/", "fallback"),
        ("x\r\nSet-Cookie: a=b.pdf", "xSet-Cookie_ a=b.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("zero\u200bwidth\u2028line.txt", "zerowidth line.txt"),
        ('a"b<c>.pdf', "a_b_c_.pdf"),
        ("trailing. ", "trailing"),
    ],
)
def test_a_file_name_is_made_safe_to_show(proposed: str, name: str) -> None:
    assert safe_name(proposed, "fallback") == name


@pytest.mark.parametrize("stem", ["n" * 500, "你" * 500, "\U0001f600" * 500])
def test_a_long_name_is_cut_and_keeps_its_extension(stem: str) -> None:
    name = safe_name(f"{stem}.tar.pdf", "fallback")
    assert name.endswith(".pdf")
    assert len(name) <= 120
    assert len(name.encode()) <= 255


def test_a_long_end_after_a_dot_is_no_extension() -> None:
    assert len(safe_name("a." + "b" * 300, "fallback")) == 120
