"""Hostile input of search_text: patterns that backtrack, grow or nest, and texts without end."""

from __future__ import annotations

import base64
import random
from typing import Any, Final

from hostile.cases import Case
from hostile.hashing import MARK

_DONE: Final = frozenset({"completed"})
_BAD: Final = frozenset({"bad_input"})
_LIMIT: Final = frozenset({"limit_exceeded"})
_REFUSED: Final = frozenset({"bad_input", "unreadable_file"})
_KEPT_OUT: Final = (MARK, "root:x:0", "Traceback")
_AS: Final = "a" * 100


def _data(content: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()


def _pattern(name: str, pattern: str, outcome: frozenset[str], text: str = _AS, **more: Any) -> Case:
    return Case(name, "search_text", {"patterns": [pattern], "text": text, **more}, outcome, _KEPT_OUT)


def _source(name: str, outcome: frozenset[str], **more: Any) -> Case:
    return Case(name, "search_text", {"patterns": ["."], **more}, outcome, _KEPT_OUT)


_NOISE: Final = random.Random(5).randbytes(200_000)  # noqa: S311 -- repeatable
_BINARY: Final = frozenset({"binary_file"})

CASES: list[Case] = [
    # Patterns that backtrack.
    _pattern("repetitions in repetitions before a backreference", r"(a+)+\1$", _LIMIT, _AS + "!"),
    _pattern("alternatives of the same letter before a backreference", r"(a|a)*(b)\2$", _LIMIT, _AS),
    _pattern("repetitions in a look-ahead", "(?=(a+)+$)x", _LIMIT | _DONE, _AS + "!"),
    _pattern("a repetition of what may be empty", "(a*)*b", _LIMIT | _DONE),
    _pattern("a repetition of what may be empty, three deep", "(((a*)*)*)*b", _LIMIT | _DONE),
    _pattern("repetitions in repetitions that RE2 runs", "(a+)+$", _DONE, (_AS + "!") * 5000),
    _pattern("an e-mail address that never ends", r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}$", _DONE),
    _pattern("dots and stars", ".*.*.*.*.*.*.*.*.*.*=.*x", _DONE, "=" * 100_000),
    # Patterns that grow.
    _pattern("a thousand times a thousand letters", "(?:a{1000}){1000}", _DONE),
    _pattern("counted repetitions three deep", "((a{0,100}){0,100}){0,100}b", _LIMIT | _DONE),
    _pattern("counted repetitions of any character", "[^a]{1000}" * 90, _DONE),
    _pattern("counted repetitions in both cases", "(?i:[\\x00-\\U0010ffff]{999}k){3}", _DONE),
    _pattern("four thousand million letters", "a{4294967294}", _DONE | _BAD),
    _pattern("more letters than there are numbers", "a{99999999999999999999}", _BAD),
    _pattern("a pattern of ten megabytes", "a" * 10**7, _BAD),
    _pattern("two thousand alternatives", "|".join(f"x{number}y" for number in range(1500)), _DONE, "x1y " * 10**5),
    Case("a thousand patterns", "search_text", {"patterns": ["a"] * 1000, "text": "a"}, _BAD, _KEPT_OUT),
    _pattern("a thousand groups", "(.)" * 3000, _DONE, "x" * 10_000),
    # Patterns that nest, and broken ones.
    _pattern("parentheses five thousand deep", "(" * 5000 + ")" * 5000, _BAD),
    _pattern("parentheses that do not close", "(" * 9000, _BAD),
    _pattern("repetitions of repetitions", "a" + "{2}" * 3000, _BAD),
    _pattern("groups and flags a hundred deep", "(?i:" * 90 + "a" + ")" * 90, _DONE),
    _pattern("a set without an end", "[" * 9000, _BAD),
    _pattern("half of a surrogate pair", "\ud800", _BAD),
    _pattern("an escaped half of a surrogate pair", r"\ud800", _DONE),
    _pattern("a NUL byte", "a\0b", _DONE, "a\0b", binary="text"),
    _pattern("a look-behind without an end", "(?<=a*)b", _BAD),
    _pattern("a recursive pattern of Perl", "(?R)", _BAD),
    _pattern("code in a pattern of Perl", '(?{ system("id") })', _BAD),
    # Texts.
    _pattern("an empty match at every character", "x*", _DONE, "é" * 300_000),
    _pattern("every line matches, with context", "", _BAD),
    _pattern("every line, with context", "^", _DONE, "\n" * 300_000, before=20, after=20, max_matches=2000),
    _pattern("every line, saved with context", "^", _DONE, "\n" * 50_000, before=20, after=20, save=True),
    # Linear in the text, and in the 8,100 states of the pattern: 20 s where nothing stops it.
    _pattern("groups of a long text", "(.{900})" * 9, _LIMIT, "😀" * 200_000, multiline=True, dotall=True),
    _pattern("one line of a million letters", "(.)x", _DONE, "y" * 999_998 + "x"),
    _pattern("codes of a terminal", "owned", _DONE, "\x1b]0;owned\x07\x1b[2J owned \u202e owned"),
    _source("bytes that are no text", _DONE | _BINARY, file=_data(_NOISE)),
    _source("bytes that are no text, searched all the same", _DONE, file=_data(_NOISE), binary="text"),
    _source("bytes that are no text, as UTF-16", _DONE, file=_data(_NOISE), encoding="utf-16-le"),
    _source("bytes that never decode", _DONE, file=_data(b"\xff" * 900_000), before=20),
    _source("a file of holes", _BINARY, file="root:data/hashing/sparse/tera"),
    _source("a line of a terabyte", _LIMIT, file="root:data/hashing/sparse/tera", binary="text"),
    _source("a terabyte in one piece", _LIMIT, file="root:data/hashing/sparse/tera", binary="text", multiline=True),
    # Files.
    _source("up and out", _REFUSED, file="root:data/../outside-of-hashing/secret.txt"),
    _source("a link out of the root", _REFUSED, file="root:data/hashing/links/secret.txt"),
    _source("a folder above the root", _REFUSED, folder="root:data/.."),
    _source("a folder of links out of the root", _DONE, folder="root:data/hashing/links"),
    _source("a folder of pipes and sockets", _DONE, folder="root:data/hashing/special"),
    _source("a folder of names that are no text", _DONE, folder="root:data/hashing/odd"),
    _source("a folder 300 folders deep", _LIMIT, folder="root:data/hashing/deep"),
    _source("a folder of holes", _DONE, folder="root:data/hashing/sparse"),
    _source("names like paths", _REFUSED, files={"../../etc/passwd": "data:,a"}),
]
