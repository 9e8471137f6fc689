"""Due triggers fire while many calls come at once, also with large bodies."""

import asyncio

import httpx

from event_trigger.web.strict_json import MOST_VALUES
from tests.support.problems import problem_of
from tests.support.reading import read_all
from tests.support.services import ADA, Service
from tests.support.waiting import eventually


async def crowd(client: httpx.AsyncClient, path: str, stop: asyncio.Event) -> None:
    async def call() -> None:
        while not stop.is_set():
            await client.post(path, json={})

    await asyncio.gather(*(call() for _ in range(16)))


async def test_calls_of_a_scheduled_trigger_do_not_starve_its_schedule(
    ada: httpx.AsyncClient,
) -> None:
    details = {"interval": "PT1S", "recurring": True, "max_fires": 2}
    made = (await ada.post("/triggers", json={"type": "scheduled", "details": details})).json()
    stop = asyncio.Event()

    calling = asyncio.create_task(crowd(ada, f"/triggers/{made['id']}/trigger", stop))
    scheduled = await eventually(
        lambda: ada.get("/events", params={"type": "scheduled"}), lambda seen: len(seen.json()) == 2
    )
    stop.set()
    await calling

    instants = [event["scheduled_for"] for event in scheduled.json()]
    assert len(set(instants)) == 2


async def test_a_page_of_large_payloads_is_cut_short_and_loses_nothing(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = (await ada.post("/triggers", json={"type": "api"})).json()
    for number in range(6):
        body = {"number": number, "text": "x" * 1_000_000}
        assert (await ada.post(f"/triggers/{made['id']}/trigger", json=body)).status_code == 200

    first = await ada.get("/events")
    everything = await read_all(service.client(ADA), "/events")

    assert 0 < len(first.json()) < 6
    assert first.links["next"]
    assert [event["payload"]["number"] for event in everything] == [5, 4, 3, 2, 1, 0]


async def test_triggers_with_large_payloads_come_in_short_pages_too(
    service: Service, ada: httpx.AsyncClient
) -> None:
    for number in range(6):
        payload = {"number": number, "text": "x" * 1_000_000}
        await ada.post("/triggers", json={"type": "api", "payload": payload})

    first = await ada.get("/triggers")
    everything = await read_all(service.client(ADA), "/triggers")

    assert 0 < len(first.json()) < 6
    assert [one["payload"]["number"] for one in everything] == [5, 4, 3, 2, 1, 0]


async def test_a_body_of_too_many_values_is_refused(ada: httpx.AsyncClient) -> None:
    made = (await ada.post("/triggers", json={"type": "api"})).json()
    body = {"values": [0] * MOST_VALUES}

    answer = await ada.post(f"/triggers/{made['id']}/trigger", json=body)

    assert "values" in problem_of(answer, 422)["detail"]


async def test_a_body_is_read_only_after_the_token(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/triggers", content=b"{", headers={"content-type": "text/odd"})

    problem_of(answer, 401)


async def test_a_change_keeps_an_instant_that_is_due_and_has_not_fired_yet(
    ada: httpx.AsyncClient,
) -> None:
    details = {"interval": "PT1S", "recurring": True, "max_fires": 1}
    made = (await ada.post("/triggers", json={"type": "scheduled", "details": details})).json()
    path = f"/triggers/{made['id']}"

    changed = await ada.patch(path, json={"details": {"max_fires": 2}})
    await eventually(lambda: ada.get(path), lambda seen: seen.json()["status"] == "completed")
    events = (await ada.get("/events")).json()

    assert changed.json()["next_fire_at"] == made["next_fire_at"]
    assert events[-1]["scheduled_for"] == made["next_fire_at"]
