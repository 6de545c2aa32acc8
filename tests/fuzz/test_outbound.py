"""Outbound requests: URLs, addresses, redirects, headers and bodies of strangers."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import zlib
from urllib.parse import urlsplit

import pytest
import yarl
from hypothesis import example, given
from hypothesis import strategies as st

from offloop.errors import BadInput, FetchFailed, Refused
from offloop.outbound.addresses import literal, special
from offloop.outbound.decompress import PIECE, Decompressor
from offloop.outbound.policy import Policy
from offloop.outbound.redirects import OutboundRequest, checked, next_hop, pause_asked_for
from support.fuzzing import check_refusal

ANY = Policy(("*",))
NAMED = Policy(("example.org", "*.example.net"))

_pieces = st.sampled_from(
    ["http", "https", "HTTP", "ftp", ":", "//", "/", "\\", "@", "?", "#", "[", "]", "%", ".", "..", "127.0.0.1", "::1",
     "localhost", "example.org", "a.example.net", "0x7f", "017700000001", "2130706433", "user:pw", ":443", ":0",
     ":99999", "%2f", "%00", "xn--", "é", "。", "①", "ß", "\u200d", "\u0130", "\t", "\n", " ", "\ud800", "*", "_", "-"]
)  # fmt: skip
urls = st.one_of(
    st.lists(_pieces, max_size=10).map("".join),
    st.lists(_pieces, max_size=8).map(lambda parts: "https://" + "".join(parts)),
    st.text(max_size=60),
    st.text(max_size=40).map("http://".__add__),
)


@given(urls)
@example("http://example.org:¹/")
@example("http://[::1%25lo]/")
def test_a_url_is_refused_or_means_the_same_host_to_other_parsers(url: str) -> None:
    try:
        parsed = ANY.check(url)
    except Refused as error:
        check_refusal(error, most=1000)
        return
    text = str(parsed)
    host = parsed.raw_host.decode("ascii")
    assert host
    assert urlsplit(text).hostname == host
    assert (yarl.URL(text, encoded=True).raw_host or "") == host
    assert not parsed.userinfo
    assert "#" not in text
    assert str(ANY.check(text)) == text


@given(urls)
def test_only_named_hosts_are_accepted(url: str) -> None:
    with contextlib.suppress(Refused):
        host = NAMED.check(url).raw_host.decode("ascii")
        assert host == "example.org" or (host.endswith(".example.net") and host != ".example.net")


def _spellings(number: int) -> st.SearchStrategy[str]:
    """Spellings of an IPv4 address, which programs read in different ways."""
    parts = number.to_bytes(4)
    forms = ([str(part), f"{part:o}".zfill(4), hex(part), f"0X{part:X}", f"{part:03}"] for part in parts)
    per_part = st.tuples(*map(st.sampled_from, forms))
    whole = [str(number), hex(number), f"0{number:o}", f"{parts[0]}.{int.from_bytes(parts[1:])}",
             f"{parts[0]}.{parts[1]}.{int.from_bytes(parts[2:])}"]  # fmt: skip
    mapped = [f"[::ffff:{ipaddress.IPv4Address(number)}]", f"[::{ipaddress.IPv4Address(number)}]",
              f"[64:ff9b::{ipaddress.IPv4Address(number)}]", f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::]",
              f"[::ffff:0:{number >> 16:x}:{number & 0xFFFF:x}]"]  # fmt: skip
    plain = st.one_of(per_part.map(".".join), st.sampled_from([*whole, *mapped]))
    wide = str.maketrans("0123456789.", "０１２３４５６７８９。")  # noqa: RUF001 -- full-width forms are the point
    encoded = plain.map(lambda text: "".join(f"%{ord(character):02x}" for character in text))
    return st.one_of(plain, plain.map(lambda text: text + "."), plain.map(lambda text: text.translate(wide)), encoded)


_PRIVATE = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "0.0.0.0/8",
)
private = st.one_of(*(st.ip_addresses(v=4, network=network) for network in _PRIVATE)).map(int)


@given(st.data(), private)
def test_no_spelling_of_a_private_address_is_accepted(data: st.DataObject, number: int) -> None:
    host = data.draw(_spellings(number))
    with pytest.raises(Refused):
        ANY.check(f"http://{host}/")


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
@example(ipaddress.ip_address("192.88.99.1"))
def test_no_address_that_python_calls_private_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if special(address) is None:
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_loopback, address.is_link_local))
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        accepted = ANY.check(f"https://{host}/")
    except Refused:
        assert special(address)
    else:
        assert special(address) is None
        assert ipaddress.ip_address(accepted.raw_host.decode()) == address


@given(st.one_of(st.text(max_size=40), st.ip_addresses().map(str), st.lists(_pieces, max_size=5).map("".join)))
def test_a_literal_is_an_address_in_one_form_or_a_name(host: str) -> None:
    try:
        address = literal(host)
    except ValueError:
        return
    if address is not None:
        assert address == ipaddress.ip_address(host)


@given(urls, st.sampled_from([301, 302, 303, 307, 308]), st.sampled_from(["GET", "HEAD", "POST", "PUT"]))
def test_a_redirect_is_refused_or_leads_to_an_allowed_url(where: str, status: int, method: str) -> None:
    url = ANY.check("https://example.org/folder/file?x=1")
    secret = {"authorization": "s", "accept": "*/*", "content-type": "a/b"}
    request = OutboundRequest(str(url), method, secret, b"body" if method in ("POST", "PUT") else None)
    try:
        target, following = next_hop(ANY, url, request, status, where)
    except Refused:
        return
    assert str(ANY.check(str(target))) == str(target)
    assert target.scheme == "https"
    if target.host != url.host or target.port != url.port:
        assert "authorization" not in (following.headers or {})
        assert following.content is None


@given(st.one_of(st.text(max_size=60), st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))))
@example("Mon, 99 Nov 9999 99:99:99 +9999")
@example("1" * 60)
@example("²")
@example("Mon, 1 Jan 0001 00:00:00 +2359")
def test_retry_after_is_a_time_to_wait_or_nothing(header: str) -> None:
    pause = pause_asked_for(header)
    assert pause is None or pause >= 0


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=3))
def test_no_header_of_a_caller_frames_a_message(headers: dict[str, str]) -> None:
    try:
        passed = checked(headers)
    except BadInput:
        return
    for name, value in passed.items():
        assert name.isascii()
        assert not set("\r\n\0: ") & set(name)
        assert not set("\r\n\0") & set(value)
        value.encode("ascii")


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate", "identity", "x-gzip", "br", ""]), st.data())
def test_a_packed_body_is_unpacked_in_bounded_pieces_or_refused(
    body: bytes, encoding: str, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 700))
    try:
        decompressor = Decompressor(encoding)
        pieces = [
            piece for start in range(0, len(body), size) for piece in decompressor.feed(body[start : start + size])
        ]
        decompressor.end()
    except FetchFailed:
        return
    assert all(len(piece) <= PIECE for piece in pieces)


@given(
    st.binary(max_size=3000),
    st.integers(1, 5),
    st.integers(1, 700),
    st.sampled_from(["gzip", "zlib", "bare", "stored"]),
)
@example(b"\0" * 200_000, 2, 700, "gzip")
@example(b"", 1, 1, "zlib")  # its form is not known before the second byte
@example(b"x" * 70_000, 1, 1, "stored")  # begins with a NUL, which is not padding
def test_unpacking_reverses_packing_however_it_is_cut(body: bytes, members: int, size: int, how: str) -> None:
    if how == "gzip":
        packed, encoding = gzip.compress(body) * members, "gzip"
        body *= members
    elif how == "zlib":
        packed, encoding = zlib.compress(body), "deflate"
    else:
        packer = zlib.compressobj(0 if how == "stored" else 6, wbits=-15)
        packed, encoding = packer.compress(body) + packer.flush(), "deflate"
    decompressor = Decompressor(encoding)
    pieces = [
        piece for start in range(0, len(packed), size) for piece in decompressor.feed(packed[start : start + size])
    ]
    decompressor.end()
    assert b"".join(pieces) == body
