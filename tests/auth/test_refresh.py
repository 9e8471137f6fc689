"""Refresh tokens work once; a second use means that somebody holds a copy, and ends them all."""

import asyncio

import httpx

from event_trigger.auth.accounts import disable_user
from event_trigger.db.engine import Sessions
from tests.support.databases import connect
from tests.support.logins import Tokens, ask_for_tokens, refresh, sign_in, tokens_of, who_am_i
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, Service

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


async def test_using_a_refresh_token_twice_ends_the_whole_family(
    anonymous: httpx.AsyncClient,
) -> None:
    first = await sign_in(anonymous)
    unrelated = await sign_in(anonymous)
    second = tokens_of(await refresh(anonymous, first))
    third = tokens_of(await refresh(anonymous, second))

    reuse = await refresh(anonymous, first)

    assert problem_of(reuse, 401)["type"] == REFUSED
    for tokens in (first, second, third):
        problem_of(await who_am_i(anonymous, tokens), 401)
        problem_of(await refresh(anonymous, tokens), 401)
    assert (await who_am_i(anonymous, unrelated)).status_code == 200
    assert (await refresh(anonymous, unrelated)).status_code == 200


async def test_of_uses_that_come_at_once_one_succeeds_and_what_it_was_given_is_worthless(
    anonymous: httpx.AsyncClient,
) -> None:
    tokens = await sign_in(anonymous)

    answers = await asyncio.gather(*(refresh(anonymous, tokens) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]
    # nobody can tell the owner from a thief, so neither goes on: both sign in again
    winner = next(tokens_of(answer) for answer in answers if answer.status_code == 200)
    problem_of(await who_am_i(anonymous, winner), 401)
    problem_of(await refresh(anonymous, winner), 401)
    assert (await ask_for_tokens(anonymous)).status_code == 200


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
    disabled = await sign_in(anonymous, "bob@example.com")
    await disable_user(sessions, email="bob@example.com")
    expired = await sign_in(anonymous)
    connection = await connect(service.database_url)
    newest = "SELECT id FROM logins ORDER BY created_at DESC LIMIT 1"
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
