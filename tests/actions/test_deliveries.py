"""Deliveries are cancelled and sent again, singly or many in one transaction."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_delivery,
    until_finished,
)
from tests.support.problems import places_of, problem_of
from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.triggers import instant, make_api
from tests.support.waiting import eventually

NOBODYS = 987_654_321
PROBLEM = "urn:event-trigger:problem:"
ALL = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def service_settings() -> dict[str, Any]:
    """Tries again only after an hour."""
    return {"retry_after": "3600", **ALLOW_LOOPBACK}


async def act(client: httpx.AsyncClient, action: str, **body: Any) -> dict[str, Any]:
    answer = await client.post("/deliveries/actions", json={"action": action, **body})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def counts(result: dict[str, Any]) -> tuple[int, int, dict[int, int]]:
    failed = {one["id"]: one["problem"]["status"] for one in result["failed"]}
    return result["matched"], result["changed"], failed


@pytest.fixture
async def waiting(ada: httpx.AsyncClient, receiver: Receiver) -> list[dict[str, Any]]:
    """Three deliveries that wait for a retry; from now on the receiver answers with success."""
    receiver.answers["/hook"] = 500
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, destinations=[made["id"]], payload={"a": 1})
    for _ in range(3):
        await fire(ada, trigger)
    found = await eventually(
        lambda: list_deliveries(ada, status="retrying"), lambda found: len(found) == 3
    )
    receiver.answers.clear()
    receiver.received.clear()
    return found[::-1]


async def test_a_waiting_delivery_is_cancelled_and_can_be_sent_again(
    ada: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    receiver: Receiver,
    waiting: list[dict[str, Any]],
) -> None:
    chosen = waiting[0]

    answer = await ada.post(f"/deliveries/{chosen['id']}/cancel")
    again = await ada.post(f"/deliveries/{chosen['id']}/cancel")
    listed = await list_deliveries(ada, status="exhausted")
    resent = await ada.post(f"/destinations/{chosen['destination_id']}/redeliver", json=ALL)

    cancelled = answer.json()
    assert answer.status_code == 200
    assert (cancelled["status"], cancelled["error"]) == ("exhausted", "cancelled")
    assert cancelled["next_attempt_at"] is None
    assert instant(cancelled["finished_at"]) >= instant(cancelled["queued_at"])
    assert problem_of(again, 409)["type"] == f"{PROBLEM}delivery-finished"
    assert listed == [cancelled]
    assert (await read_delivery(ada, chosen["id"]))["error"] == "cancelled"
    assert resent.json() == {"count": 0}  # not what was cancelled
    [entry] = (await admin.get("/audit", params={"target_id": chosen["id"], "limit": 1})).json()
    assert (entry["action"], entry["after"]["error"]) == ("cancel_delivery", "cancelled")
    await ada.post(f"/deliveries/{chosen['id']}/redeliver")
    [done] = await until_finished(ada, status="delivered")
    assert (done["id"], done["error"]) == (chosen["id"], None)


async def test_an_attempt_under_way_is_not_cancelled(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    async def look(_: web.Request) -> web.StreamResponse:
        [delivery] = await list_deliveries(ada)
        answers.append(await ada.post(f"/deliveries/{delivery['id']}/cancel"))
        results.append(await act(ada, "cancel", ids=[delivery["id"]]))
        return web.Response()

    answers: list[httpx.Response] = []
    results: list[dict[str, Any]] = []
    receiver.answers["/hook"] = look
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))
    [delivery] = await until_finished(ada)

    assert problem_of(answers[0], 409)["type"] == f"{PROBLEM}attempt-under-way"
    assert answers[0].headers["retry-after"] == "1"
    assert counts(results[0]) == (1, 0, {delivery["id"]: 409})
    assert results[0]["failed"][0]["problem"]["retry_after"] == 1
    assert delivery["status"] == "delivered"


async def test_many_are_cancelled_and_sent_again(
    ada: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    receiver: Receiver,
    waiting: list[dict[str, Any]],
) -> None:
    first, second, third = (one["id"] for one in waiting)
    trigger = waiting[0]["trigger_id"]

    planned = await act(ada, "cancel", ids=[first, second, NOBODYS], dry_run=True)
    untouched = await list_deliveries(ada, status="retrying")
    cancelled = await act(ada, "cancel", ids=[second, first, NOBODYS, first])
    by_bob = await act(bob, "cancel", ids=[third])
    repeated = await act(ada, "cancel", filter={"trigger_id": trigger})
    would = await act(
        ada, "redeliver", filter={"status": "exhausted", "error": "", "since": ""}, dry_run=True
    )
    sent = await act(ada, "redeliver", filter={"status": ["exhausted"]})
    done = await until_finished(ada, 3, status="delivered")

    assert counts(cancelled) == (2, 2, {NOBODYS: 404})
    assert planned == cancelled
    assert len(untouched) == 3
    assert counts(by_bob) == (0, 0, {third: 404})
    assert counts(repeated) == (3, 1, {first: 409, second: 409})
    assert counts(sent) == (3, 3, {})
    assert would == sent
    assert [one["id"] for one in done] == [first, second, third]
    assert len(receiver.received) == 3


async def test_what_cannot_be_sent_again_says_why(
    ada: httpx.AsyncClient, database: Any, waiting: list[dict[str, Any]]
) -> None:
    lost, orphaned = waiting[0], waiting[1]
    await database.execute("DELETE FROM delivery_payloads WHERE event_id = $1", lost["event_id"])
    await database.execute("DELETE FROM events WHERE id = $1", lost["event_id"])
    await database.execute(
        "UPDATE deliveries SET destination_id = $1 WHERE id = $2", NOBODYS, orphaned["id"]
    )
    restored = waiting[2]
    await database.execute(
        "DELETE FROM delivery_payloads WHERE event_id = $1", restored["event_id"]
    )

    result = await act(ada, "redeliver", filter={})

    assert counts(result) == (3, 1, {lost["id"]: 409, orphaned["id"]: 409})
    kinds = [one["problem"]["type"].removeprefix(PROBLEM) for one in result["failed"]]
    assert kinds == ["payload-gone", "destination-deleted"]
    [done] = await until_finished(ada, status="delivered")
    assert done["id"] == restored["id"]


async def test_an_action_takes_one_way_to_choose_and_a_right_filter(ada: httpx.AsyncClient) -> None:
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"action": "cancel"}, "#"),
        ({"action": "delete", "ids": [1]}, "#/action"),
        ({"action": "cancel", "filter": {"state": "x"}}, "#/filter/state"),
        ({"action": "cancel", "filter": {"event_id": "7"}}, "#/filter/event_id"),
        ({"action": "cancel", "filter": {"status": []}}, "#/filter/status"),
        ({"action": "cancel", "filter": {"status": "gone"}}, "#/filter/status"),
        ({"action": "cancel", "filter": {"limit": 1}}, "#/filter/limit"),
    ]

    places = [places_of(await ada.post("/deliveries/actions", json=body)) for body, _ in bodies]

    assert places == [[place] for _, place in bodies]
