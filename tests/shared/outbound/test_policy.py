"""The policy: hostile URLs, hostile addresses, hosts and ports that are allowed."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from offloop.errors import Refused
from offloop.outbound.addresses import literal, special
from offloop.outbound.policy import Policy
from offloop.settings import load

ANY = Policy(hosts=("*",))
HERE = Policy(hosts=("*",), networks=(ip_network("127.0.0.0/8"),))

UNFIT = [
    "",
    "//example.org",
    "example.org",
    "http:example.org",
    "http:///path",
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://example.org/",
    "ws://example.org/",
    "data:text/plain,hello",
    "http://user@example.org/",
    "http://user:secret@example.org/",
    "http://@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org\\@127.0.0.1/",
    "http://exa mple.org/",
    "http://example.org/\x0bHost: other",
    "http://example.org%2f@127.0.0.1/",
    "http://127.0.0%2e1/",
    "http://exa%6dple.org/",
    "http://example..org/",
    "http://.example.org/",
    "http://-example.org/",
    "http://example.org:0/",
    "http://example.org:65536/",
    "http://example.org:http/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://1.2.3.4.5/",
    "http://1.2.3.400/",
    "http://example.0x10/",
    "http://１２７.0.0.1/",  # noqa: RUF001 -- the attack
    "http://ⓛocalhost/",
    "http://[::1/",
    "http://[::1%25lo]/",
    "http://[fe80::1%eth0]/",
    "http://[v7.example]/",
    "http://[127.0.0.1]/",
    "http://example.org/" + "a" * 9000,
]

NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 -- nothing is bound here
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "200::1",
    "1000::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "198.20.0.1", "223.255.255.255"]
PUBLIC += ["2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("url", UNFIT, ids=lambda url: repr(url[:30]))
def test_a_url_that_programs_may_read_differently_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        HERE.check(url)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert special(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert special(ip_address(address)) is None
    assert ANY.checked("example.org", 443, [address]) == [ip_address(address)]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_one_address_that_is_not_public_refuses_the_host(address: str) -> None:
    """At any position in the answer."""
    for addresses in (["1.1.1.1", address], [address, "1.1.1.1"]):
        with pytest.raises(Refused, match=r"example.org.*not public.*OFFLOOP_FETCH_NETWORKS") as refused:
            ANY.checked("example.org", 443, addresses)
        assert address not in refused.value.message, "the message does not disclose internal addresses"


def test_an_address_in_the_url_is_refused_before_anything_is_sent() -> None:
    for host in ("127.0.0.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254", "[64:ff9b::a00:1]"):
        with pytest.raises(Refused, match="not public"):
            ANY.check(f"http://{host}/")


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("*", "example.org", True),
        ("example.org", "example.org", True),
        ("Example.ORG", "example.org", True),
        ("example.org", "EXAMPLE.org", True),
        ("example.org", "www.example.org", False),
        ("example.org", "example.org.evil.net", False),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "badexample.org", False),
        ("xn--bcher-kva.example", "bücher.example", True),
    ],
)
def test_hosts_are_allowed_by_name(pattern: str, host: str, *, allowed: bool) -> None:
    policy = Policy.of(load({"OFFLOOP_FETCH_HOSTS": pattern}))
    if allowed:
        policy.check(f"https://{host}/")
    else:
        with pytest.raises(Refused, match="OFFLOOP_FETCH_HOSTS"):
            policy.check(f"https://{host}/")


def test_nothing_may_be_asked_until_the_operator_says_so() -> None:
    policy = Policy.of(load({}))
    assert not policy.enabled
    with pytest.raises(Refused, match="allows none"):
        policy.check("https://example.org/")


def test_ports_are_a_list_and_a_network_of_the_operators_has_any_port() -> None:
    ANY.check("http://example.org:443/")
    with pytest.raises(Refused, match=r"port 22.*OFFLOOP_FETCH_PORTS"):
        ANY.check("http://example.org:22/")
    with pytest.raises(Refused, match="port 22"):
        HERE.checked("example.org", 22, ["1.1.1.1"])
    assert HERE.checked("example.org", 22, ["127.0.0.2"])
    with pytest.raises(Refused, match="private network"):
        HERE.checked("example.org", 22, ["127.0.0.2", "10.0.0.1"])


def test_the_settings_give_hosts_networks_and_ports() -> None:
    settings = {"HOSTS": "Example.org,*.example.net", "NETWORKS": "10.1.0.0/16,fd00::/8", "PORTS": "80,8443"}
    policy = Policy.of(load({f"OFFLOOP_FETCH_{name}": value for name, value in settings.items()}))
    networks = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert policy == Policy(("example.org", "*.example.net"), networks, frozenset({80, 8443}))


def test_a_connection_is_opened_only_to_an_allowed_host() -> None:
    """The host of a redirect or of a pooled connection comes to `checked` without `check`."""
    with pytest.raises(Refused, match=r"other\.example was not asked: OFFLOOP_FETCH_HOSTS allows example\.org\."):
        Policy(hosts=("example.org",)).checked("other.example", 443, ["1.1.1.1"])


def test_a_pattern_of_subdomains_allows_neither_its_name_nor_an_empty_label() -> None:
    policy = Policy(hosts=("*.example.org",))
    for host in ("example.org", ".example.org"):
        with pytest.raises(Refused):
            policy.checked(host, 443, ["1.1.1.1"])


def test_a_refusal_lists_ten_hosts_and_all_ports() -> None:
    hosts = tuple(f"h{number}.example" for number in range(11))
    with pytest.raises(Refused) as refused:
        Policy(hosts=hosts).check("http://example.org/")
    assert refused.value.message == (
        f"example.org was not asked: OFFLOOP_FETCH_HOSTS allows {', '.join(hosts[:10])}. Ask the operator to add "
        "the host."
    )
    with pytest.raises(Refused, match=r"OFFLOOP_FETCH_PORTS allows 80, 443\.$"):
        ANY.check("http://example.org:22/")


def test_a_refused_address_is_logged_for_the_operator(capsys: pytest.CaptureFixture[str]) -> None:
    """The caller is told only what the address is for."""
    with pytest.raises(Refused) as refused:
        ANY.checked("example.org", 443, ["10.1.2.3"])
    assert refused.value.message == (
        "example.org was not asked: it leads to an address that is not public (a private network). Ask a public host; "
        "only the operator can allow a network, in OFFLOOP_FETCH_NETWORKS."
    )
    logged = "".join(capsys.readouterr())
    assert "refused an address that is not public" in logged
    assert "10.1.2.3" in logged
    assert "example.org" in logged


def test_an_ipv6_address_outside_the_allocated_part_says_so() -> None:
    assert special(ip_address("4000::1")) == "not allocated"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("fe80::1%eth0", "an address with a zone"),
        ("127.0.0.1.", "Expected 4 octets"),
        ("127.1", "Expected 4 octets"),
        ("0x7f.1", "Expected 4 octets"),
        ("1.2.3.400", "400"),
    ],
)
def test_a_number_in_an_unusual_form_is_no_literal(host: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        literal(host)
