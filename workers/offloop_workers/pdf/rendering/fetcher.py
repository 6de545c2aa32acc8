"""Resource fetcher of a document: assets of the request and ``data:`` URLs, never a file of the worker.

Resources on the network are loaded only where the request allows it, and by the context, which applies the outbound
policy; WeasyPrint itself never gets a connection.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import unquote, urljoin, urlsplit

from weasyprint.urls import URLFetcher, URLFetcherResponse

from offloop.charsets.text import decoded
from offloop.errors import JobError
from offloop.kinds.context import Context
from offloop.kinds.references import FileReference, Scheme, parse
from offloop.urls import shown
from offloop_workers.pdf.rendering import pictures

BASE = "https://assets.offloop.invalid/"
"""Base of relative URLs; a name that never resolves and is never looked up."""

_MAX_NAME = 120
_MAX_TEXT = 20_000_000
_CSS = "text/css"


class Refused(ValueError):  # noqa: N818 -- WeasyPrint logs the name of the class, and `renderer_log` looks for it
    """A resource that the document may not load, or that the request lacks."""


class JobFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint ships no types
    """Fetcher of one job.

    Everything WeasyPrint loads for a document passes here, except for its arguments that are file names or strings to
    guess at; offloop uses neither.

    Args:
        assets: files of the request by name.
        context: opens assets, fetches remote resources, takes warnings.
        allow_fetch: load other resources from the network.

    Attributes:
        base: the document's own base URL, for relative names that are not assets; ``""`` for none.
    """

    def __init__(self, assets: Mapping[str, FileReference], context: Context, *, allow_fetch: bool = False) -> None:
        super().__init__(allowed_protocols=("data",), allow_redirects=False)
        self._assets = {_plain(name): (name, reference) for name, reference in assets.items()}
        self._context = context
        self._used: set[str] = set()
        self._allow_fetch = allow_fetch
        self.base = ""

    @property
    def unused(self) -> list[str]:
        """Assets that the document did not load, in the order of the request."""
        return [name for name, _ in self._assets.values() if name not in self._used]

    def serves(self, href: str) -> bool:
        """Whether a URL in the document is an asset or ``data:``."""
        href = href.strip()
        return href[:5].lower() == "data:" or any(key in self._assets for key in _keys(_absolute(href)))

    def sheet(self, href: str) -> str:
        """The text of a linked style sheet that is an asset, or ``""``."""
        found = next((self._assets[key] for key in _keys(_absolute(href.strip())) if key in self._assets), None)
        if not found:
            return ""
        with self._context.open(found[1]) as file:
            return decoded(
                file.read(_MAX_TEXT), _CSS, parse(found[1]).charset
            ).text  # it is told where the sheet is served

    def text(self, name: str) -> str | None:
        """The text of an asset, such as a template; None where none has that name.

        Raises:
            JobError: ``unreadable_file``: the asset is no text.
        """
        found = self._assets.get(_plain(name))
        if not found:
            return None
        self._used.add(found[0])
        with self._context.open(found[1]) as file:
            content = file.read(_MAX_TEXT)
        text = self._text(content, name, _mime_type(*found), parse(found[1]).charset)
        if "\0" in text:
            message = f"The asset {_short(name)!r} is used as a template but is no text: save it as text in UTF-8."
            raise JobError(message, code="unreadable_file")
        return text

    def _text(self, content: bytes, name: str, mime_type: str, charset: str = "") -> str:
        """Decode a file, and warn of a guessed charset and of bytes that did not decode."""
        found = decoded(content, mime_type, charset)
        for note in found.notes:
            self._context.warn(f"{_short(name)!r}: {note}")
        return found.text

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> URLFetcherResponse:
        """The asset, the decoded ``data:`` URL, or, where allowed, the remote resource.

        Raises:
            Refused: any other URL; a warning names it.
        """
        if url[:5].lower() == "data:":
            return self._decoded(url, headers)
        for key in _keys(url):
            if found := self._assets.get(key):
                return self._serve(url, *found)
        if self._allow_fetch and (remote := self._remote(url)):
            return self._from_network(remote)
        raise self._refuse(url)

    def _decoded(self, url: str, headers: Mapping[str, str] | None) -> URLFetcherResponse:
        try:
            with closing(super().fetch(url, headers)) as response:
                content, found = response.read(), dict(response.headers)
        except ValueError:
            self._context.warn(f"{_short(url)!r} was left out: it is not a data: URL, or its base64 does not decode.")
            raise Refused(_short(url)) from None
        return self._checked(url, content, found, url)

    def _remote(self, url: str) -> str:
        """The absolute HTTP URL of a resource that is not an asset; ``""`` where it has none."""
        relative = url.removeprefix(BASE)
        absolute = url if relative == url else urljoin(self.base, relative) if self.base else ""
        return absolute if absolute[:8].lower().startswith(("http://", "https://")) else ""

    def _from_network(self, url: str) -> URLFetcherResponse:
        try:
            fetched = self._context.fetch(url)
            content = fetched.path.read_bytes()
        except JobError as error:
            self._context.warn(f"{shown(url)!r} was left out: {error.message}")
            raise Refused(shown(url)) from None
        if fetched.mime_type == _CSS:
            return self._style(url, content, url, fetched.charset)
        return self._checked(url, content, {"Content-Type": fetched.mime_type}, url)

    def _serve(self, url: str, name: str, reference: FileReference) -> URLFetcherResponse:
        self._used.add(name)
        mime_type = _mime_type(name, reference)
        with self._context.open(reference) as file:
            content = file.read()
        if mime_type == _CSS:
            return self._style(url, content, name, parse(reference).charset)
        return self._checked(url, content, {"Content-Type": mime_type}, name)

    def _style(self, url: str, content: bytes, name: str, charset: str = "") -> URLFetcherResponse:
        return URLFetcherResponse(url, self._text(content, name, _CSS, charset), {"Content-Type": _CSS})

    def _checked(self, url: str, content: bytes, headers: Mapping[str, str], name: str) -> URLFetcherResponse:
        try:
            content = pictures.prepared(content, _short(name), self._context)
        except pictures.Unusable as fault:
            self._context.warn(f"{_short(name)!r} was left out: {fault}.")
            raise Refused(str(fault)) from None
        return URLFetcherResponse(url, content, headers)

    def _refuse(self, url: str) -> Refused:
        relative = url.removeprefix(BASE)
        name = _short(unquote(relative) if relative != url else url)
        reason = "a document may not fetch anything" if relative == url else "no asset has that name"
        self._context.warn(
            f"{name!r} was left out: {reason}. Pass the file in assets under the name the document uses for it, "
            "or inside the document as a data: URL."
        )
        return Refused(name)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 3] + "..."


def _absolute(href: str) -> str:
    try:
        return urljoin(BASE, href)
    except ValueError:
        return href


def _plain(name: str) -> str:
    return name.removeprefix("./").lstrip("/")


def _keys(url: str) -> list[str]:
    """The asset names that this URL may refer to, the most exact first."""
    relative = url.removeprefix(BASE)
    if relative == url:
        return [url]
    path = urlsplit(url).path.lstrip("/")
    return [relative, unquote(relative), path, unquote(path)]


def _mime_type(name: str, reference: FileReference) -> str:
    guessed, _ = mimetypes.guess_type(name)
    if guessed:
        return guessed
    parsed = parse(reference)
    return parsed.name if parsed.scheme is Scheme.DATA else "application/octet-stream"
