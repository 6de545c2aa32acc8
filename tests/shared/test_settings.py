"""Settings: parsing, error messages, passing to other processes, masked secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloop import settings
from offloop.cli.show_settings import describe, masked
from offloop.errors import SettingsError
from offloop.settings import Settings


def test_nothing_set_gives_the_defaults() -> None:
    loaded = settings.load({})
    assert (loaded.host, loaded.port, loaded.redis_url, loaded.queues) == ("127.0.0.1", 8750, None, ())
    assert loaded.environment() == {}
    assert loaded.artifacts_location.startswith("file:///")


def test_other_peoples_variables_and_empty_values_are_left_alone() -> None:
    assert settings.load({"PATH": "/bin", "OFFLOOP_PORT": " ", "OFFLOOPS": "1"}) == settings.load({})


def test_a_mistyped_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match=r"OFFLOOP_REDIS_URI is not a setting\. Did you mean OFFLOOP_REDIS_UR"):
        settings.load({"OFFLOOP_REDIS_URI": "redis://x"})
    with pytest.raises(SettingsError, match=r"OFFLOOP_ZZZZZZZZ is not a setting\. docs/settings.md lists"):
        settings.load({"OFFLOOP_ZZZZZZZZ": "1"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OFFLOOP_PORT", "eighty"),
        ("OFFLOOP_PORT", "65536"),
        ("OFFLOOP_SLOTS", "0"),
        ("OFFLOOP_RETENTION_SECONDS", "9"),
        ("OFFLOOP_PUBLIC_URL", "jobs.example.org"),
        ("OFFLOOP_PUBLIC_URL", "https://jobs.example.org/?a=b"),
        ("OFFLOOP_LOG_FORMAT", "xml"),
        ("OFFLOOP_INSECURE", "perhaps"),
        ("OFFLOOP_FILE_ROOTS", "docs"),
        ("OFFLOOP_FILE_ROOTS", "docs=relative/path"),
        ("OFFLOOP_FILE_ROOTS", "docs=/a,docs=/b"),
        ("OFFLOOP_DRAIN_SECONDS", "nan"),
        ("OFFLOOP_MAX_QUEUED", "0"),
        ("OFFLOOP_MAX_QUEUED_PER_PRINCIPAL", "0"),
        ("OFFLOOP_MAX_QUEUED_PER_PRINCIPAL", "many"),
    ],
)
def test_a_value_that_does_not_fit_names_its_variable(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        settings.load({variable: text})


def test_lists_and_pairs_are_written_with_commas() -> None:
    loaded = settings.load({"OFFLOOP_QUEUES": " pdf, hash ,", "OFFLOOP_FILE_ROOTS": "docs=/srv/docs, more = /srv/a=b"})
    assert loaded.queues == ("pdf", "hash")
    assert loaded.file_roots == {"docs": Path("/srv/docs"), "more": Path("/srv/a=b")}


def test_another_process_reads_the_same_settings() -> None:
    """`load` reads the output of `environment` back to equal settings."""
    loaded = settings.load(
        {
            "OFFLOOP_REDIS_URL": "unix:///tmp/a,b.sock",
            "OFFLOOP_REDIS_BIN": "/usr/bin/valkey-server",
            "OFFLOOP_PORT": "0",
            "OFFLOOP_PUBLIC_URL": "https://jobs.example.org/base",
            "OFFLOOP_STATE_DIR": "/var/lib/offloop",
            "OFFLOOP_ARTIFACTS_URL": "s3://bucket/prefix",
            "OFFLOOP_QUEUES": "pdf,hash",
            "OFFLOOP_JOB_MODULES": "mine,pkg.more",
            "OFFLOOP_FILE_ROOTS": "docs=/srv/docs,more=/srv/a=b",
            "OFFLOOP_API_KEYS": "alice:0123456789abcdef",
            "OFFLOOP_SQL_SHOP": "sqlite:////srv/a#b?c.db",
            "OFFLOOP_SQL_EU_2": "postgresql://reader:pa,ss=word@db.example.org/shop",
            "OFFLOOP_INSECURE": "true",
            "OFFLOOP_DRAIN_SECONDS": "2.5",
            "OFFLOOP_MAX_QUEUED": "10",
            "OFFLOOP_MAX_QUEUED_PER_PRINCIPAL": "5",
            "OFFLOOP_LOG_LEVEL": "debug",
        }
    )
    assert settings.load(loaded.environment()) == loaded
    assert loaded.environment()["OFFLOOP_INSECURE"] == "1"


def test_replaced_keeps_what_is_none_and_validates_the_rest() -> None:
    loaded = settings.load({"OFFLOOP_PORT": "1", "OFFLOOP_HOST": "localhost"})
    changed = loaded.replaced(port=2, host=None, queues="a,b")
    assert (changed.port, changed.host, changed.queues) == (2, "localhost", ("a", "b"))
    assert loaded.port == 1
    with pytest.raises(SettingsError, match=r"^OFFLOOP_PORT: "):
        loaded.replaced(port=-1)


def test_keys_appear_neither_in_repr_nor_in_errors() -> None:
    loaded = settings.load({"OFFLOOP_API_KEYS": "alice:very-secret-key-0123"})
    assert "very-secret" not in repr(loaded)
    assert "very-secret" not in str(loaded)


def test_a_password_in_the_address_of_redis_is_masked() -> None:
    loaded = settings.load({"OFFLOOP_REDIS_URL": "rediss://user:very-secret@redis.example.org/0"})
    assert "very-secret" not in repr(loaded)


def test_every_setting_is_explained() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_settings_of_this_process_come_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLOOP_PORT", "4321")
    assert settings.load().port == 4321


def test_every_variable_of_that_prefix_is_a_connection_of_that_name() -> None:
    loaded = settings.load({"OFFLOOP_SQL_SHOP": "sqlite:////a.db", "OFFLOOP_SQL_EMPTY": " ", "OFFLOOP_PORT": "1"})
    assert loaded.sql == {"shop": "sqlite:////a.db"}
    assert "OFFLOOP_SQL_" not in str(settings.load({}).environment())
    assert settings.load(loaded.replaced(port=2).environment()).sql == loaded.sql


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("", "sqlite:////a.db"),
        ("1ST", "sqlite:////a.db"),
        ("A-B", "sqlite:////a.db"),
        ("X" * 33, "sqlite:////a.db"),
        ("SHOP", "oracle://reader:very-secret@host/shop"),
        ("SHOP", "very-secret"),
        ("SHOP", "sqlite:///very-secret.db"),
        ("SHOP", "sqlite:////"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused_without_its_password(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^OFFLOOP_SQL_<NAME>: ") as refused:
        settings.load({f"OFFLOOP_SQL_{name}": url})
    assert "very-secret" not in refused.value.message


def test_the_address_of_a_database_is_masked() -> None:
    loaded = settings.load({"OFFLOOP_SQL_SHOP": "postgresql://reader:very-secret@host/shop?password=very-secret"})
    assert "very-secret" not in repr(loaded)
    [row] = [row for row in describe(loaded) if row["name"] == "OFFLOOP_SQL_<NAME>"]
    assert row["value"] == {"shop": "postgresql://***"}
    assert masked("sql", {"shop": "mysql://reader:very-secret@host/shop"}) == {"shop": "mysql://***"}


def test_families_are_checked_and_a_misspelt_one_is_suggested() -> None:
    assert settings.load({"OFFLOOP_FAMILIES": "pdf, images"}).families == ("pdf", "images")
    with pytest.raises(SettingsError, match=r"^OFFLOOP_FAMILIES: there is no family 'image'; did you mean images\?"):
        settings.load({"OFFLOOP_FAMILIES": "image"})
    with pytest.raises(SettingsError, match=r"there is no family 'everything'; there are: pdf, images, hashing"):
        settings.load({"OFFLOOP_FAMILIES": "pdf,everything"})
