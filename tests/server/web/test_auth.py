"""Authentication: API keys, refusals, and settings that keep a front end from starting."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from offloop import settings
from offloop.errors import SettingsError
from offloop_server.web.auth import ANONYMOUS, SCOPE_KEY, Principals, RequirePrincipal, check_binding

ALICE, BOB = "alice-key-0123456789", "bob-key-0123456789ab"
KEYS = f"alice:{ALICE}, bob:{BOB}"


def _load(keys: str | None = None, **more: str) -> Principals:
    return Principals.load(settings.load({"OFFLOOP_API_KEYS": keys or "", **more}))


def test_without_keys_everybody_is_anonymous() -> None:
    principals = _load()
    assert not principals.required
    assert principals.find(None) == principals.find("Bearer anything") == ANONYMOUS


@pytest.mark.parametrize(
    ("header", "principal"),
    [
        (f"Bearer {ALICE}", "alice"),
        (f"bearer  {BOB} ", "bob"),
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        (f"Basic {ALICE}", None),
        (ALICE, None),
        (f"Bearer {ALICE[:-1]}", None),
        (f"Bearer {ALICE.upper()}", None),
        ("Bearer \udcff", None),
    ],
)
def test_a_header_proves_the_principal_of_its_key_and_nothing_else(header: str | None, principal: str | None) -> None:
    assert _load(KEYS).find(header) == principal


def test_keys_may_stand_in_a_file_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# who may call\n\n alice:{ALICE} \nbob:{BOB}\n")
    assert _load(f"@{path}").find(f"Bearer {BOB}") == "bob"


def test_the_plain_text_of_a_key_is_not_kept() -> None:
    principals = _load(KEYS)
    assert ALICE not in repr(vars(principals))


@pytest.mark.parametrize(
    "keys",
    [
        "alice",
        "alice:short",
        f":{ALICE}",
        f"al ice:{ALICE}",
        f"alice:{ALICE},alice:{BOB}",
        f"alice:{ALICE},bob:{ALICE}",
    ],
)
def test_an_entry_that_does_not_fit_is_refused_and_no_key_is_shown(keys: str) -> None:
    with pytest.raises(SettingsError, match=r"^OFFLOOP_API_KEYS: .*openssl rand") as refused:
        _load(keys)
    assert ALICE not in refused.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^OFFLOOP_API_KEYS: cannot read .*missing"):
        _load(f"@{tmp_path / 'missing'}")


@pytest.mark.parametrize("text", ["", "# no keys yet\n"])
def test_a_file_without_keys_does_not_open_the_door(tmp_path: Path, text: str) -> None:
    """A configured file of keys means that keys are required."""
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"^OFFLOOP_API_KEYS: "):
        _load(f"@{path}")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_loopback_address_needs_no_keys(host: str) -> None:
    check_binding(settings.load({"OFFLOOP_HOST": host}), _load())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "jobs.example.org"])  # noqa: S104 -- is refused
def test_another_address_needs_keys_or_an_explicit_setting(host: str) -> None:
    with pytest.raises(SettingsError, match=r"OFFLOOP_API_KEYS=name:key.*--insecure"):
        check_binding(settings.load({"OFFLOOP_HOST": host}), _load())
    check_binding(settings.load({"OFFLOOP_HOST": host}), _load(KEYS))
    check_binding(settings.load({"OFFLOOP_HOST": host, "OFFLOOP_INSECURE": "1"}), _load())


async def _who(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(scope[SCOPE_KEY])(scope, receive, send)


@pytest.mark.anyio
async def test_the_refusal_of_a_request_without_a_key_names_the_header_to_send() -> None:
    transport = httpx2.ASGITransport(app=RequirePrincipal(_who, _load(KEYS)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        refused = await client.get("/", headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert "Authorization: Bearer <key>" in refused.json()["error"]
        assert (await client.get("/", headers={"Authorization": f"Bearer {BOB}"})).text == "bob"
