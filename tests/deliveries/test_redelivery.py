"""Exhausted deliveries can be sent again, singly or all of a span; events can be replayed."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.retention import retain_deliveries
from tests.support.databases import now_of
from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    until_finished,
)
from tests.support.downtime import earlier
from tests.support.problems import places_of, problem_of
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import BOB, Service
from tests.support.triggers import instant, make_api, read
from tests.support.waiting import eventually

ALL = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


@pytest.fixture
def service_settings() -> dict[str, Any]:
    """Tries once only, so that a failure is soon exhausted."""
    return {"retry_after": (), **ALLOW_LOOPBACK}


@pytest.fixture
async def exhausted(ada: httpx.AsyncClient, receiver: Receiver) -> list[dict[str, Any]]:
    """Three exhausted deliveries; from now on the receiver answers with success."""
    receiver.answers["/hook"] = 500
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, destinations=[made["id"]])
    for _ in range(3):
        await fire(ada, trigger)
    found = await until_finished(ada, 3)
    receiver.answers.clear()
    receiver.received.clear()
    return found


async def test_one_delivery_is_sent_again_under_the_same_id(
    ada: httpx.AsyncClient, receiver: Receiver, exhausted: list[dict[str, Any]]
) -> None:
    chosen = exhausted[1]

    answer = await ada.post(f"/deliveries/{chosen['id']}/redeliver")

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    [done] = await until_finished(ada, status="delivered")
    assert [one.event_id for one in receiver.received] == [chosen["event_id"]]
    assert done["id"] == chosen["id"]
    assert [one["number"] for one in done["attempts"]] == [1, 2]


async def test_a_delivered_delivery_can_be_sent_again(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))
    [delivery] = await until_finished(ada)

    await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    async def sent() -> int:
        return len(receiver.received)

    await eventually(sent, lambda count: count == 2)
    assert len({one.message_id for one in receiver.received}) == 1


async def test_everything_exhausted_of_a_span_is_sent_again(
    ada: httpx.AsyncClient, receiver: Receiver, exhausted: list[dict[str, Any]]
) -> None:
    destination = exhausted[0]["destination_id"]
    events = [(await ada.get(f"/events/{one['event_id']}")).json() for one in exhausted]
    span = {"since": events[0]["triggered_at"], "until": events[2]["triggered_at"]}

    answer = await ada.post(f"/destinations/{destination}/redeliver", json=span)

    assert (answer.status_code, answer.json()) == (202, {"count": 2})
    done = await until_finished(ada, 2, status="delivered")
    assert [one["id"] for one in done] == [one["id"] for one in exhausted[:2]]
    assert len(receiver.received) == 2


async def test_a_span_is_sent_at_half_the_rate_that_the_destination_allows(
    ada: httpx.AsyncClient, exhausted: list[dict[str, Any]]
) -> None:
    destination = exhausted[0]["destination_id"]
    await ada.post(f"/destinations/{destination}/disable")
    await ada.patch(f"/destinations/{destination}", json={"rate_limit": 2})

    await ada.post(f"/destinations/{destination}/redeliver", json=ALL)

    found = await list_deliveries(ada, status="pending")
    times = sorted(instant(one["next_attempt_at"]) for one in found)
    assert times[1] - times[0] == times[2] - times[1] == timedelta(seconds=1)


async def test_a_span_must_have_an_order(
    ada: httpx.AsyncClient, exhausted: list[dict[str, Any]]
) -> None:
    path = f"/destinations/{exhausted[0]['destination_id']}/redeliver"
    turned = {"since": ALL["until"], "until": ALL["since"]}

    assert places_of(await ada.post(path, json=turned)) == ["#/until"]
    assert places_of(await ada.post(path, json={"since": ALL["since"]})) == ["#/until"]


async def test_a_delivery_under_way_is_not_sent_twice(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    async def look(_: web.Request) -> web.StreamResponse:
        [delivery] = await list_deliveries(ada)
        answers.append(await ada.post(f"/deliveries/{delivery['id']}/redeliver"))
        return web.Response()

    answers: list[httpx.Response] = []
    receiver.answers["/hook"] = look
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))
    await until_finished(ada)

    problem = problem_of(answers[0], 409)
    assert problem["type"] == "urn:event-trigger:problem:attempt-under-way"
    assert len(receiver.received) == 1


async def test_a_replay_is_a_new_event_with_the_same_payload(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, payload={"a": 1}, destinations=[made["id"]])
    event_id = await fire(ada, trigger)
    await ada.post(f"/triggers/{trigger['id']}/pause")
    before = await read(ada, trigger["id"])

    answer = await ada.post(f"/events/{event_id}/replay")

    assert answer.status_code == 201
    replayed = answer.json()
    assert answer.headers["location"] == f"/events/{replayed['id']}"
    assert (replayed["replay_of"], replayed["payload"]) == (event_id, {"a": 1})
    assert (replayed["type"], replayed["scheduled_for"]) == ("api", None)
    assert (await ada.get(f"/events/{replayed['id']}")).json() == replayed
    assert await read(ada, trigger["id"]) == before
    await until_finished(ada, 2)
    sent = {one.event_id for one in receiver.received}
    assert sent == {event_id, replayed["id"]}


async def test_the_event_of_a_deleted_trigger_can_be_replayed(ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada, payload={"a": 1})
    event_id = await fire(ada, trigger, "test")
    await ada.delete(f"/triggers/{trigger['id']}")

    replayed = (await ada.post(f"/events/{event_id}/replay")).json()

    assert (replayed["trigger_id"], replayed["is_test"]) == (trigger["id"], True)


async def test_somebody_elses_event_cannot_be_replayed(
    ada: httpx.AsyncClient, service: Service
) -> None:
    event_id = await fire(ada, await make_api(ada))
    bob = service.client(BOB)

    hers = problem_of(await bob.post(f"/events/{event_id}/replay"), 404)
    none = problem_of(await bob.post(f"/events/{10**9}/replay"), 404)

    assert hers == none
    assert (await bob.get("/events")).json() == []


async def test_finished_deliveries_are_purged_when_they_are_past_keeping(
    ada: httpx.AsyncClient,
    service: Service,
    receiver: Receiver,
    exhausted: list[dict[str, Any]],
    database: Any,
) -> None:
    await ada.post(f"/deliveries/{exhausted[0]['id']}/redeliver")
    await until_finished(ada, status="delivered")
    await ada.post(f"/destinations/{exhausted[0]['destination_id']}/disable")
    await ada.post(f"/deliveries/{exhausted[1]['id']}/redeliver")
    delivered, waiting, given_up = (one["id"] for one in exhausted)
    engine = create_engine(service.database_url)

    async def after(age: timedelta) -> dict[int, str]:
        """The deliveries that are left after a sweep, once all are as old as that."""
        await database.execute(
            f"UPDATE deliveries SET {earlier('next_attempt_at', by='$1::interval')},"
            " finished_at = CASE WHEN finished_at IS NOT NULL THEN $2::timestamptz END",
            age,
            await now_of(database) - age,
        )
        await retain_deliveries(create_sessions(engine), timedelta(hours=48))
        return {one["id"]: one["status"] for one in await list_deliveries(ada)}

    young = await after(timedelta(hours=47))
    older = await after(timedelta(hours=49))
    old = await after(timedelta(days=8))
    await engine.dispose()

    everything = {delivered: "delivered", waiting: "pending", given_up: "exhausted"}
    assert young == everything
    assert older == {waiting: "pending", given_up: "exhausted"}
    assert old == {waiting: "exhausted"}  # given up only now, so kept for a week
    [kept] = await list_deliveries(ada)
    assert kept["error"] == "expired"
    assert await database.fetchval("SELECT count(DISTINCT delivery_id) FROM delivery_attempts") == 1
