"""Signing in keeps an API key, where only its user can read it, and sends it nowhere else."""

import json
import platform
import re
import stat
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.client_cli.conftest import EMAIL, Terminal
from tests.support.receiver import receiving
from tests.support.services import PASSWORD

_KEYRING = """
kept = {}
class Backend:
    priority = 5
def get_keyring():
    return Backend()
def set_password(service, name, secret):
    kept[service, name] = secret
def get_password(service, name):
    return kept.get((service, name))
def delete_password(service, name):
    del kept[service, name]
"""


async def test_a_login_keeps_a_key_of_this_machine_instead_of_the_password(
    terminal: Terminal, ada: httpx.AsyncClient
) -> None:
    done = await terminal.login()

    [key] = (await ada.get("/auth/keys")).json()
    kept = json.loads((terminal.folder / "credentials.json").read_text())["token:default"]
    profile = tomllib.loads((terminal.folder / "config.toml").read_text())
    lifetime = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    assert done.code == 0, done
    assert key["name"] == f"event-trigger on {platform.node()}"
    assert key["scopes"] == sorted(key["scopes"])
    assert "triggers:write" in key["scopes"]
    assert timedelta(days=89) < lifetime < timedelta(days=91)
    assert kept.startswith("etk_")
    assert profile["profiles"]["default"]["key_id"] == key["id"]
    assert PASSWORD not in done.out + done.err
    assert kept not in done.out + done.err
    files = [*terminal.folder.iterdir()]
    assert {file.name for file in files} == {"config.toml", "credentials.json"}
    assert all(PASSWORD not in file.read_text() for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(terminal.folder.stat().st_mode) == 0o700


async def test_the_login_itself_ends_with_the_command(
    terminal: Terminal, ada: httpx.AsyncClient
) -> None:
    before = len((await ada.get("/auth/sessions")).json())

    await terminal.login()

    assert len((await ada.get("/auth/sessions")).json()) == before


async def test_signing_in_again_ends_the_key_before(
    signed_in: Terminal, ada: httpx.AsyncClient
) -> None:
    [before] = (await ada.get("/auth/keys")).json()

    again = await signed_in.login("--scope", "triggers:read", "--expires-in", "2d")

    [key] = (await ada.get("/auth/keys")).json()
    assert again.code == 0
    assert key["id"] != before["id"]
    assert key["scopes"] == ["triggers:read"]


async def test_a_wrong_password_is_told_and_nothing_is_kept(terminal: Terminal) -> None:
    done = await terminal.run(
        "login", "--url", terminal.url, "--email", EMAIL, "--password-stdin", typed="hunter22\n"
    )

    assert done.code == 4
    assert "hunter22" not in done.err
    assert not terminal.folder.exists()


async def test_without_a_terminal_nothing_is_asked(terminal: Terminal) -> None:
    for given, missing in (
        ([], "--url"),
        (["--url", terminal.url], "--email"),
        (["--url", terminal.url, "--email", EMAIL], "--password-stdin"),
    ):
        done = await terminal.run("login", *given)

        assert (done.code, done.out) == (2, "")
        assert missing in done.err


async def test_a_key_is_read_from_standard_input_and_tried(
    signed_in: Terminal, terminal: Terminal
) -> None:
    key = json.loads((signed_in.folder / "credentials.json").read_text())["token:default"]

    done = await terminal.run(
        "login", "--url", terminal.url, "--with-token", "--profile", "ci", typed=f"{key}\n"
    )
    wrong = await terminal.run(
        "login", "--url", terminal.url, "--with-token", "--profile", "no", typed=f"{key}x\n"
    )

    assert done.code == 0
    assert EMAIL in await terminal.do("whoami", "--profile", "ci")
    assert wrong.code == 4
    assert await terminal.do("profiles", "list", "-o", "name") == "default\nci\n"


async def test_a_file_that_others_can_read_is_refused(signed_in: Terminal) -> None:
    file = signed_in.folder / "credentials.json"
    file.chmod(0o640)

    done = await signed_in.run("whoami")

    assert (done.code, done.out) == (4, "")
    assert "chmod 600" in done.err
    file.chmod(0o600)
    assert EMAIL in await signed_in.do("whoami")


async def test_a_kept_key_goes_to_the_service_of_its_login_only(signed_in: Terminal) -> None:
    async with receiving() as receiver:
        by_option = await signed_in.run("triggers", "list", "--url", receiver.url)
        by_path = await signed_in.run("triggers", "list", "--url", f"{signed_in.url}/other")
        by_setting = await signed_in.run("triggers", "list", EVENT_TRIGGER_URL=receiver.url)

    assert [by_option.code, by_path.code, by_setting.code] == [4, 4, 4]
    assert receiver.received == []


async def test_an_option_wins_over_the_environment_and_that_over_the_profile(
    signed_in: Terminal,
) -> None:
    kept = json.loads((signed_in.folder / "credentials.json").read_text())["token:default"]
    nowhere = "http://127.0.0.1:9"
    token = {"EVENT_TRIGGER_TOKEN": kept}

    by_profile = await signed_in.run("whoami")
    by_environment = await signed_in.run("whoami", EVENT_TRIGGER_URL=nowhere, **token)
    by_option = await signed_in.run(
        "whoami", "--url", signed_in.url, EVENT_TRIGGER_URL=nowhere, **token
    )
    by_token = await signed_in.run("whoami", EVENT_TRIGGER_TOKEN="etk_wrong")

    assert [by_profile.code, by_environment.code, by_option.code, by_token.code] == [0, 7, 0, 4]


async def test_no_error_shows_a_token_that_cannot_be_sent(terminal: Terminal) -> None:
    for token in ("etk_canary\ncanary", "etk_canary-ü", "etk_canary\t"):
        called = await terminal.run("whoami", "--url", terminal.url, EVENT_TRIGGER_TOKEN=token)

        assert (called.code, called.out) == (4, "")
        assert "canary" not in called.err
    kept = await terminal.run(
        "login", "--url", terminal.url, "--with-token", typed="etk_canary-ü\n"
    )
    assert kept.code == 4
    assert "canary" not in kept.err


async def test_a_profile_of_another_service_is_not_replaced(signed_in: Terminal) -> None:
    async with receiving() as receiver:
        done = await signed_in.run("login", "--url", receiver.url, "--email", EMAIL)

    assert done.code == 2
    assert "--profile" in done.err
    assert EMAIL in await signed_in.do("whoami")


async def test_profiles_are_chosen_by_name(signed_in: Terminal) -> None:
    await signed_in.login("--profile", "second", email="bob@example.com")

    listed = json.loads(await signed_in.do("profiles", "list", "-o", "json"))
    await signed_in.do("profiles", "use", "default")
    current = await signed_in.do("whoami")
    by_option = await signed_in.do("whoami", "--profile", "second")
    unknown = await signed_in.run("whoami", "--profile", "third")

    assert [(one["name"], one["is_current"]) for one in listed] == [
        ("default", False),
        ("second", True),
    ]
    assert EMAIL in current
    assert "bob@example.com" in by_option
    assert unknown.code == 2
    assert "default, second" in unknown.err


async def test_signing_out_ends_the_key(signed_in: Terminal, ada: httpx.AsyncClient) -> None:
    done = await signed_in.run("logout")

    assert done.code == 0, done
    assert (await ada.get("/auth/keys")).json() == []
    assert json.loads((signed_in.folder / "credentials.json").read_text()) == {}
    assert (await signed_in.run("whoami")).code == 4


async def test_signing_out_of_a_key_that_has_ended_is_no_error(
    signed_in: Terminal, ada: httpx.AsyncClient
) -> None:
    [key] = (await ada.get("/auth/keys")).json()
    await ada.delete(f"/auth/keys/{key['id']}")

    done = await signed_in.run("logout")

    assert done.code == 0, done
    assert json.loads((signed_in.folder / "credentials.json").read_text()) == {}


async def test_signing_out_where_nothing_answers_forgets_the_key_and_says_that_it_goes_on(
    signed_in: Terminal,
) -> None:
    profiles = signed_in.folder / "config.toml"
    profiles.write_text(re.sub(r"http://[^\"]+", "http://127.0.0.1:9", profiles.read_text()))

    done = await signed_in.run("logout")

    assert done.code == 0, done
    assert "goes on working until it expires" in done.err
    assert json.loads((signed_in.folder / "credentials.json").read_text()) == {}


async def test_a_key_that_is_kept_at_signing_out_goes_on(
    signed_in: Terminal, ada: httpx.AsyncClient
) -> None:
    done = await signed_in.run("logout", "--keep-key")

    [key] = (await ada.get("/auth/keys")).json()
    assert done.code == 0
    assert f"keys revoke {key['id']}" in done.err
    assert (await signed_in.run("whoami")).code == 4


async def test_a_keyring_keeps_the_key_where_there_is_one(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "keyring.py").write_text(_KEYRING)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    try:
        await terminal.login()
        [kept] = sys.modules["keyring"].kept.items()

        assert EMAIL in await terminal.do("whoami")
        assert kept[0] == ("event-trigger", "token:default")
        assert not (terminal.folder / "credentials.json").exists()
        await terminal.do("logout")
        assert sys.modules["keyring"].kept == {}
    finally:
        sys.modules.pop("keyring", None)


async def test_a_keyring_that_does_not_open_leaves_the_key_to_the_file(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed").mkdir()
    locked = _KEYRING.replace("kept[service, name] = secret", "raise OSError('locked')")
    (tmp_path / "installed" / "keyring.py").write_text(locked)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    try:
        done = await terminal.login()

        assert done.code == 0
        assert (terminal.folder / "credentials.json").exists()
        assert EMAIL in await terminal.do("whoami")
    finally:
        sys.modules.pop("keyring", None)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://localhost",
        "https://ada:secret@example.com",
        "http://",
        "http://[::1",
        "http://a:b",
    ],
)
async def test_what_is_no_address_is_wrong_usage(terminal: Terminal, url: str) -> None:
    done = await terminal.run("login", "--url", url, "--email", EMAIL)
    called = await terminal.run("whoami", EVENT_TRIGGER_URL=url, EVENT_TRIGGER_TOKEN="etk_x")

    assert [done.code, called.code] == [2, 2]
    for told in (done.err, called.err):
        assert "address" in told
        assert "secret" not in told
