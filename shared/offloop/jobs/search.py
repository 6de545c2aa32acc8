"""Text search: regular expressions of unknown origin over files and text."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from offloop.charsets.decoders import decode, unit
from offloop.charsets.labels import charset_named
from offloop.jobs.files import Selection, Trouble
from offloop.kinds.kind import Model, declare
from offloop.kinds.references import FileReference

MAX_PATTERN: Final = 10_000
"""Characters of one pattern."""

MAX_TEXT: Final = 1_000_000
"""Characters of a text inside the arguments."""

MAX_LINE_MIB: Final = 16
"""MiB of one line; a longer one is searched in parts."""

MAX_MULTILINE_MIB: Final = 32
"""MiB of one file whose matches may span lines: it is held in memory as a whole."""

MAX_LISTED: Final = 2_000
"""Matching lines that one answer lists at most."""

AUTO: Final = "auto"
"""Encoding that a byte order mark decides, or the zeros of wide characters; else UTF-8."""


def _searchable(encoding: str) -> str:
    charset = charset_named(encoding)
    if encoding != AUTO and (charset is None or decode("\n".encode(_codec(charset)), charset)[0] != "\n"):
        message = (
            f"the encoding {encoding[:40]!r} is not known, or has line ends of its own: send auto, or a name of the "
            "WHATWG Encoding Standard, such as utf-8, utf-16le, windows-1252, shift_jis, gb18030 or euc-kr"
        )
        raise ValueError(message)
    return encoding


def _codec(charset: str) -> str:
    return {2: "utf-16-be" if charset == "utf-16be" else "utf-16-le", 4: charset}.get(unit(charset), "ascii")


Encoding = Annotated[str, Field(max_length=40), AfterValidator(_searchable)]
Engine = Literal["re2", "re"]


SearchPattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN)]


class TextToSearch(Selection):
    """Arguments of `search_text`."""

    patterns: Annotated[list[SearchPattern], Field(min_length=1, max_length=20)] = Field(
        description="Regular expressions in the syntax of Python's re; a line matches if one of them does. ^ and $ are "
        "about lines. \\d, \\w, \\s and \\b are about ASCII, unless unicode is true."
    )
    file: FileReference | None = Field(
        None, description="One file: artifact:<id>, root:<name>/<path>, a URL or data:…; or send files, folder or text."
    )
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = Field(
        None, description="Instead of files, the text itself."
    )
    fixed: bool = Field(default=False, description="Patterns are plain text, no regular expressions.")
    ignore_case: bool = Field(default=False, description="Upper and lower case are the same, also for ä and Ä.")
    word: bool = Field(default=False, description="Only whole words: a match begins and ends at \\b.")
    unicode: bool = Field(
        default=False,
        description="\\d, \\w, \\s and \\b are about all of Unicode. Patterns that use them then run in Python's re.",
    )
    multiline: bool = Field(
        default=False,
        description=f"Matches may span lines, in files of at most {MAX_MULTILINE_MIB} MiB. By default each line is "
        "searched by itself, in files of any size.",
    )
    dotall: bool = Field(default=False, description="With multiline: a dot matches line ends too.")
    invert: bool = Field(default=False, description="Lines that no pattern matches, instead of those that one does.")
    before: Annotated[int, Field(ge=0, le=20)] = Field(0, description="Lines of context before each matching line.")
    after: Annotated[int, Field(ge=0, le=20)] = Field(0, description="Lines of context after each matching line.")
    max_matches: Annotated[int, Field(ge=1, le=MAX_LISTED)] = Field(
        100, description="Matching lines that the answer lists; all are counted. save writes all to a file."
    )
    count_only: bool = Field(default=False, description="Counts only: no matching line is listed.")
    stop_early: bool = Field(
        default=False,
        description="Stop after max_matches matching lines; the counts then cover what was searched, and the last line "
        "may have fewer lines after it.",
    )
    encoding: Encoding = Field(
        AUTO,
        description="auto: UTF-8, or UTF-16 or UTF-32. Or a name: shift_jis. Bytes that do not decode become U+FFFD.",
    )
    binary: Literal["skip", "text"] = Field(
        "skip", description="skip: files with a NUL byte in their first 8 KiB are left out, and counted."
    )
    save: bool = Field(default=False, description="Write all matching lines to an artifact (JSON lines).")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = {"text": self.text is not None, "file": self.file, "files": self.files, "folder": self.folder}
        if sum(map(bool, sources.values())) != 1:
            message = "send exactly one of text, file, files ({name: reference}) and folder (root:<name>/<path>)"
            raise ValueError(message)
        if self.dotall and not self.multiline:
            message = "dotall has no effect on single lines: send multiline too, or leave dotall out"
            raise ValueError(message)
        if self.invert and self.multiline:
            message = "invert is about single lines, and multiline about several: leave one of them out"
            raise ValueError(message)
        return self


class Match(Model):
    """A match in a line."""

    pattern: int = Field(description="Number of the pattern, from 1.")
    line: int
    column: int = Field(description="In characters, from 1.")
    end_line: int
    end_column: int = Field(description="Column after the last character.")
    text: str = Field(description="The matched text, its first 200 characters.")
    groups: dict[str, str | None] = Field(
        description="The first 20 groups by name, those without a name by number; null where one took no part."
    )


class MatchingLine(Model):
    """A line with at least one match, or the lines that its matches cover."""

    file: str | None = Field(description="Name or path of the file, where there are several.")
    line: int = Field(description="Number of the line, from 1.")
    byte: int = Field(description="Bytes of the file before the line.")
    text: str = Field(
        description="The line (with multiline, all that its matches cover), or 500 characters of it around the first."
    )
    text_column: int = Field(description="Column at which text begins; 1 unless the line was cut.")
    cut: bool = Field(description="Whether text is only a part of the line.")
    matches: list[Match] = Field(description="The first 10 matches; none with invert.")
    matches_total: int
    before: list[str] = Field(description="Lines before it, each cut to 300 characters.")
    after: list[str] = Field(description="Lines after it, the same.")


class FileMatches(Model):
    """Counts of one file."""

    file: str
    lines: int
    matches: int


class PatternUse(Model):
    """Engine that ran a pattern, and its counts."""

    pattern: int
    engine: Engine = Field(description="re2: linear time, whatever the input; re: Python's, which backtracks.")
    reason: str | None = Field(description="For re: the part of the pattern that RE2 cannot run, or why it is unused.")
    matches: int


class TextFound(Model):
    """Output of `search_text`."""

    matches: list[MatchingLine] = Field(description="In the order of files and lines.")
    lines_total: int = Field(description="Matching lines in all; with invert, lines without a match.")
    matches_total: int = Field(description="Matches in all, several in one line included.")
    truncated: bool = Field(description="Whether there are more matching lines than listed.")
    stopped: bool = Field(description="Whether the search ended before the end (stop_early).")
    files: list[FileMatches] = Field(description="Files with a matching line, the first 100.")
    files_matched: int
    files_searched: int
    bytes: int = Field(description="Bytes that were searched.")
    patterns: list[PatternUse]
    skipped: dict[str, int] = Field(description="Files left out, by sort: binary, links, pipes, devices, hidden.")
    troubles: list[Trouble] = Field(description="Files that could not be searched, the first 50.")
    troubles_total: int


search_text = declare(
    "search_text",
    TextToSearch,
    TextFound,
    description="""
        Search files, a folder or a text with regular expressions: matching lines with context, positions, named groups
        and counts. Any pattern may be sent: most run in linear time, the others are stopped at a limit. Use it for logs
        of any size, and instead of reading files to find something in them.
    """,
    seconds=600,
    memory_mb=512,
    family="search",
    queue="search",
    isolation="fork",
    sandbox="strict",
    pure=True,
    retries=1,
)
