"""A user sees their own logins, and ends them one by one or all but the present one."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from event_trigger.auth.repository.logins import LONGEST_USER_AGENT, clean_user_agent
from tests.support.keys import holding, make_key
from tests.support.logins import refresh, sign_in, tokens_of, who_am_i
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import ADA, PASSWORD, Service, from_address
from tests.support.triggers import instant
from tests.support.waiting import REVOKED_WITHIN

NOBODYS = "00000000-0000-4000-8000-000000000000"


async def signed_in(service: Service, email: str = "ada@example.com", *, scope: str = "") -> Any:
    client = service.client()
    client.headers.update((await sign_in(client, email, scope=scope)).headers)
    return client


async def list_sessions(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/auth/sessions", params=query)
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()
    return listed


async def current_id(client: httpx.AsyncClient) -> str:
    [current] = [one["id"] for one in await list_sessions(client) if one["is_current"]]
    return str(current)


async def test_a_login_says_where_it_comes_from(service: Service) -> None:
    browser = from_address(service, "192.0.2.7")
    browser.headers["user-agent"] = "Browser/1.0 (of Ada)"
    browser.headers.update((await sign_in(browser)).headers)

    mine, fixed = sorted(await list_sessions(browser), key=lambda one: not one["is_current"])

    assert set(mine) == {
        "id",
        "created_at",
        "expires_at",
        "last_used_at",
        "address",
        "user_agent",
        "scopes",
        "is_current",
    }
    assert (mine["address"], mine["user_agent"]) == ("192.0.2.7", "Browser/1.0 (of Ada)")
    assert (mine["scopes"], mine["is_current"]) == (None, True)
    assert instant(mine["created_at"]) <= instant(mine["last_used_at"])
    assert (instant(mine["expires_at"]) - instant(mine["created_at"])).days == 30
    assert (fixed["id"], fixed["is_current"]) == (str(UUID(int=ADA)), False)
    assert (fixed["address"], fixed["user_agent"]) == (None, None)


async def test_a_refresh_updates_where_a_login_is_used_from(service: Service) -> None:
    home, train = from_address(service, "192.0.2.7"), from_address(service, "2001:db8::1")
    tokens = await sign_in(home)
    train.headers["user-agent"] = "Phone/2"

    renewed = tokens_of(await refresh(train, tokens))
    train.headers.update(renewed.headers)

    [mine] = [one for one in await list_sessions(train) if one["is_current"]]
    assert (mine["address"], mine["user_agent"]) == ("2001:db8::1", "Phone/2")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("curl/8.5", "curl/8.5"),
        ("a\x00b\x1b[31m\x7fc", "a\ufffdb\ufffd[31m\ufffdc"),
        ("Gr\u00c3\u00bc\u00c3\u009fe/1", "Gr\u00fc\u00dfe/1"),  # UTF-8, as servers read headers
        ("\u00ff\u00fe", "\ufffd\ufffd"),
        ("\u00e2\u0080\u00ae drawkcab", "\ufffd drawkcab"),
        ("x" * 5000, "x" * LONGEST_USER_AGENT),
    ],
)
def test_a_user_agent_is_cut_and_harmless(sent: str | None, shown: str | None) -> None:
    assert clean_user_agent(sent) == shown


async def test_no_user_agent_stands_in_the_way_of_signing_in(
    anonymous: httpx.AsyncClient,
) -> None:
    form = {"username": "ada@example.com", "password": PASSWORD}

    for value in (b"", b"\xff\xfe\x00", b"\xe2\x80\xae" * 999, b"a" * 60_000):
        answer = await anonymous.post(
            "/auth/token", data=form, headers=[(b"user-agent", value), (b"user-agent", b"second")]
        )
        tokens = tokens_of(answer)
        renewed = await anonymous.post(
            "/auth/refresh",
            json={"refresh_token": tokens.refresh},
            headers=[(b"user-agent", value)],
        )
        assert renewed.status_code == 200, value[:10]


async def test_logins_are_listed_newest_first_and_in_pages(service: Service, database: Any) -> None:
    mine = await signed_in(service)
    await database.execute(  # several of one instant
        "INSERT INTO logins (id, user_id, created_at, expires_at) SELECT gen_random_uuid(), $1,"
        " now() - make_interval(hours => number / 3), now() + interval '1 day'"
        " FROM generate_series(1, 20) AS number",
        ADA,
    )

    listed = await list_sessions(mine)
    paged = await read_all(mine, "/auth/sessions", limit=3)

    assert len(listed) == 22
    assert [one["id"] for one in paged] == [one["id"] for one in listed]
    order = [(instant(one["created_at"]), UUID(one["id"])) for one in listed]
    assert order == sorted(order, reverse=True)
    for cursor in ("x", "WzFd", "WzEsLTFd"):
        refused = await mine.get("/auth/sessions", params={"cursor": cursor})
        assert places_of(refused) == ["cursor"]


async def test_only_ones_own_live_logins_are_listed(service: Service, database: Any) -> None:
    ada, left, old = [await signed_in(service) for _ in range(3)]
    bob = await signed_in(service, "bob@example.com")
    expired = await current_id(old)
    await left.post("/auth/logout")
    await database.execute("UPDATE logins SET expires_at = now() WHERE id = $1", UUID(expired))

    listed = {one["id"] for one in await list_sessions(ada)}

    assert listed == {await current_id(ada), str(UUID(int=ADA))}
    assert listed.isdisjoint({one["id"] for one in await list_sessions(bob)})


async def test_a_login_that_was_ended_is_refused_at_once_and_everywhere(
    service: Service, elsewhere: Service, database: Any
) -> None:
    mine, anonymous = await signed_in(service), service.client()
    stolen = await sign_in(anonymous)
    there = elsewhere.client()
    assert (await who_am_i(there, stolen)).status_code == 200
    there_too = elsewhere.client()
    there_too.headers.update(stolen.headers)
    wanted = await current_id(there_too)

    ended = await mine.delete(f"/auth/sessions/{wanted}")

    assert (ended.status_code, ended.content) == (204, b"")
    problem_of(await who_am_i(anonymous, stolen), 401)
    problem_of(await refresh(anonymous, stolen), 401)
    await asyncio.sleep(REVOKED_WITHIN)
    problem_of(await who_am_i(there, stolen), 401)
    assert (await mine.get("/triggers")).status_code == 200
    assert wanted not in {one["id"] for one in await list_sessions(mine)}
    entry = await database.fetchrow("SELECT * FROM audit_entries WHERE action = 'end_session'")
    assert (entry["target"], entry["user_id"]) == ("login", ADA)
    assert wanted in entry["after"]


async def test_the_present_login_can_be_ended_like_another(service: Service) -> None:
    mine = await signed_in(service)

    answer = await mine.delete(f"/auth/sessions/{await current_id(mine)}")

    assert answer.status_code == 204
    problem_of(await mine.get("/auth/me"), 401)


async def test_a_login_that_is_not_ones_own_or_has_ended_is_as_none(service: Service) -> None:
    ada, left = await signed_in(service), await signed_in(service)
    bob = await signed_in(service, "bob@example.com")
    bobs, ended = await current_id(bob), await current_id(left)
    await left.post("/auth/logout")

    answers = [
        problem_of(await ada.delete(f"/auth/sessions/{one}"), 404) for one in (bobs, ended, NOBODYS)
    ]

    assert answers[0] == answers[1] == answers[2]
    odd = await ada.delete("/auth/sessions/zz%25zz")
    assert places_of(odd) == ["session_id"]
    assert "z" not in odd.json()["errors"][0]["detail"]
    assert (await bob.get("/auth/me")).status_code == 200


async def test_all_others_are_ended_and_this_one_stays(
    service: Service, elsewhere: Service, database: Any
) -> None:
    mine, bob = await signed_in(service), await signed_in(service, "bob@example.com")
    others = [await sign_in(service.client()) for _ in range(2)]
    key = holding(service, await make_key(mine))
    there = elsewhere.client()
    for tokens in others:
        assert (await who_am_i(there, tokens)).status_code == 200

    statuses = [(await mine.delete("/auth/sessions")).status_code for _ in range(2)]

    assert statuses == [204, 204]
    assert [one["is_current"] for one in await list_sessions(mine)] == [True]
    await asyncio.sleep(REVOKED_WITHIN)
    for tokens in others:
        problem_of(await who_am_i(there, tokens), 401)
        problem_of(await refresh(there, tokens), 401)
    assert (await key.get("/triggers")).status_code == 200
    assert (await bob.get("/triggers")).status_code == 200
    entries = await database.fetch(
        "SELECT after FROM audit_entries WHERE action = 'end_other_sessions'"
    )
    assert len(entries) == 1
    assert '"ended": 3' in entries[0]["after"]


async def test_who_is_narrowed_sees_and_ends_only_what_is_no_wider(service: Service) -> None:
    full = await signed_in(service)
    reader = await signed_in(service, scope="events:read triggers:read")
    same = await signed_in(service, scope="triggers:read")
    other = await signed_in(service, scope="triggers:read triggers:fire")
    ids = {
        name: await current_id(one)
        for name, one in {"full": full, "reader": reader, "same": same, "other": other}.items()
    }

    listed = await list_sessions(reader)
    for hidden in ("full", "other"):
        problem_of(await reader.delete(f"/auth/sessions/{ids[hidden]}"), 404)
    ended = await reader.delete("/auth/sessions")

    assert {one["id"] for one in listed} == {ids["reader"], ids["same"]}
    assert {tuple(one["scopes"]) for one in listed} == {
        ("events:read", "triggers:read"),
        ("triggers:read",),
    }
    assert ended.status_code == 204
    problem_of(await same.get("/auth/me"), 401)
    assert (await other.get("/auth/me")).status_code == 200
    assert len(await list_sessions(full)) == 4


async def test_keys_know_no_logins(ada: httpx.AsyncClient, service: Service) -> None:
    machine = holding(service, await make_key(ada))

    for answer in (
        await machine.get("/auth/sessions"),
        await machine.delete("/auth/sessions"),
        await machine.delete(f"/auth/sessions/{UUID(int=ADA)}"),
    ):
        assert problem_of(answer, 403)["type"] == "urn:event-trigger:problem:for-logins-only"
    assert (await ada.get("/auth/sessions")).status_code == 200


async def test_logins_belong_to_no_project(service: Service) -> None:
    mine = await signed_in(service)
    mine.headers["X-Project-ID"] = "999999"

    assert len(await list_sessions(mine)) == 2
    assert (await mine.delete("/auth/sessions")).status_code == 204
    problem_of(await mine.get("/triggers"), 404)
