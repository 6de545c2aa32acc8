"""URLs as callers write them: blanks, schemes, hosts in other scripts, and what a message shows."""

from __future__ import annotations

import pytest

from offloop.errors import BadInput, Refused
from offloop.kinds.references import FileReference, parse, written
from offloop.outbound.policy import Policy
from offloop.urls import cleaned, shown

ANY = Policy(hosts=("*",))
READ = {
    " https://example.org/a ": "https://example.org/a",
    "\n\thttps://example.org/a\r\n": "https://example.org/a",
    "\u00a0\u200bhttps://example.org/a\ufeff\u3000": "https://example.org/a",
    "\u2060\u202ahttps://example.org/a\u202c\u2069": "https://example.org/a",
    "https://exam\nple.org/a\tb": "https://example.org/ab",
    "HTTPS://Example.ORG/A": "https://example.org/A",
    "hTTp://example.org": "http://example.org",
    "https://example.org/a b?c d=e f": "https://example.org/a%20b?c%20d=e%20f",
    "https://example.org/grün/ä?ö=ü": "https://example.org/gr%C3%BCn/%C3%A4?%C3%B6=%C3%BC",
    "https://example.org/a%20b": "https://example.org/a%20b",
    "https://example.org/a#part": "https://example.org/a",
    "https://example.org/a?b#c?d": "https://example.org/a?b",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://BÜCHER.example/": "https://xn--bcher-kva.example/",
    "https://bu\u0308cher.example:443/": "https://xn--bcher-kva.example/",
    "https://faß.example/": "https://xn--fa-hia.example/",
    "https://例え。テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
}


@pytest.mark.parametrize("url", READ)
def test_a_url_is_read_as_in_a_browser(url: str) -> None:
    assert str(ANY.check(url)) == READ[url]
    assert str(ANY.check(str(FileReference._checked(url)))) == READ[url]
    assert parse(written(url)).name == written(url)


@pytest.mark.parametrize(
    "url",
    ["https://exa mple.org/", "https://example.org\\a", "https://\uff11\uff12\uff17.0.0.1/", "https://\u24db.org/",
     "https://a\u200bb..org/", "https://exam\x00ple.org/", "https:// example.org/"],
)  # fmt: skip
def test_a_host_that_programs_may_read_differently_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        ANY.check(url)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" artifact:abcdefghijklmnopqrst\n", "artifact:abcdefghijklmnopqrst"),
        ("Artifact:abcdefghijklmnopqrst", "artifact:abcdefghijklmnopqrst"),
        ("\tdata:text/plain,a b\n", "data:text/plain,a b"),
        ("ROOT:docs/name with blank ", "root:docs/name with blank "),
        (" HTTPS://example.org/a b\n", "https://example.org/a b"),
    ],
)
def test_a_reference_is_kept_without_the_blanks_around_it(text: str, kept: str) -> None:
    assert FileReference._checked(text) == kept


def test_what_is_no_reference_is_still_refused() -> None:
    for text in ("", " ", "artifact: abc", "C:/a", "https:/example.org", "see https://example.org/"):
        with pytest.raises(BadInput):
            written(text)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://u:secret@example.org/a?token=secret#secret", "https://example.org/a?…"),
        ("//u:secret@example.org/a", "//example.org/a"),
        ("/a?secret", "/a?…"),
        ("https://[::1]:80/a", "https://[::1]:80/a"),
        ("https://]u:secret@[/?x", "https://[/?…"),
        ("https://example.org/" + "a" * 200, "https://example.org/" + "a" * 79 + "…"),
    ],
)
def test_a_message_shows_no_secrets_of_a_url(url: str, message: str) -> None:
    assert shown(url) == message


def test_what_is_cleaned_stays_as_it_is_when_it_is_cleaned_again() -> None:
    for url in READ:
        assert cleaned(cleaned(url)) == cleaned(url)
