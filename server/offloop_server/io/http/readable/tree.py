"""The tree of a page; no other module knows the parser, so that it can be exchanged.

Members of the tree that the package uses: ``children``, ``parent``, ``text``, ``find`` and ``find_all`` of every node;
``tag``, ``attr`` and ``attrs`` of elements; ``data`` of text. Names of elements have a prefix in XML only.
"""

from __future__ import annotations

from collections.abc import Sequence

from turbohtml import CData, Document, Element, Feed, HTMLParseError, Node, Text, parse, parse_xml

__all__ = ["CData", "Document", "Element", "Feed", "MalformedError", "Node", "Text"]


class MalformedError(ValueError):
    """XML is not well-formed."""


def from_html(source: str | bytes) -> Document:
    """The tree of a page, by the HTML standard; every source has one."""
    return parse(source, positions=False)


def from_xml(source: str) -> Document:
    """The tree of XML; entities that it declares are not expanded.

    Raises:
        MalformedError: it is not well-formed.
    """
    try:
        return parse_xml(source)
    except HTMLParseError as error:
        raise MalformedError(str(error)) from None


def fragment(source: str | bytes) -> Sequence[Node]:
    """Nodes in the body of the page that this source is."""
    return [node for body in from_html(source).find_all("body") for node in body.children]


def seen_children(node: Node) -> Sequence[Node]:
    """The children of a node as they are shown: with those of a shadow tree, and in its slots."""
    shadow = isinstance(node, Element) and node.shadow_root is not None
    return node.flattened_children if shadow else node.children


def is_html(element: Element) -> bool:
    """Whether an element is one of HTML, and not of a drawing or formula."""
    return element.namespace.value == "html"


def refresh(document: Document, base: str) -> tuple[float, str] | None:
    """Delay, in seconds, and target of a page's refresh; None without one, or where its address is no URL."""
    try:
        return document.meta_refresh(base)
    except ValueError:
        return None


def feed(document: Document) -> Feed | None:
    """The feed in an XML document; None where it has none."""
    if document.root and document.root.tag == "rss" and "version" not in document.root.attrs:
        document.root.attrs["version"] = "2.0"  # without one the library takes it for no feed
    try:
        return document.feed()
    except ValueError:  # of an address in it
        return None
