"""A user changes their password, and whoever else is signed in is so no longer."""

import asyncio
from typing import Any

import httpx
import pytest

from event_trigger.auth.account import lifecycle
from event_trigger.auth.principal import Principal
from event_trigger.auth.users import disable_user, set_password
from event_trigger.db.engine import Sessions
from event_trigger.errors import Unauthorized
from event_trigger.web.dependencies import state_of
from tests.support.keys import holding, make_key
from tests.support.logins import (
    Meanwhile,
    Tokens,
    ask_for_tokens,
    refresh,
    sign_in,
    tokens_of,
    who_am_i,
)
from tests.support.memberships import add_project
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, BOB, PASSWORD, Service, quick_passwords
from tests.support.waiting import REVOKED_WITHIN

NEW = "eleven grey herons wading"
ADAS = "ada@example.com"


async def change(
    client: httpx.AsyncClient, tokens: Tokens | None = None, **body: Any
) -> httpx.Response:
    sent = {"current": PASSWORD, "new": NEW, **body}
    headers = {} if tokens is None else tokens.headers
    return await client.post("/auth/password", json=sent, headers=headers)


async def test_a_new_password_works_and_the_old_one_does_not(
    anonymous: httpx.AsyncClient, database: Any
) -> None:
    tokens = await sign_in(anonymous)

    answer = await change(anonymous, tokens)

    assert (answer.status_code, answer.content) == (204, b"")
    problem_of(await ask_for_tokens(anonymous, ADAS, PASSWORD), 401)
    assert (await ask_for_tokens(anonymous, ADAS, NEW)).status_code == 200
    entries = await database.fetch(
        "SELECT target, target_id, user_id, after FROM audit_entries"
        " WHERE action = 'change_password' ORDER BY id"
    )
    assert [(one["target"], one["user_id"]) for one in entries] == [("user", ADA), ("login", ADA)]
    assert entries[0]["after"] == '{"password_hash": "(replaced)"}'
    assert "argon2" not in str(entries)


async def test_other_logins_end_everywhere_and_this_one_stays(
    service: Service, elsewhere: Service
) -> None:
    anonymous, there = service.client(), elsewhere.client()
    mine, other = await sign_in(anonymous), await sign_in(anonymous)
    narrowed, bobs = (
        await sign_in(anonymous, scope="events:read"),
        await sign_in(anonymous, "bob@example.com"),
    )
    assert (await who_am_i(there, other)).status_code == 200

    await change(anonymous, mine)

    for ended in (other, narrowed):
        problem_of(await who_am_i(anonymous, ended), 401)
        problem_of(await refresh(anonymous, ended), 401)
    problem_of(await service.client(ADA).get("/auth/me"), 401)
    assert (await who_am_i(anonymous, mine)).status_code == 200
    renewed = tokens_of(await refresh(anonymous, mine))
    assert (await who_am_i(anonymous, renewed)).status_code == 200
    assert (await who_am_i(anonymous, bobs)).status_code == 200
    await asyncio.sleep(REVOKED_WITHIN)
    problem_of(await who_am_i(there, other), 401)
    assert (await who_am_i(there, mine)).status_code == 200


async def test_keys_stay_unless_they_shall_end(
    service: Service, elsewhere: Service, database: Any
) -> None:
    anonymous, bob = service.client(), service.client(BOB)
    tokens = await sign_in(anonymous, "bob@example.com")
    team = await add_project(service, ADA, {BOB: "editor"})
    made = [await make_key(bob)]
    bob.headers["X-Project-ID"] = str(team)
    made.append(await make_key(bob))
    keys = [holding(where, one) for one in made for where in (service, elsewhere)]

    await change(anonymous, tokens)
    kept = [(await key.get("/triggers")).status_code for key in keys]
    await change(anonymous, tokens, current=NEW, new=PASSWORD, end_keys=True)
    await asyncio.sleep(REVOKED_WITHIN)

    assert kept == [200] * 4
    assert [(await key.get("/triggers")).status_code for key in keys] == [401] * 4
    assert (await who_am_i(anonymous, tokens)).status_code == 200
    entry = await database.fetchrow(
        "SELECT after FROM audit_entries WHERE action = 'change_password' AND target = 'key'"
    )
    assert '"ended": 2' in entry["after"]


async def test_a_wrong_current_password_changes_nothing_and_signs_nobody_out(
    anonymous: httpx.AsyncClient, database: Any
) -> None:
    tokens = await sign_in(anonymous)

    refused = await change(anonymous, tokens, current="not my password at all")

    assert places_of(refused) == ["#/current"]
    assert problem_of(refused, 422)["type"] == "urn:event-trigger:problem:wrong-password"
    assert (await who_am_i(anonymous, tokens)).status_code == 200
    assert (await ask_for_tokens(anonymous)).status_code == 200
    entry = await database.fetchrow("SELECT * FROM audit_entries WHERE refused")
    assert (entry["action"], entry["target_id"], entry["user_id"]) == ("sign_in", ADA, ADA)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"new": "elevenchars"}, "#/new"),
        ({"new": "x" * 129}, "#/new"),
        ({"new": "password1234"}, "#/new"),
        ({"new": "abcdefghijkl"}, "#/new"),
        ({"new": PASSWORD}, "#/new"),
        ({"new": None}, "#/new"),
        ({"new": 123456789012}, "#/new"),
        ({"new": "a good one\0with NUL"}, "#"),
        ({"current": None}, "#/current"),
        ({"current": "x" * 1025}, "#/current"),
        ({"end_keys": "yes"}, "#/end_keys"),
        ({"end_keys": None}, "#/end_keys"),
        ({"email": "eve@example.com"}, "#/email"),
    ],
)
async def test_what_is_no_new_password_is_refused(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, body: dict[str, Any], place: str
) -> None:
    refused = await change(ada, **body)

    assert places_of(refused) == [place]
    assert (await ask_for_tokens(anonymous)).status_code == 200


@pytest.mark.parametrize(
    "new", ["x7" * 6 + "q", "\u5bc6\u7801" * 3 + "\U0001f511 lock it", "z9 " * 42 + "y!"]
)
async def test_any_script_and_up_to_128_characters_will_do(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, new: str
) -> None:
    answer = await change(ada, new=new)

    assert answer.status_code == 204, answer.text
    assert (await ask_for_tokens(anonymous, ADAS, new)).status_code == 200


async def test_guessing_is_slowed_as_at_sign_in(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for number in range(5):
        problem_of(await change(ada, current=f"guess {number}"), 422)
        problem_of(await ask_for_tokens(anonymous, ADAS, f"guess {number}"), 401)

    slowed = await change(ada)
    at_sign_in = await ask_for_tokens(anonymous)

    assert problem_of(slowed, 429)["type"] == "urn:event-trigger:problem:too-many-failures"
    assert int(slowed.headers["retry-after"]) > 0
    problem_of(at_sign_in, 429)
    assert (await ada.get("/auth/me")).status_code == 200


async def test_a_right_password_clears_the_guesses(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for number in range(9):
        await change(ada, current=f"guess {number}")

    await change(ada)

    statuses = [(await ask_for_tokens(anonymous, ADAS, "wrong")).status_code for _ in range(10)]
    assert statuses == [401] * 10


async def test_only_a_full_login_changes_a_password(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, service: Service
) -> None:
    narrowed = await sign_in(anonymous, scope="triggers:read triggers:write")
    machine = holding(service, await make_key(ada))

    answers = [await change(anonymous, narrowed), await change(machine), await change(anonymous)]

    slugs = [one.json()["type"].rpartition(":")[2] for one in answers]
    assert slugs == ["narrowed-login", "for-logins-only", "unauthorized"]
    assert [one.status_code for one in answers] == [403, 403, 401]
    assert (await ask_for_tokens(anonymous)).status_code == 200


async def test_of_two_changes_at_once_one_wins(anonymous: httpx.AsyncClient) -> None:
    tokens = await sign_in(anonymous)
    wanted = [f"a password of number {number}" for number in range(4)]

    answers = await asyncio.gather(*(change(anonymous, tokens, new=one) for one in wanted))

    statuses = [one.status_code for one in answers]
    assert sorted(statuses) == [204, 422, 422, 422]
    for status, password in zip(statuses, wanted, strict=True):
        signed_in = await ask_for_tokens(anonymous, ADAS, password)
        assert signed_in.is_success == (status == 204)


async def principal_of(service: Service, tokens: Tokens) -> Principal:
    found = await state_of(service.app).credentials.identify(tokens.access)
    assert found is not None
    return found


@pytest.mark.parametrize("how", ["logout", "disabled", "another password"])
async def test_a_login_that_ends_during_the_change_changes_nothing(
    how: str, service: Service, sessions: Sessions
) -> None:
    anonymous = service.client()
    tokens = await sign_in(anonymous)
    login = await principal_of(service, tokens)
    ways = {
        "logout": lambda: anonymous.post("/auth/logout", headers=tokens.headers),
        "disabled": lambda: disable_user(sessions, email=ADAS),
        "another password": lambda: set_password(
            sessions, quick_passwords(), email=ADAS, password="set by the operator"
        ),
    }
    wanted = lifecycle.NewSecret(PASSWORD, NEW, end_keys=False, address=None)

    with pytest.raises(Unauthorized):
        await lifecycle.change_password(sessions, Meanwhile(ways[how]), login, wanted)

    problem_of(await ask_for_tokens(anonymous, ADAS, NEW), 401)
