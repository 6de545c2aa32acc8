"""File references: the strings that name files in arguments.

``artifact:<id>``       a file this principal uploaded or a job of theirs made
``data:<type>;base64,…`` the bytes themselves, for small files
``root:<name>/<path>``  a file under a folder the operator opened with ``OFFLOOP_FILE_ROOTS``
``https://…``, ``http://…``  a file the worker fetches, where ``OFFLOOP_FETCH_HOSTS`` allows its host

A folder is named in the form of a root, or by ``root:<name>`` alone (`FolderReference`).

A job's input declares a field of type `FileReference`. The front end checks ownership before it queues the job; the
worker opens the file (``context.open(reference)``).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from offloop.errors import BadInput
from offloop.urls import cleaned, trimmed

_ARTIFACT = re.compile(r"[A-Za-z0-9_-]{16,64}")
_RESOURCE = re.compile(r"^offloop://artifacts/")
"""Start of the URI under which an artifact is listed as an MCP resource."""
_ROOT = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64})/(?P<path>.+)", re.DOTALL)
_ROOT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MIME = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_FORMS = "artifact:<id>, data:<type>;base64,<bytes>, root:<name>/<path> or https://<host>/<path>"
_MAX_URL = 8192
_SCHEMES = ("artifact", "data", "root", "https", "http")

_FOLDER_FORMS = "root:<name> or root:<name>/<path>"


class Scheme(StrEnum):
    """Location of a referenced file."""

    ARTIFACT = "artifact"
    DATA = "data"
    ROOT = "root"
    URL = "https"


class FileReference(str):
    """A checked file reference; a plain string on the wire and in JSON schemas."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate the form with the model; existence of the file is checked later."""
        return core_schema.no_info_after_validator_function(cls._checked, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the forms, for the model that reads the schema."""
        return {
            "type": "string",
            "format": "file-reference",
            "description": f"A file: {_FORMS}.",
            "pattern": "^(artifact|data|root|https?):",
        }

    @classmethod
    def _checked(cls, text: str) -> FileReference:
        try:
            return cls(written(text))
        except BadInput as error:
            raise ValueError(error.message) from None


class FolderReference(FileReference):
    """A checked reference of a folder: ``root:<name>``, or ``root:<name>/<path>`` for one below it.

    `references` yields it as a file reference, so its root is checked before the job is queued, and two jobs over one
    folder never share a result.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the two forms, for the model that reads the schema."""
        return {
            "type": "string",
            "format": "folder-reference",
            "description": f"A folder: {_FOLDER_FORMS}.",
            "pattern": "^root:",
        }

    @classmethod
    def _checked(cls, text: str) -> FolderReference:
        found = cls(text)
        try:
            parse(found)
        except BadInput as error:
            raise ValueError(error.message) from None
        return found


@dataclass(frozen=True, slots=True)
class Parsed:
    """Parts of a reference.

    Attributes:
        scheme: its form.
        name: the artifact's id, the data's MIME type, the root's name, or the whole URL.
        path: the path under the root, ``""`` for the others.
        content: the decoded bytes of ``data:``, ``b""`` for the others.
        charset: the one that ``data:`` declares, ``""`` for none.
    """

    scheme: Scheme
    name: str
    path: str = ""
    content: bytes = b""
    charset: str = ""


def written(text: str) -> str:
    """A reference in the form in which it is kept: without the blanks around it, the scheme in lower case.

    Raises:
        BadInput: the text has none of the forms.
    """
    whole = _RESOURCE.sub("artifact:", trimmed(text))
    scheme, _, rest = whole.partition(":")
    scheme = scheme.lower()
    if scheme == Scheme.ROOT:
        rest = text.partition(":")[2]  # the name of a file may end with a blank
    text = f"{scheme}:{rest}" if scheme in _SCHEMES else whole
    if scheme in ("https", "http"):
        text = cleaned(text)
    parse(text)
    return text


def parse(text: str) -> Parsed:
    """Parse a reference.

    Raises:
        BadInput: the text has none of the forms, or the data does not decode.
    """
    if isinstance(text, FolderReference):
        return _parse_folder(text)
    scheme, _, rest = text.partition(":")
    short = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 -- one line of a terminal
    match scheme:
        case Scheme.ARTIFACT if _ARTIFACT.fullmatch(rest):
            return Parsed(Scheme.ARTIFACT, rest)
        case Scheme.ROOT if (found := _ROOT.fullmatch(rest)) and "\0" not in rest:
            return Parsed(Scheme.ROOT, found["name"], found["path"])
        case Scheme.DATA:
            return _parse_data(rest)
        # The policy decides about the host later; unprintable characters could hide which host that is.
        case "https" | "http" if rest.startswith("//") and len(text) <= _MAX_URL and text.isprintable():
            return Parsed(Scheme.URL, text)
    message = f"{short!r} is not a file reference: send {_FORMS}. Upload larger files with create_upload."
    raise BadInput(message)


def _parse_folder(text: str) -> Parsed:
    scheme, _, rest = text.partition(":")
    name, _, path = rest.partition("/")
    if scheme == Scheme.ROOT and _ROOT_NAME.fullmatch(name) and "\0" not in path:
        return Parsed(Scheme.ROOT, name, path.removesuffix("/"))
    short = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 -- one line of a terminal
    message = f"{short!r} is not a folder reference: send {_FOLDER_FORMS}, with a root the operator opened."
    raise BadInput(message)


def _parse_data(rest: str) -> Parsed:
    header, comma, body = rest.partition(",")
    mime, *parameters = header.split(";")
    mime = mime.strip() or "text/plain"
    if not comma or not _MIME.fullmatch(mime):
        message = "the data: reference has no '<type>;base64,' before its bytes: send data:<type>;base64,<bytes>"
        raise BadInput(message)
    try:
        raw = unquote_to_bytes(body)
    except UnicodeEncodeError:
        message = "the data: reference has half of a surrogate pair, which no text has: encode the bytes in base64"
        raise BadInput(message) from None
    if "base64" in (parameter.strip().lower() for parameter in parameters):
        try:
            raw = base64.b64decode(b"".join(raw.split()), validate=True)
        except binascii.Error as error:
            message = f"the data: reference is not valid base64 ({error}): encode the bytes again"
            raise BadInput(message) from None
    named = (parameter.partition("=") for parameter in parameters)
    charset = next((value.strip(" \"'") for name, _, value in named if name.strip().lower() == "charset"), "")
    return Parsed(Scheme.DATA, mime, content=raw, charset=charset)


def references(value: object) -> Iterator[FileReference]:
    """Yield every file reference inside a validated model, at any depth, in order."""
    if isinstance(value, FileReference):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from references(item)
