"""A PDF on its way through the steps of edit_pdf."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pikepdf

from offloop.errors import JobError

_RIGHTS = {
    "print": ("print_lowres", "print_highres"),
    "copy": ("extract",),
    "modify": ("modify_other",),
    "annotate": ("modify_annotation",),
    "fill_forms": ("modify_form",),
    "assemble": ("modify_assembly",),
}


@dataclass(slots=True)
class Document:
    """One document and how it will be written.

    Attributes:
        pdf: the document itself.
        title: what its bookmark says after a merge.
        locked: it was encrypted, and no step has said yet what becomes of that.
        encryption: how it will be encrypted.
        compact: whether to compress all that can be.
        linear: whether to write it for page-by-page loading.
    """

    pdf: pikepdf.Pdf
    title: str
    locked: bool = False
    encryption: pikepdf.Encryption | None = None
    compact: bool = False
    linear: bool = False
    pages: list[pikepdf.Page] = field(init=False)

    def __post_init__(self) -> None:
        """List the pages once: the library counts from the first page each time."""
        self.pages = list(self.pdf.pages)

    def save(self, file: BinaryIO) -> None:
        """Write it.

        Raises:
            JobError: ``still_encrypted``: no step said what becomes of the encryption.
        """
        if self.locked:
            message = (
                f"{self.title!r} is encrypted: add {{'op': 'decrypt'}} to write it without a password, or "
                "{'op': 'encrypt', ...} to give it new ones."
            )
            raise JobError(message, code="still_encrypted")
        options: dict[str, Any] = {"deterministic_id": True}
        if self.encryption:
            options = {"encryption": self.encryption}
        if self.compact:
            options |= {"object_stream_mode": pikepdf.ObjectStreamMode.generate, "recompress_flate": True}
        self.pdf.save(file, linearize=self.linear, **options)


def denied(pdf: pikepdf.Pdf) -> list[str]:
    """What the owner of an encrypted document does not permit to whoever opened it."""
    if not pdf.is_encrypted or pdf.owner_password_matched:
        return []
    return [right for right, flags in _RIGHTS.items() if not all(getattr(pdf.allow, flag) for flag in flags)]


def permissions(rights: list[str]) -> pikepdf.Permissions:
    """These rights, and reading by assistive programs, which is never denied."""
    flags = {flag: right in rights for right, names in _RIGHTS.items() for flag in names}
    return pikepdf.Permissions(accessibility=True, **flags)
