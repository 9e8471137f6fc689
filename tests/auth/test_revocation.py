"""A revoked credential is refused on every replica within a second, without a query per call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from event_trigger.auth.credential_cache import MAX_CACHED_REFUSALS, CredentialCache
from event_trigger.auth.tokens import Tokens
from event_trigger.auth.users import disable_user, set_password
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import Sessions
from event_trigger.errors import NotFound
from tests.support.keys import holding, make_key
from tests.support.logins import refresh, sign_in, used_earlier
from tests.support.problems import problem_of
from tests.support.services import (
    ADA,
    ADMIN,
    BOB,
    SECRET,
    Service,
    quick_passwords,
    running_service,
    token_of,
)
from tests.support.streams import listening
from tests.support.waiting import REVOKED_WITHIN, eventually

BOBS = "bob@example.com"
Revoke = Callable[[], Awaitable[Any]]


@pytest.mark.parametrize("how", ["logout", "reuse", "password", "disabled", "key", "keys of"])
async def test_a_revocation_holds_at_another_replica_within_a_second(
    how: str, service: Service, elsewhere: Service, sessions: Sessions
) -> None:
    bob, anonymous, admin = service.client(BOB), service.client(), service.client(ADMIN)
    tokens, key = await sign_in(anonymous, BOBS), await make_key(bob)
    machine = {"X-API-Key": key["key"]}

    async def reuse() -> None:
        await refresh(anonymous, tokens)
        await used_earlier(service, 11)
        await refresh(anonymous, tokens)

    ways: dict[str, tuple[dict[str, str], Revoke]] = {
        "logout": (
            tokens.headers,
            lambda: anonymous.post("/auth/logout", headers=tokens.headers),
        ),
        "reuse": (tokens.headers, reuse),
        "password": (
            tokens.headers,
            lambda: set_password(sessions, quick_passwords(), email=BOBS, password="another one"),
        ),
        "disabled": (
            tokens.headers,
            lambda: admin.patch(f"/users/{BOB}", json={"disabled": True}),
        ),
        "key": (machine, lambda: bob.delete(f"/auth/keys/{key['id']}")),
        "keys of": (machine, lambda: admin.patch(f"/users/{BOB}", json={"disabled": True})),
    }
    headers, revoke = ways[how]
    there = elsewhere.client()
    assert (await there.get("/auth/me", headers=headers)).status_code == 200

    await revoke()

    await asyncio.sleep(REVOKED_WITHIN)
    problem_of(await there.get("/auth/me", headers=headers), 401)


async def test_a_revocation_holds_though_nobody_hears_of_it(
    service: Service, database: Any
) -> None:
    """Notifications are missing behind a pooler, or while the connection is down."""
    ada = service.client(ADA)
    assert (await ada.get("/auth/me")).status_code == 200

    await database.execute("UPDATE logins SET revoked_at = now() WHERE user_id = $1", ADA)
    await asyncio.sleep(REVOKED_WITHIN)

    problem_of(await ada.get("/auth/me"), 401)


async def test_a_body_that_comes_slowly_does_not_outlive_a_revocation(service: Service) -> None:
    anonymous = service.client()
    tokens, body = await sign_in(anonymous), b'{"name": "k", "scopes": ["events:read"]}'
    head = (
        f"POST /auth/keys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {tokens.access}\r\n\r\n"
    )
    async with listening(service) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(head.encode() + body[:5])
        await writer.drain()
        await asyncio.sleep(0.2)
        await anonymous.post("/auth/logout", headers=tokens.headers)
        await asyncio.sleep(REVOKED_WITHIN)
        writer.write(body[5:])
        answer = await reader.read()
        writer.close()

    assert answer.split()[1] == b"401"


async def test_a_revocation_outlives_a_restart(service: Service, database: Any) -> None:
    anonymous = service.client()
    tokens = await sign_in(anonymous)
    await anonymous.post("/auth/logout", headers=tokens.headers)

    async with running_service(service.database_url) as restarted:
        answer = await restarted.client().get("/auth/me", headers=tokens.headers)

    problem_of(answer, 401)


async def test_who_signs_out_is_out_at_once(service: Service) -> None:
    anonymous = service.client()
    tokens = await sign_in(anonymous)
    assert (await anonymous.get("/auth/me", headers=tokens.headers)).status_code == 200

    await anonymous.post("/auth/logout", headers=tokens.headers)

    problem_of(await anonymous.get("/auth/me", headers=tokens.headers), 401)


async def test_a_role_that_was_taken_away_is_gone(service: Service) -> None:
    admin, bob = service.client(ADMIN), service.client(BOB)
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    key = holding(service, await make_key(bob, "admin"))
    statuses = [(await key.get("/users")).status_code]

    await admin.patch(f"/users/{BOB}", json={"role": "user"})

    statuses += [(await one.get("/users")).status_code for one in (key, bob)]
    assert statuses == [200, 403, 403]


async def test_those_who_call_often_cost_one_query_a_second_at_the_most(sessions: Sessions) -> None:
    now, asked = 0.0, 0

    def count(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        nonlocal asked
        asked += "FROM logins" in statement

    credentials = CredentialCache(
        sessions, Tokens(SECRET), DatabaseClock(sessions), clock=lambda: now
    )
    event.listen(Engine, "before_cursor_execute", count)
    try:
        for _ in range(3):
            found = await asyncio.gather(*(credentials.identify(token_of(ADA)) for _ in range(50)))
            assert {one.user_id for one in found if one is not None} == {ADA}
            now += 0.2
        asked_at_first = asked
        now += 1.0
        await credentials.identify(token_of(ADA))
        credentials.forget(str(BOB))  # nothing of hers was revoked
        await credentials.identify(token_of(ADA))
        asked_later = asked
        credentials.forget(str(ADA))
        await credentials.identify(token_of(ADA))
        credentials.forget()
        await credentials.identify(token_of(ADA))
    finally:
        event.remove(Engine, "before_cursor_execute", count)

    assert (asked_at_first, asked_later, asked) == (1, 2, 4)


async def test_one_that_is_used_is_read_again_before_it_is_too_old(sessions: Sessions) -> None:
    now = 0.0
    credentials = CredentialCache(
        sessions, Tokens(SECRET), DatabaseClock(sessions), clock=lambda: now
    )
    at_first = await credentials.identify(token_of(BOB))
    await disable_user(sessions, email=BOBS)

    now = 0.6
    still = await credentials.identify(token_of(BOB))

    async def ended() -> bool:
        return await credentials.identify(token_of(BOB)) is None

    assert at_first == still is not None
    await eventually(ended, lambda has_ended: has_ended)  # at the same instant of its clock


async def test_those_who_are_refused_cost_one_query_a_second_at_the_most(
    sessions: Sessions,
) -> None:
    now, asked = 0.0, 0

    def count(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        nonlocal asked
        asked += "FROM logins" in statement or "FROM api_keys" in statement

    credentials = CredentialCache(
        sessions, Tokens(SECRET), DatabaseClock(sessions), clock=lambda: now
    )
    await disable_user(sessions, email=BOBS)
    refused = (token_of(BOB), "etk_" + "x" * 43)
    counts = []
    event.listen(Engine, "before_cursor_execute", count)
    try:
        for wait in (0.0, 0.8, 0.2):
            now += wait
            for _ in range(20):
                assert [await credentials.identify(one) for one in refused] == [None, None]
            counts.append(asked)
        credentials.forget(str(ADA))  # it is not known whose they are
        assert [await credentials.identify(one) for one in refused] == [None, None]
    finally:
        event.remove(Engine, "before_cursor_execute", count)

    assert (counts, asked) == ([2, 2, 4], 6)


async def test_the_refused_that_are_remembered_are_bounded(sessions: Sessions) -> None:
    credentials = CredentialCache(sessions, Tokens(SECRET), DatabaseClock(sessions))
    anybody = [f"etk_{number:043}" for number in range(MAX_CACHED_REFUSALS + 50)]

    for first in range(0, len(anybody), 50):
        await asyncio.gather(*map(credentials.identify, anybody[first : first + 50]))

    assert len(credentials._refused_at) == MAX_CACHED_REFUSALS


async def test_projects_that_are_closed_cost_one_query_a_second_at_the_most(
    sessions: Sessions,
) -> None:
    now, asked = 0.0, 0

    def count(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        nonlocal asked
        asked += "FROM logins" in statement

    async def ask() -> None:
        with pytest.raises(NotFound):
            await credentials.identify(token_of(BOB), ADA)

    credentials = CredentialCache(
        sessions, Tokens(SECRET), DatabaseClock(sessions), clock=lambda: now
    )
    counts = []
    event.listen(Engine, "before_cursor_execute", count)
    try:
        for wait in (0.0, 0.8, 0.2):
            now += wait
            for _ in range(20):
                await ask()
            counts.append(asked)
        credentials.forget(str(BOB))
        await ask()
        own = await credentials.identify(token_of(BOB), BOB)
    finally:
        event.remove(Engine, "before_cursor_execute", count)

    assert (counts, asked) == ([1, 1, 2], 4)
    assert own is not None


async def test_the_closed_projects_that_are_remembered_are_bounded(sessions: Sessions) -> None:
    credentials = CredentialCache(sessions, Tokens(SECRET), DatabaseClock(sessions))
    most = MAX_CACHED_REFUSALS + 50

    for first in range(0, most, 50):
        named = range(1000 + first, 1050 + first)
        asking = (credentials.identify(token_of(BOB), one) for one in named)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(one) for one in answers} == {NotFound}

    assert len(credentials._closed_at) == MAX_CACHED_REFUSALS


async def test_a_credential_that_was_just_made_works_at_once_everywhere(
    service: Service, elsewhere: Service
) -> None:
    ada, anonymous = service.client(ADA), service.client()

    for number in range(10):
        wrong = {"X-API-Key": "etk_" + f"{number}" * 43}
        problem_of(await elsewhere.client().get("/triggers", headers=wrong), 401)
        made, tokens = await make_key(ada), await sign_in(anonymous)
        there = elsewhere.client()
        by_key = await there.get("/triggers", headers={"X-API-Key": made["key"]})
        by_login = await there.get("/triggers", headers=tokens.headers)
        assert (by_key.status_code, by_login.status_code) == (200, 200)


async def test_an_answer_from_before_a_revocation_is_not_kept(sessions: Sessions) -> None:
    credentials = CredentialCache(sessions, Tokens(SECRET), DatabaseClock(sessions))
    await credentials.identify(token_of(ADA))  # it knows the time
    asking = asyncio.create_task(credentials.identify(token_of(BOB)))
    await asyncio.sleep(0)  # it has been asked for, and not been answered

    await disable_user(sessions, email=BOBS)
    credentials.forget()

    await asking
    assert await credentials.identify(token_of(BOB)) is None


@pytest.mark.parametrize("scope", ["events:read", "events:read triggers:read", " events:read  "])
async def test_a_login_can_be_narrowed_and_stays_so(
    anonymous: httpx.AsyncClient, scope: str
) -> None:
    tokens = await sign_in(anonymous, scope=scope)
    renewed = (await refresh(anonymous, tokens)).json()

    assert renewed["scope"] == " ".join(sorted(scope.split()))
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert (await anonymous.get("/events", headers=headers)).status_code == 200
    body = {"type": "api"}
    problem_of(await anonymous.post("/triggers", json=body, headers=headers), 403)
