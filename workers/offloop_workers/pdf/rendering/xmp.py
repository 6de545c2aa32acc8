"""XMP metadata packet of a PDF, with the extension schema of Factur-X."""

from __future__ import annotations

import re
from typing import Any
from xml.sax.saxutils import escape

from offloop.jobs.pdf import FACTURX_FILES, Page

_FACTURX = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = {
    "DocumentFileName": "name of the embedded XML invoice file",
    "DocumentType": "type of the embedded document",
    "Version": "version of the XML schema of the invoice",
    "ConformanceLevel": "profile of the XML invoice",
}
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DESCRIPTION = b"<rdf:Description"
_NAMESPACE = re.compile(rb' xmlns:(?!rdf=)(\w+)="[^"]*"')


def clean(metadata: Any) -> None:
    """Replace characters that XML forbids: a single control character makes the whole packet unreadable."""
    for name in ("title", "description", "generator"):
        if text := getattr(metadata, name):
            setattr(metadata, name, _NO_XML.sub(" ", text))
    for name in ("authors", "keywords"):
        setattr(metadata, name, [_NO_XML.sub(" ", text) for text in getattr(metadata, name)])


def extend(metadata: Any, page: Page) -> None:
    """Add the request's Factur-X metadata to WeasyPrint's packet, and write it in a form that every validator reads."""
    generate = metadata.generate_rdf_metadata

    def generated(*arguments: Any) -> bytes:
        rdf: bytes = _local(generate(*arguments))
        end = b"</rdf:RDF>"
        # Inside the one root that a packet may have; WeasyPrint would append a second root.
        return rdf.replace(end, _facturx(page).encode() + end) if page.facturx else rdf

    metadata.generate_rdf_metadata = generated


def _local(rdf: bytes) -> bytes:
    """Declare each namespace where it is used: equal as XML, but PDFBox finds a schema only by its declaration."""
    root, *descriptions = rdf.split(_DESCRIPTION)
    declared = {found[1]: found[0] for found in _NAMESPACE.finditer(root)}
    parts = [_NAMESPACE.sub(b"", root)]
    for description in descriptions:
        used = [text for prefix, text in declared.items() if re.search(rb"[\s<]" + prefix + b":", description)]
        parts.append(_DESCRIPTION + b"".join(used) + description)
    return b"".join(parts)


def _facturx(page: Page) -> str:
    """The Factur-X properties, and the extension schema for them that PDF/A requires."""
    name = next(attachment.name for attachment in page.attachments if attachment.name in FACTURX_FILES)
    values = {
        "DocumentFileName": name,
        "DocumentType": "INVOICE",
        "Version": "1.0",
        "ConformanceLevel": str(page.facturx),
    }
    given = "".join(f"<fx:{key}>{escape(value)}</fx:{key}>" for key, value in values.items())
    descriptions = "".join(
        f'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>{key}</pdfaProperty:name>'
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{meaning}</pdfaProperty:description></rdf:li>"
        for key, meaning in _PROPERTIES.items()
    )
    extension = "http://www.aiim.org/pdfa/ns/extension/"
    schema = "http://www.aiim.org/pdfa/ns/schema#"
    properties = "http://www.aiim.org/pdfa/ns/property#"
    return (
        f'<rdf:Description rdf:about="" xmlns:fx="{_FACTURX}">{given}</rdf:Description>'
        f'<rdf:Description rdf:about="" xmlns:pdfaExtension="{extension}" xmlns:pdfaSchema="{schema}" '
        f'xmlns:pdfaProperty="{properties}"><pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">'
        "<pdfaSchema:schema>Factur-X PDF/A extension schema</pdfaSchema:schema>"
        f"<pdfaSchema:namespaceURI>{_FACTURX}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{descriptions}</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag>"
        "</pdfaExtension:schemas></rdf:Description>"
    )
