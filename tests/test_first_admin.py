"""The first admin has a good password, and later starts ask nothing of what is still set."""

import pytest
from pydantic import SecretStr

from event_trigger.bootstrap import Accounts, FirstStart, SettingsError, prepare
from event_trigger.config import Settings
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
