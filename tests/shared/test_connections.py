"""Connections to document and key stores in the settings: names, URLs, prefixes, and no password in a message."""

from __future__ import annotations

import pytest

from offloop import settings
from offloop.cli import show_settings
from offloop.connections import key_store
from offloop.errors import SettingsError


def loaded(url: str) -> settings.Settings:
    """Settings with that source."""
    return settings.load({"OFFLOOP_SOURCE_SHOP": url})


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://user:p%40ss@host/shop",
        "mongodb://one:27017,two:27018,three/shop?replicaSet=rs0&readPreference=secondaryPreferred",
        "mongodb+srv://user:pass@cluster.example.org/shop",
        "redis://host?prefix=shop:",
        "rediss://user:pass@host:6380/2?prefix=shop:&prefix=cart:&ssl_ca_certs=/ca.pem",
        "redis://host/0?prefix=*",
        "unix:///run/redis.sock?db=1&prefix=shop:",
        "unix://user:pass@/run/redis.sock?prefix=shop:",
    ],
)
def test_urls_of_stores_are_read_and_passed_on(url: str) -> None:
    assert loaded(url).source == {"shop": url}
    assert settings.load(loaded(url).replaced(port=2).environment()).source == {"shop": url}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:very-secret@host/shop", "is written mongodb://"),
        ("very-secret", "is written mongodb://"),
        ("mongodb://u:very-secret@host", "names no database"),
        ("mongodb://u:very-secret@host/", "names no database"),
        ("mongodb://u:very-secret@host/a.b", "names no database"),
        ("mongodb://u:very-secret@host/admin", "the server's own data"),
        ("mongodb://u:very-secret@/shop", "has no host"),
        ("redis://u:very-secret@host/0", r"allows no key: add .*\?prefix=shop:"),
        ("redis://u:very-secret@host/0?prefix=", "has an empty prefix"),
        ("redis://u:very-secret@host/shop?prefix=a", "not a number"),
        ("redis://u:very-secret@/0?prefix=a", "has no host"),
        ("redis://u:very-secret@host:port/0?prefix=a", "cannot be read"),
        ("redis://u:very-secret@host:99999/0?prefix=a", "cannot be read"),
        ("redis://[very-secret/0?prefix=a", "cannot be read"),
        ("redis://u:very-secret@host/0?prefix=user#private:", "write %23"),
        ("redis://u:very-secret@host/0?prefix=user#", "write %23"),
        ("unix://u:very-secret@host/run/redis.sock?prefix=a", "absolute path"),
        ("unix://?prefix=a", "absolute path"),
    ],
)
def test_a_url_that_does_not_fit_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=rf"^OFFLOOP_SOURCE_<NAME>: .*'shop' .*{message}") as refused:
        loaded(url)
    assert "very-secret" not in str(refused.value)


def test_prefixes_are_decoded_and_taken_out_of_the_url() -> None:
    store = key_store("redis://u:p@host:1/2?prefix=a%26b%2C%2A&ssl_ca_certs=/ca.pem&prefix=%C3%A9:")
    assert store.prefixes == ("a&b,*", "é:")
    assert store.url == "redis://u:p@host:1/2?ssl_ca_certs=%2Fca.pem"
    assert key_store("redis://host?prefix=*").prefixes == ("",)


def test_two_connections_cannot_have_one_name() -> None:
    with pytest.raises(SettingsError, match=r"^connection 'shop' is given as OFFLOOP_SQL_… and as OFFLOOP_SOURCE_…"):
        settings.load({"OFFLOOP_SQL_SHOP": "sqlite:////a.db", "OFFLOOP_SOURCE_SHOP": "redis://host?prefix=a"})


def test_a_store_is_shown_without_its_login() -> None:
    for scheme in ("mongodb", "redis"):
        given = loaded(f"{scheme}://user:very-secret@host/{'shop' if scheme == 'mongodb' else '0?prefix=shop:'}")
        [row] = [row for row in show_settings.describe(given) if row["name"] == "OFFLOOP_SOURCE_<NAME>"]
        assert row["value"] == {"shop": f"{scheme}://***"}
        assert "very-secret" not in repr(given)
