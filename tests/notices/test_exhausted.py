"""A delivery that has failed for good is told of once, by the queue of deliveries itself."""

import json
from typing import Any

import httpx

from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_delivery,
    until_finished,
)
from tests.support.downtime import earlier
from tests.support.notices import (
    CHAT,
    EARLIER,
    list_notices,
    make_listener,
    notice_in,
    until_told,
)
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, running_service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

EXHAUSTED = "delivery.exhausted"

DAYS = "interval '{} days'"


async def make_failing(ada: httpx.AsyncClient, receiver: Receiver, path: str = "/bad") -> Any:
    """Makes a destination that refuses every delivery, and a trigger that names it."""
    receiver.answers[path] = 400
    failing = await make_destination(ada, f"{receiver.url}{path}", key=path[1:])
    return failing, await make_api(ada, destinations=[failing["id"]])


async def test_a_failed_delivery_is_told_of_as_a_cloud_event(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    listener = await make_listener(ada, receiver, EXHAUSTED)
    failing, trigger = await make_failing(ada, receiver)

    await fire(ada, trigger)

    [request] = await until_told(receiver)
    [failed] = await until_finished(ada, destination_id=failing["id"])
    event = notice_in(request)
    [shown] = await list_notices(ada)
    subject = f"destinations/{failing['id']}"
    assert request.message_id == f"{request.message_id.rpartition('_')[0]}_{event['id']}"
    assert event["type"] == "event_trigger.notice.delivery.exhausted"
    assert event["source"].startswith("urn:event-trigger:")
    assert (event["subject"], event["data"]["subject"]) == (subject, subject)
    assert (event["data"]["count"], event["data"]["name"]) == (1, "bad")
    assert event["data"]["details"]["delivery_id"] == failed["id"]
    assert event["data"]["details"]["status_code"] == 400
    assert "destination bad failed for good" in event["data"]["message"]
    assert shown == {**event["data"], "id": int(event["id"]), "at": event["time"]}
    [delivery] = await until_finished(ada, destination_id=listener["id"])
    assert (delivery["event_id"], delivery["trigger_id"]) == (None, None)
    assert delivery["notice_id"] == shown["id"]
    assert await list_deliveries(ada, event_id=shown["id"]) == []
    by_notice = await list_deliveries(ada, notice_id=shown["id"])
    assert [one["id"] for one in by_notice] == [delivery["id"]]


async def test_a_notice_comes_in_every_format(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    for path, more in {
        "/chat": {"format": "template", "template": CHAT},
        "/payload": {"format": "payload"},
        "/binary": {"format": "cloudevents_binary"},
    }.items():
        await make_listener(ada, receiver, EXHAUSTED, path=path, **more)
    failing, trigger = await make_failing(ada, receiver)

    await fire(ada, trigger)

    [chat], [payload], [binary] = [
        await until_told(receiver, path=path) for path in ("/chat", "/payload", "/binary")
    ]
    data = json.loads(payload.body)
    assert json.loads(chat.body) == {"text": data["message"]}
    assert json.loads(binary.body) == data
    assert binary.headers["ce-type"] == "event_trigger.notice.delivery.exhausted"
    assert binary.headers["ce-subject"] == f"destinations/{failing['id']}"
    assert len(await list_notices(ada)) == 1


async def test_the_next_notice_of_a_subject_says_how_many_there_were(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    await make_listener(ada, receiver, EXHAUSTED)
    failing, trigger = await make_failing(ada, receiver)
    await fire(ada, trigger)
    await until_told(receiver)
    for _ in range(3):
        await fire(ada, trigger)
    await until_finished(ada, 4, destination_id=failing["id"])
    assert len(await list_notices(ada)) == 1

    await database.execute(EARLIER)

    told = await until_told(receiver, 2)
    assert [notice_in(one)["data"]["count"] for one in told] == [1, 3]


async def test_none_is_told_of_its_own_failures_nor_of_those_of_notices(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    receiver.answers["/told"] = 400
    listener = await make_listener(ada, receiver, EXHAUSTED)
    await make_listener(ada, receiver, EXHAUSTED, path="/other")
    trigger = await make_api(ada, destinations=[listener["id"]])

    await fire(ada, trigger)

    [event] = await until_told(receiver, path="/other")
    assert notice_in(event)["subject"] == f"destinations/{listener['id']}"
    of_listener = await list_deliveries(ada, destination_id=listener["id"])
    assert [one["notice_id"] for one in of_listener] == [None]
    _, failing = await make_failing(ada, receiver)
    await fire(ada, failing)
    await until_finished(ada, 2, destination_id=listener["id"])
    assert len(await until_told(receiver, 2, path="/other")) == 2
    assert await database.fetchval("SELECT count(*) FROM notice_changes") == 2


async def test_a_notice_can_be_sent_again_also_once_its_payload_is_gone(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    listener = await make_listener(ada, receiver, EXHAUSTED)
    _, trigger = await make_failing(ada, receiver)
    await fire(ada, trigger)
    await until_told(receiver)
    [delivery] = await until_finished(ada, destination_id=listener["id"])
    await database.execute("DELETE FROM delivery_payloads")

    answer = await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    assert answer.status_code == 202, answer.text
    first, again = await until_told(receiver, 2)
    assert (again.body, again.message_id) == (first.body, first.message_id)
    assert (await read_delivery(ada, delivery["id"]))["notice_id"] == delivery["notice_id"]


async def test_without_a_listener_nothing_is_stored(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    failing, trigger = await make_failing(ada, receiver)
    await make_listener(ada, receiver, "key.expiring")

    await fire(ada, trigger)

    await until_finished(ada, destination_id=failing["id"])
    assert await database.fetchval("SELECT count(*) FROM notice_changes") == 0


async def test_a_delivery_that_expires_is_told_of_too(
    database_url: str, database: Any, receiver: Receiver
) -> None:
    async with running_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        await make_listener(ada, receiver, EXHAUSTED)
        stopped = await make_destination(ada, f"{receiver.url}/stopped")
        await ada.post(f"/destinations/{stopped['id']}/disable")
        await fire(ada, await make_api(ada, destinations=[stopped["id"]]))
    await database.execute("UPDATE deliveries SET next_attempt_at = now() - interval '8 days'")

    async with running_service(database_url, **ALLOW_LOOPBACK):
        [told] = await until_told(receiver)

    assert notice_in(told)["subject"] == f"destinations/{stopped['id']}"
    assert notice_in(told)["data"]["details"]["error"] == "expired"


async def test_a_notice_is_kept_while_it_is_due_and_goes_with_its_deliveries(
    database_url: str, database: Any, receiver: Receiver
) -> None:
    settings = {"retry_after": (), **ALLOW_LOOPBACK}
    async with running_service(database_url, **settings) as service:
        ada = service.client(ADA)
        listener = await make_listener(ada, receiver, EXHAUSTED)
        await ada.post(f"/destinations/{listener['id']}/disable")
        _, trigger = await make_failing(ada, receiver)
        await fire(ada, trigger)
        await eventually(lambda: list_notices(ada), lambda found: len(found) == 1)
    await database.execute(f"UPDATE notices SET {earlier('at', by=DAYS.format(6))}")
    await database.execute(f"UPDATE notice_changes SET {earlier('told_at', by=DAYS.format(6))}")

    async def changes() -> int:
        return int(await database.fetchval("SELECT count(*) FROM notice_changes"))

    async def notices() -> int:
        return int(await database.fetchval("SELECT count(*) FROM notices"))

    async with running_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        await eventually(changes, lambda count: count == 0)
        assert await notices() == 1
        await ada.post(f"/destinations/{listener['id']}/enable")
        await until_told(receiver)
        await until_finished(ada, destination_id=listener["id"])
    await database.execute(f"UPDATE deliveries SET {earlier('finished_at', by=DAYS.format(9))}")
    async with running_service(database_url, **ALLOW_LOOPBACK):
        await eventually(notices, lambda count: count == 0)
