"""Refresh tokens work once, and again within ten seconds; a later use ends the whole login."""

import asyncio

import httpx

from event_trigger.auth.users import disable_user
from event_trigger.db.engine import Sessions
from tests.support.databases import connect
from tests.support.logins import Tokens, refresh, sign_in, tokens_of, used_earlier, who_am_i
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, Service, idle_service

REFUSED = "urn:event-trigger:problem:refresh-refused"


async def test_a_refresh_token_is_traded_for_new_tokens(anonymous: httpx.AsyncClient) -> None:
    first = await sign_in(anonymous)

    answer = await refresh(anonymous, first)

    body = answer.json()
    second = tokens_of(answer)
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert answer.headers["cache-control"] == "no-store"
    assert len({first.access, first.refresh, second.access, second.refresh}) == 4
    assert (await who_am_i(anonymous, second)).json()["id"] == ADA
    assert (await who_am_i(anonymous, first)).status_code == 200


async def test_tokens_can_be_refreshed_again_and_again(anonymous: httpx.AsyncClient) -> None:
    tokens = await sign_in(anonymous)

    for _ in range(5):
        tokens = tokens_of(await refresh(anonymous, tokens))

    assert (await who_am_i(anonymous, tokens)).status_code == 200


async def test_a_refresh_whose_answer_was_lost_can_be_repeated(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    first = await sign_in(anonymous)
    lost = tokens_of(await refresh(anonymous, first))
    await used_earlier(service, 4)

    again = tokens_of(await refresh(anonymous, first))

    assert len({first.refresh, lost.refresh, again.refresh}) == 3
    for tokens in (lost, again):
        assert (await who_am_i(anonymous, tokens)).json()["id"] == ADA
        assert (await refresh(anonymous, tokens)).status_code == 200


async def test_using_a_refresh_token_again_later_ends_the_whole_family(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    first = await sign_in(anonymous)
    unrelated = await sign_in(anonymous)
    second = tokens_of(await refresh(anonymous, first))
    beside = tokens_of(await refresh(anonymous, first))
    third = tokens_of(await refresh(anonymous, second))
    await used_earlier(service, 11)

    reuse = await refresh(anonymous, first)

    assert problem_of(reuse, 401)["type"] == REFUSED
    for tokens in (first, second, beside, third):
        problem_of(await who_am_i(anonymous, tokens), 401)
        problem_of(await refresh(anonymous, tokens), 401)
    assert (await who_am_i(anonymous, unrelated)).status_code == 200
    assert (await refresh(anonymous, unrelated)).status_code == 200


async def test_a_repeated_use_begins_no_new_grace(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    first = await sign_in(anonymous)
    await refresh(anonymous, first)
    await used_earlier(service, 6)
    assert (await refresh(anonymous, first)).status_code == 200
    await used_earlier(service, 6)

    problem_of(await refresh(anonymous, first), 401)


async def test_tabs_that_refresh_at_once_at_several_replicas_all_go_on(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    tokens = await sign_in(anonymous)

    async with idle_service(service.database_url) as elsewhere:
        clients = [anonymous, elsewhere.client()] * 3
        answers = await asyncio.gather(*(refresh(one, tokens) for one in clients))
        found = [tokens_of(answer) for answer in answers]

        assert len({one.refresh for one in found}) == 6
        for one in found:
            assert (await who_am_i(anonymous, one)).status_code == 200
            assert (await refresh(elsewhere.client(), one)).status_code == 200


async def test_logging_out_while_refreshing_leaves_nothing_alive(
    anonymous: httpx.AsyncClient,
) -> None:
    for _ in range(5):
        tokens = await sign_in(anonymous)

        refreshed, ended = await asyncio.gather(
            refresh(anonymous, tokens), anonymous.post("/auth/logout", headers=tokens.headers)
        )

        assert ended.status_code == 204
        if refreshed.status_code == 200:
            problem_of(await who_am_i(anonymous, tokens_of(refreshed)), 401)
            problem_of(await refresh(anonymous, tokens_of(refreshed)), 401)


async def test_a_refused_refresh_token_does_not_say_why(
    anonymous: httpx.AsyncClient, service: Service, sessions: Sessions
) -> None:
    used = await sign_in(anonymous)
    await refresh(anonymous, used)
    await used_earlier(service, 11)
    disabled = await sign_in(anonymous, "bob@example.com")
    await disable_user(sessions, email="bob@example.com")
    expired = await sign_in(anonymous)
    connection = await connect(service.database_url)
    newest = "SELECT id FROM logins WHERE created_at < now() ORDER BY created_at DESC LIMIT 1"
    await connection.execute(f"UPDATE logins SET expires_at = now() WHERE id = ({newest})")
    await connection.close()
    unknown = Tokens("", "etr_unknown")

    answers = [await refresh(anonymous, one) for one in (used, disabled, expired, unknown)]

    assert [problem_of(answer, 401)["type"] for answer in answers] == [REFUSED] * 4
    assert len({answer.content for answer in answers}) == 1


async def test_one_kind_of_token_is_not_the_other(anonymous: httpx.AsyncClient) -> None:
    tokens = await sign_in(anonymous)
    swapped = Tokens(access=tokens.refresh, refresh=tokens.access[-200:])

    problem_of(await who_am_i(anonymous, swapped), 401)
    problem_of(await refresh(anonymous, swapped), 401)

    assert (await refresh(anonymous, tokens)).status_code == 200


async def test_any_text_is_refused_without_a_crash(anonymous: httpx.AsyncClient) -> None:
    for text in ("", " ", "é", "\N{PILE OF POO}", "etr_", "%00", "x" * 200):
        problem_of(await refresh(anonymous, Tokens("", text)), 401)

    too_long = await refresh(anonymous, Tokens("", "x" * 201))

    assert places_of(too_long) == ["#/refresh_token"]
