"""Document state between the steps of edit_pdf."""

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
    """A document, and the options that it will be written with.

    Attributes:
        pdf: the document itself.
        title: text of its bookmark after a merge.
        locked: the source is encrypted, and no step has decided on the encryption of the result.
        encryption: encryption of the result.
        compact: compress all streams.
        linear: linearise the result, for page-by-page loading.
        pages: the pages of `pdf`; a step that changes them updates the list.
    """

    pdf: pikepdf.Pdf
    title: str
    locked: bool = False
    encryption: pikepdf.Encryption | None = None
    compact: bool = False
    linear: bool = False
    pages: list[pikepdf.Page] = field(init=False)

    def __post_init__(self) -> None:
        """List the pages once: each access by index in the library takes linear time."""
        self.pages = list(self.pdf.pages)

    def save(self, file: BinaryIO) -> None:
        """Write the document.

        Raises:
            JobError: ``still_encrypted``: no step has decided on the encryption.
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
    """The rights that an encrypted document denies to its user; none where it was opened with the owner password."""
    if not pdf.is_encrypted or pdf.owner_password_matched:
        return []
    return [right for right, flags in _RIGHTS.items() if not all(getattr(pdf.allow, flag) for flag in flags)]


def permissions(rights: list[str]) -> pikepdf.Permissions:
    """Permissions for these rights, and for assistive programs, which are never denied."""
    flags = {flag: right in rights for right, names in _RIGHTS.items() for flag in names}
    return pikepdf.Permissions(accessibility=True, **flags)


def copied(pdf: pikepdf.Pdf, source: pikepdf.Pdf, value: Any) -> Any:
    """A copy of an array, dictionary or stream of another document."""
    return pdf.copy_foreign(value if value.is_indirect else source.make_indirect(value))
