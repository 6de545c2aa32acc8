"""MySQL session: prepared statements, rows as they arrive; a bound on the bytes of one answer.

aiomysql knows text commands only. Prepared statements are what the guards rest on: a server prepares one statement
alone, says whether it gives rows before it runs, and takes parameters as values.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymysql.constants import COMMAND
from pymysql.err import MySQLError, OperationalError, raise_mysql_exception

from offloop_server.io.sql.mysql.address import Address
from offloop_server.io.sql.mysql.binary import Field, field_of, packed
from offloop_server.io.sql.mysql.connection import Connection

MAX_FETCH: Final = 4 << 20
"""Bytes of one row, and of one answer without its rows."""

MAX_WARNINGS: Final = 20
_MAX_WARNING: Final = 300
"""Characters of one warning."""
_READ_BYTES: Final = 256 << 10
_HEADER: Final = 4
"""Bytes in front of each packet: three of its length, one of its number."""
_ERROR: Final = 0xFF
_END: Final = 0xFE
"""First bytes of packets that are no rows."""
_END_LENGTH: Final = 9
"""A packet that begins like the end of the rows is the end if it is shorter."""
_PREPARED_LENGTH: Final = 12
"""Bytes of the answer that a statement was prepared."""
_RESET_CONNECTION: Final = 0x1F
_LOST: Final = 2013
_MALFORMED: Final = 2027
"""Error numbers of MySQL's own clients."""


class AnswerTooLargeError(Exception):
    """A packet, or an answer without its rows, exceeds `MAX_FETCH`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A prepared statement.

    Attributes:
        number: number in the session.
        parameters: number of its placeholders.
        columns: number of columns; 0 if it gives no rows.
    """

    number: int
    parameters: int
    columns: int


class Session(Connection):
    """One connection, with its commands.

    Args:
        address: server and login.
        tls: context of TLS; ``None`` for none.

    Attributes:
        busy: a command was sent whose answer has not been read to its end.
        warned: the server has warnings about the last rows.
    """

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        super().__init__(address, tls)
        self.busy = False
        self.warned = False
        self._received = 0
        self._rest = b""

    def abandon(self) -> None:
        """Close the connection; the server has nothing of a caller's on it."""
        self.busy = False
        self.close()

    def quit(self) -> None:
        """Take leave of the server and close the connection, without waiting."""
        if not self.closed:
            self._write_bytes(b"\x01\x00\x00\x00" + bytes([COMMAND.COM_QUIT]))
        self.abandon()

    async def command(self, sql: str) -> None:
        """Run a statement of ours that gives no rows.

        Raises:
            MySQLError: the server refuses it, or the connection is lost.
        """
        with self._exchange():
            await self._execute_command(COMMAND.COM_QUERY, sql.encode())
            await self._read_done()

    async def reset(self) -> None:
        """Give the session the state of a new one: no transaction, lock, variable, statement or temporary table.

        Raises:
            MySQLError: as for `command`.
        """
        with self._exchange():
            await self._execute_command(_RESET_CONNECTION, b"")
            await self._read_done()

    async def prepare(self, sql: str) -> Statement:
        """Have the server parse one statement.

        Raises:
            MySQLError: as for `command`.
            UnicodeEncodeError: the statement has half of a surrogate pair in it.
        """
        statement = sql.encode()  # before the exchange: a failure leaves the connection usable
        with self._exchange():
            await self._execute_command(COMMAND.COM_STMT_PREPARE, statement)
            answer = (await self._read_packet()).get_all_data()
            if answer[:1] != b"\0":
                raise self._malformed()
            if len(answer) < _PREPARED_LENGTH:  # MySQL's answer to SET GLOBAL without the right to it
                return Statement(0, 0, 0)
            _, number, columns, parameters = struct.unpack_from("<BIHH", answer)
            for count in (parameters, columns):  # the definitions of the columns come again with the rows
                for _ in range(count + 1 if count else 0):
                    await self._read_packet()
        return Statement(number, parameters, columns)

    async def execute(self, statement: Statement, parameters: Sequence[Any]) -> list[Field]:
        """Run a prepared statement; its rows follow with `packets`.

        Raises:
            BadInput: a parameter cannot be sent.
            MySQLError: as for `command`.
        """
        values = packed(parameters)
        with self._exchange(answered=False):
            await self._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", statement.number, 0, 1) + values)
            count = (await self._read_packet()).read_length_encoded_integer()
            if not count:  # no rows after all, or a request for a file of ours
                raise self._malformed()
            fields = [field_of((await self._read_packet()).get_all_data()) for _ in range(count)]
            await self._read_packet()
        self._rest, self.warned = b"", False
        return fields

    async def packets(self) -> list[bytes]:
        """The next rows, in the server's form; fewer than arrived if the end is among them, none after it.

        Raises:
            AnswerTooLargeError: a row is longer than `MAX_FETCH`.
            MySQLError: the server ended the statement, or the connection is lost.
        """
        rows: list[bytes] = []
        while self.busy and not rows:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                self.close()
                raise OperationalError(_LOST, "Lost connection to MySQL server during query")
            rows = self._split(self._rest + data)
        return rows

    async def warnings(self) -> list[str]:
        """The server's warnings about rows that were read to their end.

        Raises:
            MySQLError: as for `command`.
        """
        if self.busy or not self.warned:
            return []
        found: list[str] = []
        with self._exchange():
            await self._execute_command(COMMAND.COM_QUERY, b"SHOW WARNINGS LIMIT %d" % (MAX_WARNINGS + 1))
            columns = (await self._read_packet()).read_length_encoded_integer()
            for _ in range(columns + 1):
                await self._read_packet()
            while not (packet := await self._read_packet()).is_eof_packet():
                level, number, text = (str(packet.read_length_coded_string(), "utf-8", "replace") for _ in range(3))
                found.append(f"{level}: {' '.join(text.split())[:_MAX_WARNING]} ({number})")
        return found if len(found) <= MAX_WARNINGS else [*found[:MAX_WARNINGS], "There were more warnings."]

    def _split(self, data: bytes) -> list[bytes]:
        """Cut data into packets, up to the end of the rows; keeps the beginning of an incomplete one."""
        rows: list[bytes] = []
        at = 0
        while len(data) - at >= _HEADER:
            length = int.from_bytes(data[at : at + 3], "little")
            if length > MAX_FETCH:
                raise AnswerTooLargeError
            begin, at_next = at + _HEADER, at + _HEADER + length
            if at_next > len(data):
                break
            packet, at = data[begin:at_next], at_next
            if packet[0] == _ERROR:
                self.busy = False
                raise_mysql_exception(packet)
            if packet[0] == _END and length < _END_LENGTH:
                self.busy, self.warned = False, packet[1:3] != b"\0\0"
                break
            rows.append(packet)
        self._rest = data[at:]
        return rows

    async def _read_done(self) -> None:
        """Read the answer to a command without rows."""
        if not (await self._read_packet()).is_ok_packet():
            raise self._malformed()

    def _malformed(self) -> OperationalError:
        """The error for an answer that no server gives; closes the connection."""
        self.close()
        return OperationalError(_MALFORMED, "Malformed packet")

    @contextmanager
    def _exchange(self, *, answered: bool = True) -> Iterator[None]:
        """Count the answer's bytes, and note whether it has been read to its end."""
        self.busy, self._received = True, 0
        try:
            yield
        except MySQLError:  # a refusal is a whole answer; aiomysql has closed a connection that is lost
            self.busy = False
            raise
        if answered:
            self.busy = False

    async def _read_bytes(self, num_bytes: int) -> bytes:
        # aiomysql buffers an answer of any size until it is complete, and one value may have a gigabyte.
        self._received += num_bytes
        if self._received > MAX_FETCH:
            self.close()
            raise AnswerTooLargeError
        data: bytes = await super()._read_bytes(num_bytes)
        return data


async def connect(address: Address) -> Session:
    """Open a session.

    Raises:
        MySQLError: as for `Connection.open`.
        OSError: a file of certificates cannot be read.
    """
    session = Session(address, address.tls())
    await session.open()
    return session
