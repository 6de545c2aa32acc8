"""MySQL: rights of the user, TLS, and errors without addresses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from offloop.errors import Unavailable
from offloop_server.io.sql.mysql.catalogue import Rights, rights_in
from offloop_server.io.sql.mysql.database import MySQL
from support.certificates import certificate
from support.mariadb import ATTACKED as DATABASE
from support.mariadb import PASSWORD, READER, WRITER, MariaDB, read

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("user", "warned"), [(WRITER, ["shop"]), (READER, [])])
async def test_a_user_that_may_write_is_warned_of_once(server: MariaDB, user: str, warned: list[str]) -> None:
    database = MySQL("shop", server.url(user, DATABASE))
    with capture_logs() as logged:
        await asyncio.gather(*(read(database, "SELECT 1") for _ in range(3)))
    await database.close()
    assert [line["connection"] for line in logged if "may write" in line["event"]] == warned
    assert PASSWORD not in str(logged)


MIGHTY = {
    "files": ("GRANT FILE ON *.* TO mighty",),
    "super": ("GRANT SUPER ON *.* TO mighty",),
    "everything": ("GRANT ALL PRIVILEGES ON *.* TO mighty",),
    "a role": (
        "CREATE OR REPLACE ROLE files",
        "GRANT FILE ON *.* TO files",
        "GRANT files TO mighty",
        "SET DEFAULT ROLE files FOR mighty",
    ),
}


@pytest.mark.parametrize("right", MIGHTY)
async def test_a_user_that_reaches_the_host_is_refused(server: MariaDB, right: str) -> None:
    await server.execute(f"CREATE OR REPLACE USER mighty IDENTIFIED BY '{PASSWORD}'", *MIGHTY[right])
    database = MySQL("shop", server.url("mighty"))
    for sql in ("SELECT 1", "SELECT LOAD_FILE('/etc/passwd')"):
        with capture_logs() as logged, pytest.raises(Unavailable, match="connection shop is not used") as refused:
            await read(database, sql)
        assert not refused.value.retryable
        assert "GRANT SELECT ON shop.*" in refused.value.message
        assert "OFFLOOP_SQL_SHOP" in refused.value.message
        assert [line["connection"] for line in logged] == ["shop"]
    await database.close()


NONE = Rights(reaches_host=False, writes=False)
WRITES = Rights(reaches_host=False, writes=True)
MOST = Rights(reaches_host=True, writes=True)


@pytest.mark.parametrize(
    ("grants", "rights"),
    [
        (["GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*23'"], NONE),
        (["GRANT SELECT, SHOW VIEW, EXECUTE ON `shop`.* TO `a`@`%`"], NONE),
        (["GRANT SELECT (`a`, `b`), REFERENCES (`c`) ON `shop`.`t` TO `a`@`%`"], NONE),
        (["GRANT SELECT, INSERT (`a`, `b`) ON `shop`.`t` TO `a`@`%`"], WRITES),
        (["GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%` WITH GRANT OPTION"], WRITES),
        (["GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `a`@`%`"], NONE),
        (["GRANT ALTER ROUTINE ON PACKAGE BODY `shop`.`p` TO `a`@`%`"], WRITES),
        (["GRANT `reading`@`%` TO `a`@`%`", "SET DEFAULT ROLE `reading` FOR `a`@`%`"], NONE),
        (["GRANT SELECT, FILE ON *.* TO `a`@`%`"], MOST),
        (["GRANT SYSTEM_VARIABLES_ADMIN,AUDIT_ADMIN ON *.* TO `a`@`%`"], WRITES),
        (["GRANT ALL PRIVILEGES ON *.* TO `a`@`%`"], MOST),
    ],
)
def test_rights_are_read_from_the_grants(grants: list[str], rights: Rights) -> None:
    assert rights_in(grants) == rights


@pytest.mark.parametrize(
    ("tcp", "outcome"),
    [
        ("ssl-mode=REQUIRED", "connected"),
        ("ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}", "connected"),
        ("ssl-ca={ca}", "connected"),
        ("ssl-ca={ca}&host=address", "refused"),
        ("ssl-mode=VERIFY_CA&ssl-ca={ca}&host=address", "connected"),
        ("ssl-mode=VERIFY_CA&ssl-ca={other}", "refused"),
        ("ssl-mode=VERIFY_CA", "refused"),
        ("ssl-ca=/no/such/file", "refused"),
    ],
)
async def test_certificates_are_verified_as_the_url_says(
    server: MariaDB, tmp_path: Path, tcp: str, outcome: str
) -> None:
    other, _ = certificate(tmp_path, "localhost")
    url = server.url(
        database=DATABASE, tcp=tcp.removesuffix("&host=address").format(ca=server.certificate, other=other)
    )
    if tcp.endswith("&host=address"):
        url = url.replace("@localhost", "@127.0.0.1")
    database = MySQL("shop", url)
    cipher = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
    if outcome == "connected":
        assert (await read(database, cipher)).rows == [[1]]
    else:
        with capture_logs() as logged, pytest.raises(Unavailable, match="does not answer"):
            await read(database, cipher, seconds=5)
        assert PASSWORD not in str(logged)
    await database.close()


async def test_tls_is_used_where_it_is_offered_unless_the_url_says_no(server: MariaDB) -> None:
    cipher = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
    for mode, used in (("PREFERRED", 1), ("DISABLED", 0)):
        database = MySQL("shop", server.url(database=DATABASE, tcp=f"ssl-mode={mode}"))
        assert (await read(database, cipher)).rows == [[used]]
        await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://very:secret@127.0.0.1:1/nothing",
        "mysql://very:secret@localhost/?socket=/no/such/socket",
        "mysql://nobody-known:secret@localhost/?socket={folder}/socket",
        "mysql://{reader}@localhost/no_such_database?socket={folder}/socket",
        "mysql://very:secret@no-such-host.invalid/x",
    ],
)
async def test_the_error_of_an_unreachable_database_has_no_address(server: MariaDB, url: str) -> None:
    reader = server.url().partition("//")[2].partition("@localhost")[0]
    database = MySQL("shop", url.format(folder=server.folder, reader=reader))
    with capture_logs() as logged, pytest.raises(Unavailable, match="does not answer") as refused:
        await read(database, "SELECT 1", seconds=3)
    hidden = ("secret", "127.0.0.1", "nobody-known", "no_such", "no-such", str(server.folder), READER, PASSWORD)
    for text in (refused.value.message, str(logged)):
        assert not any(word in text for word in hidden)
    await database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@h/x?sslmode=require", "unknown option 'sslmode'"),
        ("mysql://u:secret@h/x?ssl-mode=maybe", "ssl-mode is one of"),
        ("mysql://h/x", "names no user"),
        ("mysql://u:secret@h:port/x", "host or port that cannot be read"),
        ("mysql://u:secret@[h/x", "host or port that cannot be read"),
        ("mysql://u:pw℅secret@internal/x", "host or port that cannot be read"),
        ("mysql://u:se?secret@internal/x", r"not escaped, such as \? as %3F"),
        ("mysql://u:se?secret&x@internal/x", r"not escaped, such as \? as %3F"),
        ("mysql://u@h:1/?secret@internal/x", "an option is unknown; the options are"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_when_the_front_end_starts(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        MySQL("shop", url)
    assert "secret" not in str(refused.value)
    assert "internal" not in str(refused.value)
