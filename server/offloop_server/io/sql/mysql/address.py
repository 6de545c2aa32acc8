"""Address of a MySQL or MariaDB database: its URL, with the options for TLS and Unix sockets."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

_PORT: Final = 3306
_MODES: Final = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""The values of MySQL's own option --ssl-mode."""
_OPTIONS: Final = ("ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket")
_WORD: Final = re.compile(r"[a-z-]{1,40}")


@dataclass(frozen=True, slots=True)
class Address:
    """Server, login and TLS of one connection.

    Attributes:
        host: name or address of the server.
        port: TCP port.
        user: login.
        password: in plain text; never logged.
        database: default database; empty for none.
        socket: path of a Unix socket, used instead of host and port.
        ssl_mode: one of MySQL's ``--ssl-mode``.
        ssl_ca: file of the certificate authorities; those of the system without it.
        ssl_cert: file of the client's certificate.
        ssl_key: file of its key.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    socket: str | None
    ssl_mode: str
    ssl_ca: str | None
    ssl_cert: str | None
    ssl_key: str | None

    @classmethod
    def of(cls, url: str) -> Self:
        """The address in ``mysql://user:password@host:port/database?ssl-mode=…``.

        Raises:
            ValueError: the URL is not written like this; the message contains neither host nor password.
        """
        try:
            parts = urlsplit(url)
            user = parts.username
            port = (parts.port or _PORT) if user else _PORT
        except ValueError:  # its message contains the host, and the password with it
            message = "the URL has a host or port that cannot be read"
            raise ValueError(message) from None
        if not user:
            message = "the URL names no user, or has a login with characters that are not escaped, such as ? as %3F"
            raise ValueError(message)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(set(options) - set(_OPTIONS)):
            # Anything else may be the rest of a password that has a question mark.
            name = f"unknown option {unknown[0]!r}" if _WORD.fullmatch(unknown[0]) else "an option is unknown"
            message = f"{name}; the options are {', '.join(_OPTIONS)}"
            raise ValueError(message)
        # As of MySQL's own clients, a given authority means that certificates are verified.
        mode = options.get("ssl-mode", "VERIFY_IDENTITY" if options.get("ssl-ca") else "PREFERRED").upper()
        if mode not in _MODES:
            message = f"ssl-mode is one of {', '.join(_MODES)}"
            raise ValueError(message)
        return cls(
            host=parts.hostname or "localhost",
            port=port,
            user=unquote(user),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.removeprefix("/")),
            socket=options.get("socket") or None,
            ssl_mode=mode,
            ssl_ca=options.get("ssl-ca") or None,
            ssl_cert=options.get("ssl-cert") or None,
            ssl_key=options.get("ssl-key") or None,
        )

    @property
    def requires_tls(self) -> bool:
        """Whether a server without TLS is refused."""
        return self.socket is None and self.ssl_mode in _MODES[2:]

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context; ``None`` for a connection without TLS.

        Raises:
            OSError: a file of certificates cannot be read; ssl.SSLError is one.
        """
        if self.socket is not None or self.ssl_mode == "DISABLED":
            return None
        context = ssl.create_default_context(cafile=self.ssl_ca)
        context.check_hostname = self.ssl_mode == "VERIFY_IDENTITY"
        if self.ssl_mode in ("PREFERRED", "REQUIRED"):
            context.verify_mode = ssl.CERT_NONE
        if self.ssl_cert is not None:
            context.load_cert_chain(self.ssl_cert, self.ssl_key)
        return context
