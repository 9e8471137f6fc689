"""Calls can be limited, for each credential and for each trigger."""

from typing import Any

import httpx
import pytest

from tests.support.keys import holding, make_key
from tests.support.logins import sign_in
from tests.support.problems import problem_of
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import make_api


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {"fire_rate_per_key": "4/hour", "fire_rate_per_trigger": "6/hour"}


@pytest.fixture
def service(own_service: Service) -> Service:
    """A service that has counted no calls of anybody."""
    return own_service


async def calls(client: httpx.AsyncClient, trigger_id: int, count: int) -> list[int]:
    answers = [await client.post(f"/triggers/{trigger_id}/trigger") for _ in range(count)]
    for one in answers:
        if one.status_code == 429:
            assert problem_of(one, 429)["type"] == "urn:event-trigger:problem:too-many-calls"
            assert 0 < int(one.headers["retry-after"]) <= 3600
    return [one.status_code for one in answers]


async def test_a_credential_fires_so_often_and_no_more(
    ada: httpx.AsyncClient, service: Service
) -> None:
    first, second = await make_api(ada), await make_api(ada)
    machine = holding(service, await make_key(ada))

    assert await calls(ada, first["id"], 3) == [200] * 3
    assert await calls(ada, second["id"], 2) == [200, 429]
    assert await calls(machine, second["id"], 1) == [200]
    assert len((await ada.get("/events")).json()) == 5


async def test_signing_in_again_starts_no_new_count(
    ada: httpx.AsyncClient, service: Service
) -> None:
    trigger = await make_api(ada)
    assert await calls(ada, trigger["id"], 4) == [200] * 4

    again = service.client()
    again.headers.update((await sign_in(again)).headers)

    assert await calls(again, trigger["id"], 1) == [429]
    assert await calls(service.client(BOB), (await make_api(service.client(BOB)))["id"], 1) == [200]


async def test_a_triggers_limit_counts_the_calls_of_all_credentials(
    ada: httpx.AsyncClient, service: Service
) -> None:
    trigger = await make_api(ada)
    machine = holding(service, await make_key(ada))

    assert await calls(ada, trigger["id"], 4) == [200] * 4
    assert await calls(machine, trigger["id"], 3) == [200, 200, 429]


async def test_a_caller_cannot_use_up_another_owners_limit(service: Service) -> None:
    ada, bob = service.client(ADA), service.client(BOB)
    trigger = await make_api(ada)
    machines = [holding(service, await make_key(bob)) for _ in range(2)]

    assert await calls(bob, trigger["id"], 4) == [404] * 4
    for machine in machines:
        await calls(machine, trigger["id"], 4)

    assert await calls(ada, trigger["id"], 4) == [200] * 4


async def test_repeating_events_counts_too(ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada)
    await calls(ada, trigger["id"], 1)
    [event] = (await ada.get("/events")).json()

    statuses = [(await ada.post(f"/events/{event['id']}/replay")).status_code for _ in range(4)]

    assert statuses == [201, 201, 201, 429]
