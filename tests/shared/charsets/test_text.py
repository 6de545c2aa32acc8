"""The charset of a file: by mark, transport, its own declaration, its content; and what is said about guesses."""

from __future__ import annotations

import gzip
import struct

import pytest

from offloop.charsets.media import is_text, looks_like_text, reads_as_text, sniffed
from offloop.charsets.text import HEAD, decoded

RUSSIAN = "Съешь ещё этих мягких французских булок, да выпей чаю."
GUESSED = {
    "windows-1251": RUSSIAN,
    "koi8-u": RUSSIAN,
    "iso-8859-5": RUSSIAN,
    "windows-1253": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Πρωτεύουσα της Ελλάδας είναι μια πόλη.",
    "shift_jis": "日本語の文章です。今日は天気が良いので、公園へ散歩に行きます。",
    "euc-jp": "日本語の文章です。今日は天気が良いので、公園へ散歩に行きます。",
    "iso-2022-jp": "日本語の文章です。今日は天気が良いので、公園へ散歩に行きます。",
    "gb18030": "今天天气很好。我们去公园散步。中华人民共和国的首都是北京。",
    "big5": "今天天氣很好。我們去公園散步。臺北是一個大城市。",
    "euc-kr": "오늘은 날씨가 좋아서 공원에 산책하러 갑니다.",
    "windows-1250": "Příliš žluťoučký kůň úpěl ďábelské ódy. Dnes je hezké počasí.",
    "windows-1254": "Kuş şehirde yağmurda güneşi gördü ve çabucak güvendi. Bugün hava güzel.",
    "windows-1252": "Zwölf große Boxkämpfer, „schön“, 5 €",
    "windows-1255": "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. היום מזג האוויר יפה.",
    "windows-1256": "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر.",
    "windows-874": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
}  # fmt: skip
PYTHON = {"windows-874": "cp874", "shift_jis": "cp932", "euc-kr": "cp949"}


def read(data: bytes, mime_type: str, declared: str = "") -> tuple[str, str, str]:
    found = decoded(data, mime_type, declared)
    return found.text, found.charset.name, found.charset.origin


@pytest.mark.parametrize("charset", GUESSED)
def test_a_charset_that_nothing_declares_is_guessed_and_named(charset: str) -> None:
    pytest.importorskip("chardetng_py", reason="chardetng has no wheel for this Python")
    text = GUESSED[charset]
    for whole in (text, f"<html><head><title>x</title><script>{'a' * 70_000}</script></head><body><p>{text}</p>"):
        found = decoded(whole.encode(PYTHON.get(charset, charset)), "text/html")
        assert found.text == whole
        assert found.charset.origin == "guess"
        assert any(found.charset.name in note and "guess" in note for note in found.notes)


HTML = "<html><head>{}<title>é</title></head><body>Съешь</body></html>"


@pytest.mark.parametrize(
    "declaration",
    [
        '<meta charset="windows-1251">',
        "<meta charset=windows-1251>",
        "<META CHARSET = 'Windows-1251' >",
        '<meta name="a" content="b"><meta/charset=cp1251 />',
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">',
        "<meta content='text/html;charset=\"windows-1251\"' http-equiv=content-type>",
        "<!-- <meta charset=utf-8> --><meta charset=windows-1251>",
        "<!--> <meta charset=windows-1251>",
        '<a title="<meta charset=utf-8>"></a><meta charset=windows-1251>',
        "<meta charset=nonsense><meta charset=windows-1251>",
        '<meta content="text/html; charset=utf-8"><meta charset=windows-1251>',
        f"<script>{'a' * 3000}</script><meta charset=windows-1251>",
    ],
)
def test_a_page_declares_its_charset_as_the_html_standard_reads_it(declaration: str) -> None:
    page = HTML.replace("é", "x").format(declaration)
    assert read(page.encode("cp1251"), "text/html") == (page, "windows-1251", "declared")


def test_declarations_go_in_the_order_of_the_standards() -> None:
    page = '<meta charset="windows-1251">é'
    assert read(b"\xef\xbb\xbf" + page.encode(), "text/html", "shift_jis") == (page, "utf-8", "mark")
    assert read(page.encode("cp1252"), "text/html", "iso-8859-1") == (page, "windows-1252", "declared")
    assert read("<meta charset=utf-16>é".encode(), "text/html")[1:] == ("utf-8", "declared")
    assert read(b"<meta charset=x-user-defined>\x80", "text/html")[1] == "windows-1252"


@pytest.mark.parametrize(
    "mime_type", ["text/xml", "application/xml", "image/svg+xml", "application/atom+xml", "text/html"]
)
def test_an_xml_declaration_counts_in_xml_and_in_pages(mime_type: str) -> None:
    for quote in "\"'":
        text = f"<?xml version={quote}1.0{quote} encoding={quote}KOI8-R{quote}?><a>{RUSSIAN}</a>"
        assert read(text.encode("koi8-r"), mime_type) == (text, "koi8-r", "declared")
    wide = f'<?xml version="1.0"?><a>{RUSSIAN}</a>'
    for codec, name in (("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be"), ("utf-32-be", "utf-32-be")):
        assert read(wide.encode(codec), mime_type)[:2] == (wide, name)


def test_a_style_sheet_declares_its_charset() -> None:
    text = '@charset "windows-1250"; p::before {content: "Łódź"}'
    assert read(text.encode("cp1250"), "text/css") == (text, "windows-1250", "declared")


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_json_is_utf_8_and_other_unicode_is_tolerated_whatever_is_declared(codec: str) -> None:
    text = '{"name": "日本 é"}'
    for declared in ("", "iso-8859-1", "utf-8"):
        assert decoded(text.encode(codec), "application/json", declared).text == text
    assert decoded('{"a": "é"}'.encode("cp1252"), "application/json", "iso-8859-1").text == '{"a": "é"}'


WIDE = {
    **{charset: f"{text}\n{text}\n" for charset, text in GUESSED.items()},
    "latin": "Name;Größe\nTür;12 €\n",
    "polish": "Zażółć gęślą jaźń\n",
    "devanagari": "नमस्ते दुनिया, यह पाठ है।\n",
    "telugu": "తెలుగు భాష\r\n",
    "with markup": "<p>日本語の文章です。</p>\n",
    "with emoji": "Привет, мир 😀\n",
}


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("script", WIDE)
def test_wide_text_without_a_declaration_is_found_in_every_script(codec: str, script: str) -> None:
    text = WIDE[script]
    assert decoded(text.encode(codec), "text/csv").text == text


@pytest.mark.parametrize(
    "data",
    [
        b"a\0" + b"plain text with a zero " * 9,
        b"abc\0def\0ghi\0jkl\0",
        b"name\0of\0files\0",
        b"1\t2\t3\t4\t5\t",
        "“été”\0 naïve\n".encode("cp1252"),
        "日本語\0の文章\n".encode("cp932"),
        b"\x1b[1mbold\x1b[0m\x08\x08\0",
    ],
)
def test_zeros_alone_do_not_make_wide_text(data: bytes) -> None:
    assert not decoded(data, "text/plain").charset.name.startswith(("utf-16", "utf-32"))


@pytest.mark.parametrize("damage", [b"\xff", b"caf\xe9 cr\xe8me", "ж".encode()[:1], b"\xed\xa0\xbd"])
def test_utf_8_with_a_few_malformed_sequences_stays_utf_8(damage: bytes) -> None:
    line = "2026-11-30 naïve: 5 €, Съешь\n"
    for before in (line, "a" * (HEAD + 10) + line):
        found = decoded(before.encode() * 3 + damage + b"\n" + line.encode() * 3, "text/plain")
        assert (found.charset.name, found.charset.origin) == ("utf-8", "guess")
        assert found.text.startswith(before * 3)
        assert found.text.endswith(line * 3)
        assert found.replaced
        assert any("no utf-8" in note for note in found.notes)
    assert decoded((line * 9).encode()[:-2], "text/plain").charset.name == "utf-8"
    assert decoded(b"caf\xe9", "text/plain").text == "café"


@pytest.mark.parametrize(
    ("text", "codec", "declared"),
    [
        ("one café", "utf-8", "iso-8859-1"),
        ("it\u2019s", "utf-8", "us-ascii"),
        ("日本語の文章です。", "utf-8", "shift_jis"),
        ("日本語の文章です。", "utf-8", "gb2312"),
        ("a" * HEAD + "é", "utf-8", "windows-1252"),
        ("plain text", "utf-8", "utf-16"),
        ("Grüße", "utf-16-be", "utf-16"),
        ("Grüße", "utf-16-le", "iso-8859-1"),
    ],
)
def test_a_declaration_that_the_bytes_contradict_is_told(text: str, codec: str, declared: str) -> None:
    found = decoded(text.encode(codec), "text/plain", declared)
    assert found.charset.origin == "declared"
    assert found.notes[-1].endswith(f"its bytes look like {codec.replace('16-', '16')}.")


def test_a_declaration_that_fits_is_not_doubted() -> None:
    for charset, text in GUESSED.items():
        found = decoded(text.encode(PYTHON.get(charset, charset)), "text/plain", charset)
        assert (found.text, found.notes) == (text, ())
    for text in ("plain", "", "日本", "zero \0 é", "\0"):
        assert not decoded(text.encode("utf-16-le"), "text/plain", "utf-16").notes
        assert not decoded(text.encode(), "text/plain", "utf-8").notes
    assert not decoded("联通".encode("gbk"), "text/plain", "gb2312").notes


def test_a_note_says_what_did_not_decode_and_what_it_may_be() -> None:
    found = decoded(RUSSIAN.encode("cp1251"), "text/plain", "utf-8")
    assert found.replaced > 10
    replaced, likely = found.notes
    assert "byte sequences are no utf-8" in replaced
    assert "look like windows-1251" in likely
    assert decoded(b"plain", "text/plain", "nonsense").notes == ("The declared charset 'nonsense' is not known.",)
    assert not decoded("naïve".encode(), "text/plain").notes
    (note,) = decoded(b"\x1b$)C", "text/plain", "iso-2022-kr").notes
    assert "no browser reads" in note


def test_a_long_text_that_begins_in_ascii_is_guessed_by_what_follows() -> None:
    text = "a" * (HEAD + 10) + RUSSIAN
    found = decoded(text.encode("cp1251"), "text/plain")
    assert (found.text, found.charset.name) == (text, "windows-1251")
    broken = ("é" * HEAD).encode() + b"\xff"
    found = decoded(broken, "text/plain")
    assert (found.charset.name, found.replaced) == ("utf-8", 1)


@pytest.mark.parametrize(
    "mime_type",
    [
        "text/plain", "TEXT/Markdown; charset=x", "image/svg+xml", "application/rss+xml", "application/xml",
        "application/json", "application/vnd.api+json", "application/ld+json", "application/geo+json",
        "application/javascript", "application/x-javascript", "application/ecmascript", "application/typescript",
        "application/yaml", "application/x-yaml", "application/openapi+yaml", "application/toml", "application/sql",
        "application/x-ndjson", "application/jsonl", "application/json-seq", "application/graphql", "application/x-sh",
        "application/xhtml+xml", "application/mathml+xml", "application/xml-dtd", "application/x-httpd-php",
        "application/x-tex", "application/csv", "application/x-www-form-urlencoded", "message/rfc822",
        "model/gltf+json", "text/xml",
        "application/vnd.apple.mpegurl", "application/x-subrip", "application/manifest+json",
    ],
)  # fmt: skip
def test_types_of_text_are_known(mime_type: str) -> None:
    assert is_text(mime_type)


def test_a_file_of_another_type_is_text_where_its_bytes_are() -> None:
    for mime_type in ("application/octet-stream", "application/pgp-signature", "application/x-unknown", "multipart/x"):
        assert looks_like_text(mime_type, "größe".encode()[:3])
        assert looks_like_text(mime_type, "größe".encode("utf-16"))
        assert looks_like_text(mime_type, "größe".encode("cp1252"))
        assert looks_like_text(mime_type, (GUESSED["euc-jp"] * 20).encode("euc-jp"))
        assert not looks_like_text(mime_type, bytes(range(0x90, 0xB0)))
        assert not looks_like_text(mime_type, b"PK\x03\x04")
        assert not looks_like_text(mime_type, b"")
    for mime_type in ("image/png", "application/pdf", "font/woff2", "audio/mpeg", "application/zip"):
        assert not is_text(mime_type)
        assert not looks_like_text(mime_type, b"%PDF-1.4\n")


def test_a_file_that_is_declared_as_text_is_none_where_its_bytes_are_binary() -> None:
    for binary in (
        gzip.compress(RUSSIAN.encode() * 9),
        bytes(range(256)),
        b"\0\1\2\3" * 9,
        struct.pack("<99I", *range(99)),
    ):
        assert not reads_as_text("text/plain", binary)
    for text in (
        b"", b"\0", b"8=FIX.4.2\x019=65\x0135=A\x01", b"a\0b\0c\0", b"o\x08_x\x08_", RUSSIAN.encode("utf-16-le"),
        RUSSIAN.encode(),
        *(text.encode(PYTHON.get(charset, charset)) for charset, text in GUESSED.items()),
    ):  # fmt: skip
        assert reads_as_text("text/plain", text)


def test_a_page_without_a_type_is_told_by_how_it_begins() -> None:
    unknown = "application/octet-stream"
    for head in (b"<!DOCTYPE html>", b"\n <html lang=x>", b"<HEAD>", b"<meta charset=x>"):
        assert sniffed(unknown, head) == "text/html"
        assert sniffed("text/plain", head) == "text/plain"
    assert sniffed(unknown, b"<?xml version='1.0'?>") == "text/xml"
    assert sniffed(unknown, b"<htmlx>") == sniffed(unknown, b"") == unknown
