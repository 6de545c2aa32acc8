"""Settings and files of API keys, as operators write them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from offloop import settings
from offloop.errors import SettingsError
from offloop.kinds import limits
from offloop.outbound.policy import Policy
from offloop.queue.subscription import webhook_policy
from offloop.settings import Settings
from offloop_server.cli.target import first_key
from offloop_server.web.auth import Principals, check_binding
from offloop_server.web.endpoint import transport_security
from support.fuzzing import check_refusal

_names = st.sampled_from(sorted(Settings.variable(name) for name in Settings.model_fields if name != "sql"))
_tokens = st.sampled_from(
    [",", "=", "/a", "docs", "https://", "example.org", "*", "*.", ":", "::1", "10.0.0.0/8", "1", "0", "-1",
     "1e999", "nan", "true",
     "render_pdf.seconds=", "@/nowhere", "redis://", "é", "\udcff", "\n", "²", "٣", "9" * 30, " ", "[::1", "pdf", "%"]
)  # fmt: skip
texts = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=20), st.lists(_tokens, max_size=5).map("".join)
)


@given(st.dictionaries(_names, texts, max_size=3), st.dictionaries(st.text(max_size=5), texts, max_size=1))
@example({"OFFLOOP_WEBHOOK_HOSTS": ","}, {})  # no host, which is not the default
@example({"OFFLOOP_PUBLIC_URL": "https://[::1"}, {})
@example({"OFFLOOP_FETCH_NETWORKS": "\udcff"}, {})
@example({"OFFLOOP_STATE_DIR": "\udcff"}, {"a": "sqlite:////\udcff"})
def test_any_environment_is_read_or_refused(environment: dict[str, str], databases: dict[str, str]) -> None:
    environment |= {settings.SQL_PREFIX + name.upper(): url for name, url in databases.items()}
    try:
        loaded = settings.load(environment)
    except SettingsError as error:
        check_refusal(error, most=2000)
        return
    again = settings.load(loaded.environment())
    assert again == loaded
    Policy.of(loaded)
    webhook_policy(loaded)
    transport_security(loaded)
    with contextlib.suppress(SettingsError):
        check_binding(loaded, Principals({}))


_entries = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_.-]{1,10}", fullmatch=True),
    st.from_regex(r"[!-+.-~-]{16,30}", fullmatch=True),
    min_size=1,
    max_size=4,
)


@given(_entries, st.sampled_from([",", "\n", " ,\n"]))
def test_every_key_of_a_file_finds_its_principal(entries: dict[str, str], separator: str) -> None:
    if len(set(entries.values())) < len(entries):
        return
    text = "# keys\n" + separator.join(f"{name}:{key}" for name, key in entries.items()) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys"
        path.write_text(text, encoding="utf-8")
        loaded = settings.load({"OFFLOOP_API_KEYS": f"@{path}"})
        principals = Principals.load(loaded)
        for name, key in entries.items():
            assert principals.find(f"Bearer {key}") == name
        assert first_key(loaded) == next(iter(entries.values()))


@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.sampled_from([b"a", b":", b"k" * 16, b",", b"\n", b"#", b"\xff", b" "])).map(b"".join),
    )
)
@example(b"a:kkkkkkkkkkkkkkk\xff")
@example(b"\xef\xbb\xbfalice:kkkkkkkkkkkkkkkk")
def test_any_file_of_keys_is_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys"
        path.write_bytes(content)
        loaded = settings.load({"OFFLOOP_API_KEYS": f"@{path}"})
        first_key(loaded)
        with contextlib.suppress(SettingsError):
            assert Principals.load(loaded).required


@given(
    st.binary(max_size=30).filter(lambda raw: b"\0" not in raw).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
@example("alice:kkkkkkkkkkkkkkkk\udcff")
@example("@\udcff")
def test_keys_of_any_environment_are_read_or_refused(text: str) -> None:
    loaded = Settings.model_construct(api_keys=text)
    with contextlib.suppress(SettingsError):
        Principals.load(loaded)


@given(st.one_of(texts, st.dictionaries(st.sampled_from(["a.b", "a.c", "b.b"]), st.floats(0, 1e14)).map(
    lambda values: ",".join(f"{name}={value!r}" for name, value in values.items()))))  # fmt: skip
def test_limits_are_numbers_by_kind_or_are_refused(text: str) -> None:
    try:
        found = limits.parse(text)
    except ValueError:
        return
    written = ",".join(f"{kind}.{name}={value!r}" for kind, values in found.items() for name, value in values.items())
    assert limits.parse(written) == found
