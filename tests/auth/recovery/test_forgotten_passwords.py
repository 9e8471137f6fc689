"""A forgotten password is replaced by a link that comes by mail and works once."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from event_trigger.auth.recovery.lifecycle import RESET_LIFETIME
from tests.support.keys import make_key
from tests.support.logins import ask_for_tokens
from tests.support.mail_server import DROP, MailServer, ReceivedMail, mail_settings
from tests.support.problems import problem_of
from tests.support.services import ADA, PASSWORD, Service, from_address, running_service
from tests.support.waiting import eventually

EMAIL, NEW = "ada@example.com", "eleven grey herons wading"
PUBLIC_URL = "https://events.example.com"


@pytest.fixture
def service_settings(shared_mails: MailServer) -> dict[str, Any]:
    return {"public_url": PUBLIC_URL, **mail_settings(shared_mails.port)}


async def _forget(client: httpx.AsyncClient, email: str = EMAIL) -> httpx.Response:
    return await client.post("/auth/forgot", json={"email": email})


async def _received(mails: MailServer, count: int = 1) -> list[ReceivedMail]:
    async def received() -> list[ReceivedMail]:
        return [*mails.received]

    return await eventually(received, lambda found: len(found) >= count)


def _token_in(mail: ReceivedMail) -> str:
    found = re.search(rf"{PUBLIC_URL}/auth/reset#([\w-]+)\n", mail.text)
    assert found is not None
    return found[1]


async def _reset(client: httpx.AsyncClient, token: str, **more: Any) -> httpx.Response:
    return await client.post("/auth/reset", json={"token": token, "new": NEW, **more})


async def test_a_link_sets_a_password_once_and_ends_all_logins(
    own_service: Service, mails: MailServer, database: Any
) -> None:
    ada, anyone = own_service.client(ADA), own_service.client()
    key = await make_key(ada, "triggers:read")

    asked = await _forget(anyone, " ADA@example.com ")
    (mail,) = await _received(mails)
    token = _token_in(mail)
    kept = await database.fetchval("SELECT token_hash FROM password_resets")
    done = await _reset(anyone, f"{PUBLIC_URL}/auth/reset#{token}")
    again = await _reset(anyone, token)

    assert asked.status_code == 202
    assert mail.recipients == [EMAIL]
    assert f"curl {PUBLIC_URL}/auth/reset" in mail.text
    assert token.encode() not in kept
    assert done.status_code == 204
    assert problem_of(again, 404)["type"].endswith("reset-refused")
    assert (await ada.get("/auth/me")).status_code == 401
    by_key = {"Authorization": f"Bearer {key['key']}"}
    assert (await anyone.get("/auth/me", headers=by_key)).status_code == 200
    assert (await ask_for_tokens(anyone, password=PASSWORD)).status_code != 200
    assert (await ask_for_tokens(anyone, password=NEW)).status_code == 200
    entries = await database.fetch(
        "SELECT action, after::text FROM audit_entries WHERE target = 'user' AND target_id = $1"
        " ORDER BY id",
        ADA,
    )
    assert [one["action"] for one in entries if one["action"] != "sign_in"] == [
        "forgot_password",
        "reset_password",
        "reset_password",
    ]
    assert token not in str(entries)
    assert await database.fetchval("SELECT count(*) FROM account_mails") == 0


async def test_keys_end_too_if_asked(own_service: Service, mails: MailServer) -> None:
    ada, anyone = own_service.client(ADA), own_service.client()
    key = await make_key(ada, "triggers:read")
    await _forget(anyone)
    (mail,) = await _received(mails)

    await _reset(anyone, _token_in(mail), end_keys=True)

    by_key = {"Authorization": f"Bearer {key['key']}"}
    assert (await anyone.get("/auth/me", headers=by_key)).status_code == 401


async def test_all_addresses_get_the_same_answer_and_leave_the_same_row(
    own_service: Service, mails: MailServer, database: Any
) -> None:
    """The same row is stored for every address, so the time of an answer tells nothing."""
    anyone = own_service.client()

    known, unknown = await _forget(anyone), await _forget(anyone, "nobody@example.com")
    odd = await _forget(anyone, "no address")
    await _received(mails)

    async def waiting() -> int:
        return int(await database.fetchval("SELECT count(*) FROM account_mails"))

    await eventually(waiting, lambda count: count == 0)
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert known.content == odd.content
    assert [one.recipients for one in mails.received] == [[EMAIL]]


async def test_a_disabled_user_gets_no_link_and_cannot_use_an_old_one(
    own_service: Service, mails: MailServer, database: Any
) -> None:
    anyone = own_service.client()
    await _forget(anyone)
    (mail,) = await _received(mails)
    await database.execute("UPDATE users SET disabled_at = now() WHERE id = $1", ADA)

    refused = await _reset(anyone, _token_in(mail))
    await _forget(anyone)

    async def waiting() -> int:
        return int(await database.fetchval("SELECT count(*) FROM account_mails"))

    await eventually(waiting, lambda count: count == 0)
    assert refused.status_code == 404
    assert len(mails.received) == 1


async def test_a_link_ends_after_half_an_hour_and_with_another_new_password(
    own_service: Service, mails: MailServer, database: Any
) -> None:
    ada, anyone = own_service.client(ADA), own_service.client()
    await _forget(anyone)
    await _forget(anyone)
    first, second = map(_token_in, await _received(mails, 2))
    await database.execute(
        "UPDATE password_resets SET expires_at = expires_at - $1 * interval '1 second'"
        " WHERE id = (SELECT min(id) FROM password_resets)",
        RESET_LIFETIME.total_seconds(),
    )

    expired = [await _reset(anyone, token) for token in (first, second)]

    assert sorted(one.status_code for one in expired) == [204, 404]
    await _forget(anyone)
    third = _token_in((await _received(mails, 3))[-1])
    login = (await ask_for_tokens(anyone, password=NEW)).json()["access_token"]
    await ada.post(
        "/auth/password",
        json={"current": NEW, "new": "twelve grey herons wading"},
        headers={"Authorization": f"Bearer {login}"},
    )
    assert (await _reset(anyone, third)).status_code == 404


async def test_of_two_uses_at_once_one_succeeds(own_service: Service, mails: MailServer) -> None:
    anyone = own_service.client()
    await _forget(anyone)
    (mail,) = await _received(mails)

    uses = await asyncio.gather(*(_reset(anyone, _token_in(mail)) for _ in range(4)))

    assert sorted(one.status_code for one in uses) == [204, 404, 404, 404]


async def test_asking_is_limited_by_account_and_by_address(own_service: Service) -> None:
    answers = [await _forget(own_service.client(), "x@example.com") for _ in range(4)]
    elsewhere = await _forget(from_address(own_service, "192.0.2.7"), "X@example.com")
    crowd = from_address(own_service, "192.0.2.8")
    others = [await _forget(crowd, f"x{number}@example.com") for number in range(21)]

    assert [one.status_code for one in answers] == [202, 202, 202, 429]
    assert "retry-after" in answers[-1].headers
    assert elsewhere.status_code == 429
    assert [one.status_code for one in others] == [202] * 20 + [429]


async def test_a_mail_waits_for_the_server_and_logs_hold_no_address(
    own_service: Service, mails: MailServer, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mails.replies["DATA"] = DROP
    await _forget(own_service.client())
    await _received(mails)

    async def tries() -> int:
        return int(await database.fetchval("SELECT sum(tries) FROM account_mails") or 0)

    await eventually(tries, lambda count: count == 1)
    mails.replies.clear()
    await database.execute("UPDATE account_mails SET next_attempt_at = now()")
    first, second = await _received(mails, 2)

    logged = capsys.readouterr().out
    assert first.content == second.content
    assert "account_mail_failed" in logged
    assert EMAIL not in logged
    assert _token_in(first) not in logged


async def test_without_a_mail_server_the_answer_names_who_can_help(new_database_url: str) -> None:
    async with running_service(new_database_url) as service:
        answer = await _forget(service.client())

    problem = problem_of(answer, 403)
    assert problem["type"].endswith("no-password-recovery")
    assert "event_trigger user password" in problem["detail"]


async def test_a_browser_that_follows_the_link_is_led_to_the_docs(own_service: Service) -> None:
    answer = await own_service.client().get("/auth/reset")

    assert (answer.status_code, answer.headers["location"]) == (303, "../console/reset")
