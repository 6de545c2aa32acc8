"""Files of a kind that reads many: a folder with a selection, or references by name."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from offloop.kinds.kind import Model
from offloop.kinds.references import FileReference, FolderReference

MAX_FILES: Final = 500_000
"""Files of one job, and lines of a manifest."""

MAX_NAMED: Final = 1_000
"""Files that a call may name one by one."""


def _named(name: str) -> str:
    if not name or "\0" in name or not name.isprintable():
        message = f"the name {name[:60]!r} is empty or has control characters: use a plain file name or path"
        raise ValueError(message)
    if any(part in {"", ".", ".."} for part in name.split("/")):
        message = (
            f"the name {name[:60]!r} is no path inside a folder: leave out a slash at its beginning or end, and parts "
            "that are empty, . or .., as in docs/a.txt"
        )
        raise ValueError(message)
    return name


Name = Annotated[str, Field(max_length=1024), AfterValidator(_named)]
Pattern = Annotated[str, Field(min_length=1, max_length=500)]
Patterns = Annotated[list[Pattern], Field(max_length=50)]
Links = Literal["skip", "record", "error"]


class Selection(Model):
    """A folder with a selection of what is in it, or a few files by name."""

    folder: FolderReference | None = Field(None, description="The folder: root:<name> or root:<name>/<path>.")
    files: Annotated[dict[Name, FileReference], Field(max_length=MAX_NAMED)] | None = Field(
        None, description='Instead of a folder, files by the name they shall have: {"a.txt": "artifact:…"}.'
    )
    include: Patterns = Field(
        [], description="Only files that one of these matches: *.txt (at any depth), docs/**, src/*.py. Default: all."
    )
    exclude: Patterns = Field([], description="Not the files and folders that one of these matches, such as .git.")
    hidden: bool = Field(default=True, description="Whether names that begin with a dot count.")
    max_files: Annotated[int, Field(ge=1, le=MAX_FILES)] = Field(
        100_000, description=f"The job fails if there are more files; at most {MAX_FILES}."
    )


class Trouble(Model):
    """A file that could not be read."""

    path: str
    reason: str
