"""Hostile PDFs, written byte by byte or with pikepdf."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from hostile.compressed import repeated

CANARY = "canary-7f3a91"
HOST_FILE = "/etc/passwd"


def data(content: bytes) -> str:
    """The bytes as a data URL."""
    return "data:application/pdf;base64," + base64.b64encode(content).decode()


def raw(*objects: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of these objects, numbered from 1, with a cross-reference table."""
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, one in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    return bytes(out + b"trailer\n<</Size %d %s>>\nstartxref\n%d\n%%%%EOF\n" % (count, trailer, start))


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<</Length %d %s>>\nstream\n%s\nendstream" % (len(content), entries, content)


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
ONE_PAGE = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<<>>/Contents 4 0 R>>"
PLAIN = raw(CATALOG, ONE_PAGE, PAGE, stream(b"0 0 100 100 re f"))


def changed(change: Callable[[pikepdf.Pdf], None], **save: object) -> bytes:
    """A PDF with one page, after a change."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(PLAIN)) as pdf:
        change(pdf)
        pdf.save(out, **save)  # type: ignore[arg-type]  # whatever save() takes
    return out.getvalue()


def bombed(decompressed: int, layers: int = 1) -> bytes:
    """A page whose content decompresses to that many bytes."""
    content = repeated(ord(" "), decompressed)
    for _ in range(layers - 1):
        content = zlib.compress(content, 9)
    filters = b"/Filter[" + b"/FlateDecode " * layers + b"]"
    return raw(CATALOG, ONE_PAGE, PAGE, stream(content, filters))


def many_pages(count: int) -> bytes:
    """One page, that many times."""
    kids = b"3 0 R " * count
    return raw(CATALOG, b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids), PAGE, stream(b""))


def deep_pages(depth: int) -> bytes:
    """A page tree of that depth."""
    groups = [b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (number + 3) for number in range(depth)]
    return raw(CATALOG, *groups, PAGE.replace(b"/Contents 4 0 R", b""))


def with_image(content: bytes, filters: bytes, size: tuple[int, int] = (100, 100)) -> bytes:
    """A page that draws one picture."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<</XObject<</Im 5 0 R>>>>/Contents 4 0 R>>"
    entries = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter %s"
    return raw(
        CATALOG, ONE_PAGE, page, stream(b"300 0 0 300 0 0 cm /Im Do"), stream(content, entries % (*size, filters))
    )


def self_drawing() -> bytes:
    """A page whose form draws itself twice."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<</XObject<</Fm 5 0 R>>>>/Contents 4 0 R>>"
    form = stream(b"/Fm Do /Fm Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</Fm 5 0 R>>>>")
    return raw(CATALOG, ONE_PAGE, page, stream(b"/Fm Do"), form)


def billion_forms(levels: int = 30) -> bytes:
    """Forms that each draw the next one ten times."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Resources<</XObject<</Fm 5 0 R>>>>/Contents 4 0 R>>"
    forms = [
        stream(
            b"/Fm Do " * 10,
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</Fm %d 0 R>>>>" % (number + 6),
        )
        for number in range(levels)
    ]
    last = stream(b"0 0 1 1 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]")
    return raw(CATALOG, ONE_PAGE, page, stream(b"/Fm Do"), *forms, last)


def looping_outline() -> bytes:
    """A bookmark that is its own next sibling and child."""

    def change(pdf: pikepdf.Pdf) -> None:
        item = pdf.make_indirect(Dictionary(Title=String("again")))
        item.Next = item.First = item.Parent = item
        pdf.Root.Outlines = pdf.make_indirect(Dictionary(First=item, Last=item, Count=1))

    return changed(change)


def looping_names() -> bytes:
    """Name trees that contain themselves."""

    def change(pdf: pikepdf.Pdf) -> None:
        tree = pdf.make_indirect(Dictionary())
        tree.Kids = Array([tree, tree])
        pdf.Root.Names = Dictionary(Dests=tree, EmbeddedFiles=tree, JavaScript=tree)
        pdf.Root.PageLabels = tree

    return changed(change)


def scripted() -> bytes:
    """A PDF with scripts and launch actions in every allowed position."""

    def change(pdf: pikepdf.Pdf) -> None:
        script = Dictionary(S=Name.JavaScript, JS=String(f"app.alert('{CANARY}')"))
        launch = pdf.make_indirect(Dictionary(S=Name.Launch, F=String("/bin/sh"), Next=script))
        pdf.Root.OpenAction = launch
        pdf.Root.AA = Dictionary(WC=script)
        pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([String("run"), script])))
        page = pdf.pages[0].obj
        page.AA = Dictionary(O=script)
        link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 300, 300]), A=launch)
        page.Annots = Array([pdf.make_indirect(link)])

    return changed(change)


def xmp(content: str) -> bytes:
    """A document with this XMP metadata."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Metadata = pdf.make_stream(content.encode(), Type=Name.Metadata, Subtype=Name.XML)

    return changed(change, fix_metadata_version=False)


def entities(*, external: bool) -> str:
    """XML with an external entity, or with entities that expand to gigabytes."""
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    declared = f'<!ENTITY e0 SYSTEM "file://{HOST_FILE}">' if external else f'<!ENTITY e0 "{CANARY}">{bomb}'
    used = "&e0;" if external else "&e11;"
    return (
        f'<?xml version="1.0"?><!DOCTYPE x [{declared}]><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<pdfaid:part>{used}</pdfaid:part><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{used}</rdf:li></rdf:Alt>"
        "</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def attached(name: str) -> bytes:
    """A document with an attachment of that name."""

    def change(pdf: pikepdf.Pdf) -> None:
        pdf.attachments["x"] = pikepdf.AttachedFileSpec(
            pdf, b"#!/bin/sh", filename=name, description="", mime_type="text/plain", creation_date="", mod_date=""
        )

    return changed(change)


def encrypted() -> bytes:
    """A document with a password that the cases do not send."""
    lock = pikepdf.Encryption(user="unguessed", owner="unguessed too", R=6)
    return changed(lambda _pdf: None, encryption=lock)


def sized(box: str) -> bytes:
    """A page with that media box."""
    return PLAIN.replace(b"[0 0 300 300]", f"[{box}]".encode())


def nested(depth: int) -> bytes:
    """Arrays in arrays."""
    return raw(b"<</Type/Catalog/Pages 2 0 R/Deep " + b"[" * depth + b"]" * depth + b">>", ONE_PAGE, PAGE, stream(b""))


def chained(length: int) -> bytes:
    """Annotations that refer to each other in a chain, so that copying one copies all."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Annots[4 0 R]>>"
    links = [b"<</Type/Annot/Subtype/Text/Rect[0 0 1 1]/IRT %d 0 R>>" % (number + 5) for number in range(length)]
    return raw(CATALOG, ONE_PAGE, page, *links, b"<<>>")


def looping_xref() -> bytes:
    """A cross-reference table whose predecessor is itself."""
    start = PLAIN.rindex(b"xref\n0 ")
    return PLAIN.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % start)


def nested_object_streams() -> bytes:
    """An object stream that contains itself."""
    inner = b"4 0 5 2 {} {}"
    holder = stream(inner, b"/Type/ObjStm/N 2/First 8/Extends 4 0 R")
    rows = [(1, 9), (1, 0), (1, 0), (1, 0), (2, 4), (2, 4)]
    table = b"".join(bytes([kind]) + place.to_bytes(4, "big") + b"\0" for kind, place in rows)
    head = b"%PDF-1.7\n4 0 obj\n" + holder + b"\nendobj\n"
    index = stream(table, b"/Type/XRef/Size 6/W[1 4 1]/Root 4 0 R")
    return head + b"6 0 obj\n" + index + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)
