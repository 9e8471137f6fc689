"""Guessing is slowed down across all replicas, and locks out no other user."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.auth.logins.throttle import (
    ACCOUNT_ALLOWANCE,
    ADDRESS_ALLOWANCE,
    REGISTRATION_ALLOWANCE,
    Allowance,
    subjects_of,
)
from tests.support.logins import ask_for_tokens
from tests.support.problems import problem_of
from tests.support.services import (
    PASSWORD,
    Service,
    from_address,
    idle_service,
    running_service,
)

WRONG = "not the password"
SECOND = timedelta(seconds=1)


async def test_after_ten_wrong_passwords_an_account_has_to_wait_everywhere(
    service: Service,
) -> None:
    async with running_service(service.database_url) as elsewhere:
        clients = [
            from_address(one, f"192.0.2.{number}")
            for number in range(6)
            for one in (service, elsewhere)
        ]
        wrong = [await ask_for_tokens(one, password=WRONG) for one in clients]
        right = await ask_for_tokens(clients[0])
        others = await ask_for_tokens(clients[0], "bob@example.com")

    assert [one.status_code for one in wrong] == [401] * ACCOUNT_ALLOWANCE.failures + [429, 429]
    problem = problem_of(right, 429)
    assert problem["type"] == "urn:event-trigger:problem:too-many-failures"
    assert 0 < int(right.headers["retry-after"]) <= 30
    assert others.status_code == 200


async def test_an_unknown_account_is_slowed_as_one_that_exists(
    anonymous: httpx.AsyncClient,
) -> None:
    answers = [
        [
            (answer.status_code, answer.json())
            for answer in [
                await ask_for_tokens(anonymous, email, WRONG)
                for _ in range(ACCOUNT_ALLOWANCE.failures + 1)
            ]
        ]
        for email in ("ada@example.com", "nobody@example.com")
    ]

    assert answers[0] == answers[1]


async def test_who_signs_in_is_forgiven(anonymous: httpx.AsyncClient) -> None:
    for _ in range(2):
        for _ in range(ACCOUNT_ALLOWANCE.failures - 1):
            await ask_for_tokens(anonymous, password=WRONG)

        assert (await ask_for_tokens(anonymous)).status_code == 200


async def test_many_accounts_are_not_guessed_at_from_one_address(
    service: Service, database: Any
) -> None:
    guesser, other = from_address(service, "2001:db8::1"), from_address(service, "2001:db8:1::1")
    neighbour = from_address(service, "2001:db8::ffff:2")
    for number in range(2):
        await ask_for_tokens(guesser, f"user-{number}@example.com", WRONG)
    debt = (
        ADDRESS_ALLOWANCE.failures + 5
    ) * ADDRESS_ALLOWANCE.one_each  # some are forgiven while this lasts
    await database.execute("UPDATE sign_in_failures SET clear_at = clear_at + $1", debt)

    statuses = [(await ask_for_tokens(one)).status_code for one in (guesser, neighbour, other)]

    assert statuses == [429, 429, 200]
    stored = repr(await database.fetch("SELECT * FROM sign_in_failures"))
    assert "2001" not in stored
    assert "user-" not in stored


async def test_nobody_makes_accounts_without_end(database_url: str) -> None:
    async with running_service(database_url, open_registration=True) as service:
        crowd, other = from_address(service, "192.0.2.1"), from_address(service, "192.0.2.2")
        statuses = [
            (await client.post("/auth/register", json=account(number))).status_code
            for number, client in enumerate(
                [*[crowd] * (REGISTRATION_ALLOWANCE.failures + 1), other]
            )
        ]

    assert statuses == [201] * REGISTRATION_ALLOWANCE.failures + [429, 201]


def account(number: int) -> dict[str, str]:
    return {"email": f"user-{number}@example.com", "password": f"{PASSWORD} {number}"}


async def test_accounts_that_are_asked_for_at_once_are_counted_one_by_one(
    database_url: str,
) -> None:
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(idle_service(database_url, open_registration=True))
            for _ in range(2)
        ]
        crowd = [
            from_address(one, "192.0.2.1") for one in services
        ] * REGISTRATION_ALLOWANCE.failures
        answers = await asyncio.gather(
            *(one.post("/auth/register", json=account(n)) for n, one in enumerate(crowd))
        )

    statuses = Counter(one.status_code for one in answers)
    assert statuses == {201: REGISTRATION_ALLOWANCE.failures, 429: REGISTRATION_ALLOWANCE.failures}


async def test_guesses_that_come_at_once_at_all_replicas_are_counted_one_by_one(
    database_url: str,
) -> None:
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(idle_service(database_url)) for _ in range(3)]
        crowd = [from_address(services[n % 3], f"192.0.2.{n}") for n in range(15)]
        wrong = await asyncio.gather(*(ask_for_tokens(one, password=WRONG) for one in crowd))

    statuses = Counter(one.status_code for one in wrong)
    assert statuses == {401: ACCOUNT_ALLOWANCE.failures, 429: 15 - ACCOUNT_ALLOWANCE.failures}


async def test_right_passwords_take_nothing_from_their_address(
    service: Service, database: Any
) -> None:
    office = from_address(service, "192.0.2.1")
    for _ in range(3):
        assert (await ask_for_tokens(office)).status_code == 200
    await ask_for_tokens(office, scope="nothing")  # the password is right
    await ask_for_tokens(office, "bob@example.com", WRONG)

    debts = await database.fetch("SELECT clear_at - now() AS debt FROM sign_in_failures")

    assert sorted(round(one["debt"].total_seconds() / 30) for one in debts) == [0, 1]


@pytest.mark.parametrize("path", ["/auth/token", "/auth/refresh", "/auth/register"])
async def test_strangers_send_little(anonymous: httpx.AsyncClient, path: str) -> None:
    problem_of(await anonymous.post(path, content=b"x" * 20_000), 413)


async def test_time_forgives(anonymous: httpx.AsyncClient, database: Any) -> None:
    for _ in range(ACCOUNT_ALLOWANCE.failures):
        await ask_for_tokens(anonymous, password=WRONG)
    await database.execute("UPDATE sign_in_failures SET clear_at = clear_at - interval '31 s'")

    statuses = [(await ask_for_tokens(anonymous, password=WRONG)).status_code for _ in range(2)]

    assert statuses == [401, 429]


@given(
    st.integers(1, 20),
    st.integers(1, 100),
    st.lists(st.integers(0, 300), min_size=1, max_size=100),
)
def test_no_more_failures_than_are_allowed(failures: int, seconds: int, pauses: list[int]) -> None:
    allowance = Allowance(failures, seconds * SECOND)
    now, clear_at, tried = timedelta(0), timedelta(0), 0
    for pause in pauses:
        now += pause * SECOND
        if allowance.wait(clear_at - now) == timedelta(0):
            clear_at, tried = max(clear_at, now) + allowance.one_each, tried + 1

    assert tried <= failures + now / allowance.one_each


def test_an_ipv6_address_is_its_network_and_a_mapped_one_is_ipv4() -> None:
    def key(address: str) -> bytes:
        return subjects_of(email="a@example.com", address=address)[1].key

    assert key("2001:db8::1") == key("2001:db8::2:3") != key("2001:db8:0:1::1")
    assert key("::ffff:192.0.2.1") == key("192.0.2.1") != key("192.0.2.2")
    assert len(subjects_of(email="a@example.com", address=None)) == 1
