"""The first start makes a signing secret and an admin with a good password, once for all."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from event_trigger.bootstrap import Accounts, FirstStart, SettingsError, prepare, stored_secret
from event_trigger.config import Settings
from event_trigger.processes.banner import welcome
from tests.support.services import PASSWORD, make_settings

ROOT = "root@example.com"


async def started(settings: Settings) -> Accounts:
    start = FirstStart(settings, embedded=False)
    await prepare(settings, start)
    assert start.accounts is not None
    return start.accounts


async def test_the_first_admins_password_is_looked_at_when_the_admin_is_made(
    empty_url: str,
) -> None:
    def settings(email: str, password: str) -> Settings:
        return make_settings(empty_url, admin_email=email, admin_password=SecretStr(password))

    for email, password, setting in (
        (ROOT, "short", "EVENT_TRIGGER_ADMIN_PASSWORD"),
        (ROOT, "password1234", "EVENT_TRIGGER_ADMIN_PASSWORD"),
        ("ro\u200bot@example.com", PASSWORD, "EVENT_TRIGGER_ADMIN_EMAIL"),
    ):
        with pytest.raises(SettingsError, match=setting) as refused:
            await started(settings(email, password))
        assert password not in str(refused.value)

    made = await started(settings(ROOT, PASSWORD))
    later = await started(settings(ROOT, "short"))

    assert made.first_admin is not None
    assert made.first_admin.email == ROOT
    assert (later.exist, later.first_admin) == (True, None)


def test_the_welcome_takes_the_admins_password_from_where_it_was_set() -> None:
    accounts = Accounts(exist=True, first_admin=None)

    chosen = welcome(make_settings("postgresql://x", admin_password=SecretStr(PASSWORD)), accounts)
    made = welcome(make_settings("postgresql://x"), accounts)

    assert 'password="$EVENT_TRIGGER_ADMIN_PASSWORD"' in chosen
    assert "the first start" not in chosen
    assert PASSWORD not in chosen
    assert "PASSWORD='the one from the first start'" in made


def test_a_signing_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "data"

    first, second = stored_secret(data), stored_secret(data)

    assert first == second
    assert len(first) >= 32
    assert (data / "jwt-secret").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in data.iterdir()] == ["jwt-secret"]


def test_a_signing_secret_that_a_power_failure_cut_off_is_replaced(tmp_path: Path) -> None:
    whole = stored_secret(tmp_path)
    (tmp_path / "jwt-secret").write_text("")
    (tmp_path / "jwt-secret.new").write_text(whole[:10])

    replacement = stored_secret(tmp_path)

    assert len(replacement) >= 32
    assert replacement != whole
    assert stored_secret(tmp_path) == replacement
