"""What a document may load: its own assets and ``data:`` URLs. Never a file of the worker, never the network."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import unquote, urljoin, urlsplit

from weasyprint.urls import URLFetcher, URLFetcherResponse

from offloop.job import Context
from offloop.references import FileReference, Scheme, parse
from offloop_workers.pdf import pictures

BASE = "https://assets.offloop.invalid/"
"""Where relative URLs point; a name that no resolver knows, and that nobody asks."""

_MAX_SHOWN = 120


class Refused(ValueError):  # noqa: N818 -- WeasyPrint logs the name of the class, and `notices` looks for it
    """A resource the document may not load, or that was not given."""


class JobFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint ships no types
    """The fetcher of one job.

    Everything WeasyPrint loads for a document passes here, except what is given to it as a file name or as a string
    to guess at; offloop never does that.
    """

    def __init__(self, assets: Mapping[str, FileReference], context: Context) -> None:
        """Serve the assets by the names the document uses for them."""
        super().__init__(allowed_protocols=("data",), allow_redirects=False)
        self._assets = {_plain(name): (name, reference) for name, reference in assets.items()}
        self._context = context
        self._used: set[str] = set()

    @property
    def unused(self) -> list[str]:
        """Assets that the document did not ask for, in the order they were given."""
        return [name for name, _ in self._assets.values() if name not in self._used]

    def serves(self, href: str) -> bool:
        """Whether the target of a link in the document would be loaded."""
        href = href.strip()
        return href[:5].lower() == "data:" or any(key in self._assets for key in _keys(_absolute(href)))

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> URLFetcherResponse:
        """Answer with the asset or the decoded ``data:`` URL.

        Raises:
            Refused: anything else; the answer gets a warning that names it.
        """
        if url[:5].lower() == "data:":
            with closing(super().fetch(url, headers)) as response:
                return self._checked(url, response.read(), dict(response.headers), url)
        for key in _keys(url):
            if found := self._assets.get(key):
                return self._serve(url, *found)
        raise self._refuse(url)

    def _serve(self, url: str, name: str, reference: FileReference) -> URLFetcherResponse:
        self._used.add(name)
        with self._context.open(reference) as file:
            return self._checked(url, file.read(), {"Content-Type": _mime_type(name, reference)}, name)

    def _checked(self, url: str, content: bytes, headers: Mapping[str, str], name: str) -> URLFetcherResponse:
        if fault := pictures.fault(content):
            self._context.warn(f"{_short(name)!r} was left out: {fault}.")
            raise Refused(fault)
        return URLFetcherResponse(url, content, headers)

    def _refuse(self, url: str) -> Refused:
        relative = url.removeprefix(BASE)
        shown = _short(unquote(relative) if relative != url else url)
        reason = "a document may not fetch anything" if relative == url else "no asset has that name"
        self._context.warn(
            f"{shown!r} was left out: {reason}. Pass the file in assets under the name the document uses for it, "
            "or inside the document as a data: URL."
        )
        return Refused(shown)


def _short(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN else name[: _MAX_SHOWN - 3] + "..."


def _absolute(href: str) -> str:
    try:
        return urljoin(BASE, href)
    except ValueError:
        return href


def _plain(name: str) -> str:
    return name.removeprefix("./").lstrip("/")


def _keys(url: str) -> list[str]:
    """The names an asset may have for this URL, the most exact first."""
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
