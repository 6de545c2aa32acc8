"""Table of IP addresses that are not public.

Python's `ipaddress.is_global` follows other needs: it says yes to multicast, to NAT64 and to other forms that carry
an IPv4 address inside. Each range that is not surely a host on the public internet stands here with its purpose.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV4: Final = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a carrier's network",
    "127.0.0.0/8": "the server itself",
    "168.63.129.16/32": "a cloud's internal service",
    "169.254.0.0/16": "a link-local or metadata address",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "for documentation",
    "192.31.196.0/24": "reserved for name servers",
    "192.52.193.0/24": "a relay for multicast",
    "192.88.99.0/24": "a relay to IPv6",
    "192.168.0.0/16": "a private network",
    "192.175.48.0/24": "reserved for name servers",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "255.255.255.255/32": "broadcast",
    "240.0.0.0/4": "reserved",
}
_IPV6: Final = {
    "::/128": "this host",
    "::1/128": "the server itself",
    "::ffff:0:0/96": "an IPv4 address in IPv6 form",
    "::ffff:0:0:0/96": "an IPv4 address in IPv6 form",
    "::/96": "an IPv4 address in IPv6 form",
    "64:ff9b::/96": "a translation to IPv4",
    "64:ff9b:1::/48": "a translation to IPv4",
    "100::/64": "reserved for discarding",
    "2001::/32": "a tunnel that holds an IPv4 address",
    "2001:2::/48": "for benchmarks",
    "2001:10::/28": "reserved for identifiers",
    "2001:20::/28": "reserved for identifiers",
    "2001::/23": "reserved for protocols",
    "2001:db8::/32": "for documentation",
    "2002::/16": "a tunnel that holds an IPv4 address",
    "2620:4f:8000::/48": "reserved for name servers",
    "3fff::/20": "for documentation",
    "5f00::/16": "reserved for routing",
    "fc00::/7": "a private network",
    "fe80::/10": "a link-local address",
    "fec0::/10": "a private network",
    "ff00::/8": "multicast",
}
# The first match names an address, so a part stands before the whole it is taken from.
_SPECIAL: Final[tuple[tuple[Network, str], ...]] = (
    *((IPv4Network(network), meaning) for network, meaning in _IPV4.items()),
    *((IPv6Network(network), meaning) for network, meaning in _IPV6.items()),
)
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
"""The only part of IPv6 from which public addresses are allocated."""


def special(address: Address) -> str | None:
    """The purpose of an address that is not a public host, such as "a private network"; None for a public one."""
    for network, meaning in _SPECIAL:
        if address in network:
            return meaning
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in _GLOBAL_IPV6):
        return "not allocated"
    return None


def literal(host: str) -> Address | None:
    """Parse a host that is an address, written in the one usual way; None where the host is a name.

    Raises:
        ValueError: it is a number in another way (decimal, octal, hexadecimal, too few parts, with a zone), which
            programs read differently.
    """
    if ":" in host:
        address = ip_address(host)
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            message = "an address with a zone"
            raise ValueError(message)
        return address
    last = host.removesuffix(".").rpartition(".")[2]
    if last.isdigit() or last[:2].lower() == "0x":
        return IPv4Address(host)
    return None
