"""Document state between the steps of edit_pdf."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pikepdf
from pikepdf import Name

from offloop.errors import JobError
from offloop_workers.pdf.reading import claims

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
        version: the least PDF version of the result.
    """

    pdf: pikepdf.Pdf
    title: str
    locked: bool = False
    encryption: pikepdf.Encryption | None = None
    compact: bool = False
    linear: bool = False
    pages: list[pikepdf.Page] = field(init=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """List the pages once: each access by index in the library takes linear time."""
        self.pages = list(self.pdf.pages)
        self.version = version(self.pdf)

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
        if not claims.has_xmp(self.pdf):
            options["fix_metadata_version"] = False  # would fail on XMP metadata that cannot be read
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pikepdf.PageCopyWarning)  # such widgets were in the source
            self.pdf.save(file, linearize=self.linear, min_version=self.version, **options)


def version(pdf: pikepdf.Pdf) -> str:
    """The PDF version of a document: that of its header, or the later one of its catalogue."""
    declared: Any = pdf.Root.get("/Version")
    found = [pdf.pdf_version, str(declared)[1:] if isinstance(declared, Name) else ""]
    return max(one for one in found if re.fullmatch(r"[12]\.\d", one) or one == found[0])


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
