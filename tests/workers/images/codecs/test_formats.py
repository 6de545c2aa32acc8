"""File names of results."""

from __future__ import annotations

import pytest

from offloop.kinds.references import FileReference
from offloop_workers.images.codecs.formats import file_name


@pytest.mark.parametrize(
    ("asked", "form", "name"),
    [
        ("a.png", "png", "a.png"),
        ("a.JPEG", "jpeg", "a.JPEG"),
        ("a.jpg", "png", "a.png"),
        ("a.b.HEIC", "webp", "a.b.webp"),
        ("version 1.2", "gif", "version 1.2.gif"),
        ("a", "tiff", "a.tif"),
        (None, "avif", "photo.avif"),
    ],
)
def test_a_name_has_the_extension_of_its_format(asked: str | None, form: str, name: str) -> None:
    assert file_name(asked, FileReference("root:photos/photo.jpg"), form) == name
