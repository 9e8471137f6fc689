"""Expensive requests of one user take no connection, thread or slot from other users."""

import asyncio
from typing import Any

import httpx

from event_trigger.web.cpu_bound import taking_turns
from tests.support.planting import plant_large
from tests.support.problems import problem_of
from tests.support.services import ADA, PASSWORD, Service
from tests.support.streams import begun_export
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

TEN_YEARS = {
    "details": {"cron": "* * * * *", "timezone": "Africa/Casablanca"},
    "from": "2027-01-01T00:00:00Z",
    "until": "2036-12-31T00:00:00Z",
    "count": 1000,
}
CROWD = 40


async def ask_in_a_crowd(client: httpx.AsyncClient) -> list[httpx.Response]:
    asked = [client.post("/schedules/preview", json=TEN_YEARS) for _ in range(CROWD)]
    return await asyncio.gather(*asked)


async def test_a_crowd_of_previews_keeps_nobody_from_the_database_or_from_signing_in(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    trigger = await make_api(bob)
    crowd = asyncio.create_task(ask_in_a_crowd(ada))
    others = []
    while not crowd.done():
        others += [
            await bob.get("/triggers"),
            await bob.post(f"/triggers/{trigger['id']}/trigger"),
            await anonymous.post(
                "/auth/token", data={"username": "bob@example.com", "password": PASSWORD}
            ),
        ]
    answers = await crowd

    assert {one.status_code for one in others} == {200}
    assert {one.status_code for one in answers} == {200, 429}
    refused = next(one for one in answers if one.status_code == 429)
    assert problem_of(refused, 429)["type"].endswith("too-many-questions")
    assert int(refused.headers["retry-after"]) >= 1


async def test_other_users_have_slots_of_their_own(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    crowd = asyncio.create_task(ask_in_a_crowd(ada))
    await asyncio.sleep(0)
    answer = await bob.post("/schedules/preview", json={"details": {"cron": "@daily"}})
    await crowd

    assert answer.status_code == 200
    assert (await ada.post("/schedules/preview", json=TEN_YEARS)).status_code == 200


async def test_every_expensive_request_holds_a_slot_until_it_is_answered(
    service: Service, database: Any, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    trigger = await make_scheduled(ada, {"cron": "* * * * *", "max_fires": 100_000_000})
    questions = [
        f"/triggers/{trigger['id']}/schedule",
        f"/triggers/{trigger['id']}/explain?at=2036-01-01T00:00:00Z",
        f"/triggers/{trigger['id']}/accounting",
        "/events?aggregate=true",
        "/events/export",
    ]
    tried = {"details": {"cron": "@daily"}}
    await plant_large(database)
    async with begun_export(service, ADA), begun_export(service, ADA):
        refused = [await ada.get(question) for question in questions]
        refused.append(await ada.post("/schedules/preview", json=tried))
        cheap = await ada.get("/events?limit=1&type=scheduled")
        others = await bob.post("/schedules/preview", json=TEN_YEARS)

    async def answers() -> set[int]:
        return {(await ada.get(question)).status_code for question in questions[:4]}

    for one in refused:
        assert problem_of(one, 429)["type"].endswith("too-many-questions")
    assert (others.status_code, cheap.status_code) == (200, 200)
    assert await eventually(answers, lambda found: found == {200})


async def test_long_work_over_many_items_lets_other_tasks_run_after_each_part() -> None:
    seen: list[int | str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    async for one in taking_turns(range(4), at_once=2):
        seen += [one]
    running.cancel()

    assert seen == [0, 1, "other", 2, 3, "other"]
