"""URL guard against SSRF: hosts, ports and networks that tools, workers and webhooks may ask.

`Policy.check` parses a URL once; only its result can be sent (`offloop.outbound.client`). `Policy.checked` and
`Policy.check_addresses` guard the opening of connections (`offloop.outbound.transport`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final, NewType, Self

import httpx2

from offloop import logs
from offloop.errors import Refused
from offloop.outbound.addresses import Address, Network, literal, special
from offloop.urls import cleaned, shown

if TYPE_CHECKING:
    from offloop.settings import Settings

PORTS: Final = {"http": 80, "https": 443}
MAX_URL: Final = 8192
MAX_PORT: Final = 65535
_NEVER: Final = re.compile(r"[\\\x00-\x1f\x7f]")
"""Characters that no URL has, and that programs read in different ways."""
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")

CheckedUrl = NewType("CheckedUrl", httpx2.URL)
"""A URL that `Policy.check` has allowed, without its fragment."""

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """Allowlist of hosts, networks and ports.

    Attributes:
        hosts: names, ``*.`` and a name for its subdomains, addresses, or ``*`` for any; empty: no host may be asked.
        networks: addresses that may be asked although they are not public, on any port.
        ports: of public hosts.
        setting: the setting that a refusal names, in which an operator allows another host.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset(PORTS.values())
    setting: str = "OFFLOOP_FETCH_HOSTS"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy of the ``OFFLOOP_FETCH_*`` settings."""
        return cls(
            tuple(host.lower() for host in settings.fetch_hosts),
            tuple(ip_network(network) for network in settings.fetch_networks),
            frozenset(settings.fetch_ports),
        )

    @property
    def enabled(self) -> bool:
        """Whether any host may be asked."""
        return bool(self.hosts)

    def check(self, url: str) -> CheckedUrl:
        """Check form, scheme, host and port of a URL; returns it parsed.

        The addresses of a host name are checked when it is dialled.

        Raises:
            Refused: one of them is not allowed.
        """
        parsed = _parsed(url)
        host = parsed.raw_host.decode("ascii")
        self._check_host(host)
        port = PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if literal(host):
            self.checked(host, port, [host])
        elif port not in self.ports and not self.networks:
            raise self._port(host, port)
        return CheckedUrl(parsed)

    def checked(self, host: str, port: int, addresses: Iterable[str]) -> list[Address]:
        """Parse the addresses of a host, once each; all must be allowed, so that their order does not matter.

        Raises:
            Refused: the host, one of the addresses or the port is not allowed.
        """
        self._check_host(host)
        found = [ip_address(address) for address in dict.fromkeys(addresses)]
        self.check_addresses(host, port, found)
        return found

    def check_addresses(self, host: str, port: int, addresses: Iterable[Address]) -> None:
        """Check that a port of addresses may be dialled.

        Args:
            host: their name in messages.
            port: the same of all.
            addresses: to check.

        Raises:
            Refused: one is not public, or the port is not allowed.
        """
        outside = [address for address in addresses if not any(address in network for network in self.networks)]
        for address in outside:
            if meaning := special(address):
                log.warning("refused an address that is not public", host=host, address=str(address))
                message = (
                    f"{short(host)} was not asked: it leads to an address that is not public ({meaning}). Ask a "
                    "public host; only the operator can allow a network, in OFFLOOP_FETCH_NETWORKS."
                )
                raise Refused(message)
        if outside and port not in self.ports:
            raise self._port(host, port)

    def _check_host(self, host: str) -> None:
        if not any(_matches(host, pattern) for pattern in self.hosts):
            allowed = ", ".join(self.hosts[:10]) or "none"
            message = f"{short(host)} was not asked: {self.setting} allows {allowed}. Ask the operator to add the host."
            raise Refused(message)

    def _port(self, host: str, port: int) -> Refused:
        allowed = ", ".join(map(str, sorted(self.ports)))
        return Refused(f"{short(host)} was not asked on port {port}: OFFLOOP_FETCH_PORTS allows {allowed}.")


def _parsed(url: str) -> httpx2.URL:
    """Parse a URL that all programs read the same way.

    Raises:
        Refused: they may not; the message says what is wrong with it.
    """
    if len(url) > MAX_URL:
        message = f"The URL has {len(url)} characters, {MAX_URL} are allowed."
        raise Refused(message)
    url = cleaned(url)
    # Blanks in a path or query, and characters of other scripts, are encoded as browsers do.
    if _NEVER.search(url):
        raise _unfit(url, "it has a control character or a backslash; encode them")
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError):
        raise _unfit(url, "it is not a URL") from None
    if not 1 <= (1 if parsed.port is None else parsed.port) <= MAX_PORT:
        raise _unfit(url, "there is no such port")
    if parsed.scheme not in PORTS:
        raise _unfit(url, "it must begin with https:// or http://")
    if parsed.userinfo or "@" in re.split(r"[/?#]", url.partition("//")[2], maxsplit=1)[0]:
        raise _unfit(url.partition("//")[0] + "//…", "it holds a user name or password; send a header instead")
    try:
        named = literal(host) is None
    except ValueError:
        raise _unfit(url, "its host is a number in an unusual form; write a name, or an address as 192.0.2.1") from None
    if named and not _NAME.fullmatch(host):
        raise _unfit(url, "its host is not a host name")
    return parsed.copy_with(fragment=None) if "#" in url else parsed


def _unfit(url: str, why: str) -> Refused:
    return Refused(f"{shown(url)!r} was not asked: {why}.")


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[1:]
    return pattern in ("*", host)


def short(text: str) -> str:
    """Shorten a host or URL for a message."""
    return text if len(text) <= 100 else text[:99] + "…"  # noqa: PLR2004 -- a line of a terminal
