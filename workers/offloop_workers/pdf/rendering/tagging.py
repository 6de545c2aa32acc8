"""Tagged PDF: what screen readers need of a file's structure and WeasyPrint leaves undone, found with a validator.

Elements are changed between layout and writing, so that no style sheet sees the changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pydyf  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SVG: Final = "{http://www.w3.org/2000/svg}"
_DECORATION: Final = "\ue000offloop:decoration"


def prepare(root: Element) -> None:
    """Make explicit in the document what the renderer does not infer from it."""
    for row in root.iter("tr"):
        # A header cell beside data belongs to its row, as in HTML; the renderer assigns it to its column.
        if {"th", "td"} <= {cell.tag for cell in row}:
            for cell in row:
                if cell.tag == "th" and cell.get("scope") is None:
                    cell.set("scope", "row")
    for picture in root.iter("img"):
        if picture.get("alt") == "":
            picture.set("alt", _DECORATION)


def undescribed_pictures(root: Element) -> int:
    """The number of pictures without a text alternative; those marked as decoration need none."""
    drawings = sum(not (drawing.findtext(f"{SVG}title") or "").strip() for drawing in root.iter(f"{SVG}svg"))
    return drawings + sum(picture.get("alt") is None for picture in root.iter("img"))


def repair(pdf: Any) -> None:
    """Correct the structure tree of a finished PDF, if it has one."""
    if "StructTreeRoot" not in pdf.catalog:
        return
    objects: dict[bytes, Any] = {found.reference: found for found in pdf.objects}
    elements = {reference: found for reference, found in objects.items() if _is_element(found)}
    for element in list(elements.values()):
        if element["S"] == "/LI":
            _give_body(pdf, element, elements)
        elif element["S"] == "/Figure" and getattr(element.get("Alt"), "string", "") == _DECORATION:
            _make_artifact(pdf, element, objects)


def _is_element(found: Any) -> bool:
    return isinstance(found, dict) and found.get("Type") == "/StructElem"


def _give_body(pdf: Any, item: Any, elements: dict[bytes, Any]) -> None:
    """Wrap the content of a list item, beside its label, in a body."""
    inside = [kid for kid in item["K"] if kid in elements and elements[kid]["S"] != "/Lbl"]
    if all(elements[kid]["S"] == "/LBody" for kid in inside):
        return
    body = pydyf.Dictionary({"Type": "/StructElem", "S": "/LBody", "Pg": item["Pg"], "P": item.reference})
    body["K"] = pydyf.Array(inside)
    pdf.add_object(body)
    item["K"][:] = [*(kid for kid in item["K"] if kid not in inside), body.reference]
    for kid in inside:
        elements[kid]["P"] = body.reference
        if elements[kid]["S"] == "/LBody":
            elements[kid]["S"] = "/Div"


def _make_artifact(pdf: Any, figure: Any, objects: dict[bytes, Any]) -> None:
    """Turn a decorative figure into an artifact, which is no part of the structure."""
    number = figure["K"][-1]
    page = objects[figure["Pg"]]
    parents = objects[objects[pdf.catalog["StructTreeRoot"]]["ParentTree"]]["Nums"][2 * page["StructParents"] + 1]
    drawn = objects[page["Contents"]].stream
    for index, operand in enumerate(drawn):
        if isinstance(operand, dict) and operand.get("MCID") == number:
            drawn[index - 1 : index + 2] = ["/Artifact", b"BMC"]
            parents[number] = "null"
            objects[figure["P"]]["K"].remove(figure.reference)
            figure.clear()
            return
    # Drawn elsewhere, such as in a transparency group: an element without a meaning instead.
    figure["S"] = "/NonStruct"
    del figure["Alt"], figure["A"]
