"""What a document may load: its own assets and ``data:`` URLs. Never a file of the worker, never the network."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from weasyprint.urls import URLFetcher, URLFetcherResponse

from offloop.job import Context
from offloop.references import FileReference, Scheme, parse

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

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> URLFetcherResponse:
        """Answer with the asset or the decoded ``data:`` URL.

        Raises:
            Refused: anything else; the answer gets a warning that names it.
        """
        if url[:5].lower() == "data:":
            return super().fetch(url, headers)
        for key in _keys(url):
            if found := self._assets.get(key):
                return self._serve(url, *found)
        raise self._refuse(url)

    def _serve(self, url: str, name: str, reference: FileReference) -> URLFetcherResponse:
        self._used.add(name)
        file: BinaryIO = self._context.open(reference)
        return URLFetcherResponse(url, file, {"Content-Type": _mime_type(name, reference)})

    def _refuse(self, url: str) -> Refused:
        relative = url.removeprefix(BASE)
        shown = unquote(relative) if relative != url else url
        shown = shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "..."
        reason = "a document may not fetch anything" if relative == url else "no asset has that name"
        self._context.warn(
            f"{shown!r} was left out: {reason}. Pass the file in assets under the name the document uses for it, "
            "or inside the document as a data: URL."
        )
        return Refused(shown)


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
