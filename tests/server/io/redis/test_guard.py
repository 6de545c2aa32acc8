"""Guard of Redis keys: literal prefixes, and never offloop's own keys."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offloop.errors import BadInput
from offloop.redis import schema
from offloop_server.io.redis.commands import COMMANDS, prepared
from offloop_server.io.redis.guard import OWN, Keyspace, escaped
from offloop_server.io.redis.values import encoded


@pytest.mark.parametrize(
    ("prefixes", "key", "allowed"),
    [
        (("shop:",), b"shop:1", True),
        (("shop:",), b"shop", False),
        (("shop:",), b"SHOP:1", False),
        (("shop:",), b"other", False),
        (("shop:", "cart:"), b"cart:1", True),
        (("shop:*",), b"shop:1", False),
        (("shop:*",), b"shop:*1", True),
        (("a[b]?",), b"ab1", False),
        (("a[b]?",), b"a[b]?1", True),
        (("{shop}",), b"{shop}:1", True),
        (("{shop}",), b"{other}{shop}", False),
        (("",), b"\xff\x00", True),
        (("",), b"offloop:job:1", False),
        (("",), b"arq:queue:default", False),
        (("offloop:",), b"offloop:secrets:alice", False),
        (("off",), b"offloop:job:1", False),
    ],
)
def test_a_prefix_is_literal_and_offloops_own_keys_are_never_allowed(
    prefixes: tuple[str, ...],
    key: bytes,
    *,
    allowed: bool,
) -> None:
    assert Keyspace(prefixes).allows(key) is allowed
    if not allowed:
        with pytest.raises(BadInput, match=r"may not be read|are never read"):
            Keyspace(prefixes).check(key)


def test_every_key_of_the_queue_is_one_of_offloops_own() -> None:
    names = {
        value for name, value in vars(schema).items() if name.isupper() and isinstance(value, str) and ":" in value
    }
    assert len(names) > 20
    assert {name for name in names if not name.encode().startswith(OWN)} == set()


@given(st.binary(max_size=12).filter(lambda text: b"\n" not in text))
def test_an_escaped_text_matches_only_itself(text: bytes) -> None:
    pattern = escaped(text).decode("latin-1")
    plain = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text.decode("latin-1"))
    assert fnmatch.fnmatchcase(text.decode("latin-1"), plain)
    assert pattern.replace("\\", "").count("*") == text.decode("latin-1").replace("\\", "").count("*")
    assert len(pattern) == len(text) + sum(byte in b"*?[]\\^-" for byte in text)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_checks_its_keys(name: str) -> None:
    """The server is not needed: a read is prepared only after the check."""
    command = COMMANDS[name]
    keyspace = Keyspace(("shop:",))
    arguments = [b"shop:1"] * command.count[0]
    prepared(name, arguments, keyspace)
    positions = {"none": [], "first": [0], "all": range(command.count[0])}[command.keys]
    for position in positions:
        with pytest.raises(BadInput, match=r"'secret' may not be read\. Keys that may be read begin with: shop:"):
            prepared(name, [*arguments[:position], b"secret", *arguments[position + 1 :]], keyspace)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_wrong_number_of_arguments_is_refused_with_the_usage(name: str) -> None:
    least, most = COMMANDS[name].count
    for count in {least - 1, most + 1} - {-1}:
        with pytest.raises(BadInput, match=f"Write {name} "):
            prepared(name, [b"shop:1"] * count, Keyspace(("shop:",)))


@pytest.mark.parametrize(
    "name",
    [
        *("SET", "DEL", "EVAL", "EVALSHA", "EVAL_RO", "FCALL", "FCALL_RO", "SCRIPT", "FUNCTION", "KEYS", "SORT"),
        *("SORT_RO", "OBJECT", "DEBUG", "CONFIG", "MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "BLPOP", "XREAD", "WAIT"),
        *("CLIENT", "MIGRATE", "DUMP", "RESTORE", "RANDOMKEY", "DBSIZE", "FLUSHALL", "SELECT", "AUTH", "HELLO"),
        *("GETEX", "GETDEL", "GETSET", "LPOP", "SPOP", "SUNIONSTORE", "GEORADIUS", "GEOSEARCHSTORE", "BITFIELD"),
        *("MULTI", "EXEC", "INFO", "ACL", "MODULE", "SHUTDOWN", "SLAVEOF", "SYNC", "GET shop:1", "GET\r\nDEL", ""),
        *("XREADGROUP", "SINTER", "SUNION", "ZUNION", "LCS", "TOUCH", "COPY", "MEMORY", "LATENCY", "COMMAND"),
    ],
)
def test_a_command_that_is_not_listed_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is not available"):
        prepared(name, [b"shop:1"], Keyspace(("",)))


@pytest.mark.parametrize("argument", [{}, {"base64": "?"}, {"base64": "AP8=", "x": "y"}, {"hex": "00"}])
def test_a_malformed_argument_is_refused(argument: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="An argument is a text"):
        encoded(argument)


def test_arguments_are_texts_numbers_and_bytes() -> None:
    written: dict[str | int | float, bytes] = {5: b"5", 1.5: b"1.5", -1.0: b"-1", "é": b"\xc3\xa9", "1.0": b"1.0"}
    assert {value: encoded(value) for value in written} == written
    assert encoded({"base64": "AP8="}) == b"\x00\xff"
