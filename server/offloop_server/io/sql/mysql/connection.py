"""Connection to a MySQL or MariaDB server: opening, TLS, login; its socket is closed without waiting.

aiomysql closes a connection over TLS only when the server has answered the end of TLS, or after 30 seconds. And it
connects with `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes as the connection opens.
"""

from __future__ import annotations

import math
import ssl
from typing import Any, Final

import aiomysql
import anyio
from pymysql.constants import CLIENT, CR
from pymysql.err import OperationalError

from offloop_server.io.sql.mysql.address import Address

CONNECT_SECONDS: Final = 10.0
"""Time limit of the connection; the login has that of the caller."""

_NO_TLS: Final = 2026
_PLUGIN: Final = 2059
_INSECURE: Final = 2061
"""Error numbers of MySQL's own clients; the last two: a method of login is not supported, or needs TLS."""
_NO_KEY: Final = b"none"
"""A public key that encrypts nothing: without TLS, a key of the server proves nothing, and is not asked for."""


class Connection(aiomysql.Connection):  # type: ignore[misc]  # aiomysql ships no types
    """One connection, without commands.

    Args:
        address: server and login.
        tls: context of TLS; ``None`` for none.
    """

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password.encode().decode("latin-1"),  # aiomysql sends latin-1, servers expect UTF-8
            db=address.database or None,
            unix_socket=address.socket,
            charset="utf8mb4",
            ssl=tls,
            autocommit=None,
            program_name="offloop",
            server_public_key=_NO_KEY,
        )
        self.client_flag &= ~(CLIENT.MULTI_STATEMENTS | CLIENT.LOCAL_FILES)
        self._requires_tls = address.requires_tls
        self._connecting = anyio.CancelScope()

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is a MariaDB."""
        return "MariaDB" in self.server_version

    async def open(self) -> None:
        """Connect and log in.

        Raises:
            MySQLError: the server does not answer or refuses the login.
        """
        try:
            with anyio.fail_after(CONNECT_SECONDS) as self._connecting:
                await self._connect()
        except TimeoutError as error:
            self.close()
            raise OperationalError(CR.CR_CONN_HOST_ERROR, "Can't connect to MySQL server") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection without waiting for the server, which may be gone."""
        writer = self._writer
        super().close()  # sends the end of TLS, and would wait for the server's
        if writer is not None:
            writer.transport.abort()

    async def _get_server_information(self) -> None:
        self._connecting.deadline = math.inf  # connected
        await super()._get_server_information()

    async def _request_authentication(self) -> None:
        # Both before anything is sent: the second would get the password as it is.
        if self._requires_tls and not self.server_capabilities & CLIENT.SSL:
            raise OperationalError(_NO_TLS, "TLS is required, but the server does not offer it")
        if self._server_auth_plugin == "mysql_clear_password":
            raise OperationalError(_PLUGIN, "passwords are never sent in clear")
        try:
            await super()._request_authentication()
        except BaseException:
            self.close()  # before aiomysql does it, and waits
            raise

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name in (b"mysql_clear_password", b"mysql_old_password"):
            raise OperationalError(_PLUGIN, "passwords are never sent in clear")
        return await super()._process_auth(plugin_name, auth_packet)

    async def sha256_password_auth(self, pkt: Any) -> Any:
        if not self._secure:
            raise OperationalError(_INSECURE, "sha256_password needs TLS or a Unix socket")
        return await super().sha256_password_auth(pkt)

    async def caching_sha2_password_auth(self, pkt: Any) -> Any:
        try:
            return await super().caching_sha2_password_auth(pkt)
        except ValueError:  # of the public key
            raise OperationalError(_INSECURE, "caching_sha2_password needs TLS or a Unix socket") from None
