"""An event reaches every destination of its trigger, signed, however it was fired."""

import json
from datetime import timedelta
from typing import Any

import httpx
from svix.webhooks import Webhook

from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    until_finished,
)
from tests.support.problems import places_of, problem_of
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, BOB, Service, running_service
from tests.support.triggers import change, make_api, make_scheduled
from tests.support.waiting import eventually


async def test_a_call_is_delivered_as_a_signed_cloud_event(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    installation = await database.fetchval("SELECT name FROM installation")
    made = await make_destination(ada, receiver.url + "/hook", headers={"X-Key": "s3cret"})
    trigger = await make_api(
        ada, key="deploy", name="Deploy", payload={"a": 1}, destinations=[made["id"]]
    )

    fired = await ada.post(f"/triggers/{trigger['id']}/trigger", json={"b": 2.50})

    [delivery] = await until_finished(ada)
    [sent] = receiver.received
    event = (await ada.get(fired.headers["location"])).json()
    Webhook(made["secret"]).verify(sent.body, sent.headers)
    assert json.loads(sent.body) == {
        "specversion": "1.0",
        "id": str(event["id"]),
        "source": f"urn:event-trigger:{installation}:trigger:{trigger['id']}",
        "type": "event_trigger.api",
        "time": event["triggered_at"],
        "datacontenttype": "application/json",
        "istest": False,
        "triggerkey": "deploy",
        "triggername": "Deploy",
        "sourcekind": "login",
        "data": {"a": 1, "b": 2.5},
    }
    assert b'"data":{"a":1,"b":2.5}' in sent.body.replace(b" ", b"")
    assert sent.headers["content-type"] == "application/cloudevents+json"
    assert sent.headers["x-key"] == "s3cret"
    assert sent.message_id == f"evt_{installation}_{event['id']}"
    assert sent.headers["x-event-trigger-hops"] == "1"
    assert delivery["status"] == "delivered"
    assert delivery["event_id"] == event["id"]
    assert delivery["next_attempt_at"] is None
    [attempt] = delivery["attempts"]
    assert (attempt["number"], attempt["status_code"], attempt["error"]) == (1, 204, None)


async def test_scheduled_called_tested_and_replayed_events_are_all_delivered(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_scheduled(ada, {"interval": "PT1S"}, destinations=[made["id"]])
    called, tested = await fire(ada, trigger), await fire(ada, trigger, "test")
    replayed = await ada.post(f"/events/{called}/replay")

    await until_finished(ada, 4)

    said = {sent.event_id: json.loads(sent.body) for sent in receiver.received}
    kinds = sorted((one["type"], one["istest"]) for one in said.values())
    assert kinds == [
        ("event_trigger.api", False),
        ("event_trigger.api", False),
        ("event_trigger.api", True),
        ("event_trigger.scheduled", False),
    ]
    assert {called, tested, replayed.json()["id"]} < said.keys()
    again = said[replayed.json()["id"]]
    assert [one for one in said.values() if "replayof" in one] == [again]
    assert again["replayof"] == str(called)
    [planned] = [one for one in said.values() if one["type"] == "event_trigger.scheduled"]
    assert planned["scheduledfor"] == trigger["next_fire_at"]
    assert "sourcekind" not in planned
    assert again["sourcekind"] == "replay"


async def test_each_destination_gets_each_event_once_signed_by_its_own_secret(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = {path: await make_destination(ada, receiver.url + path) for path in ("/a", "/b")}
    ids = [one["id"] for one in made.values()]
    trigger = await make_api(ada, destinations=[*ids, ids[0]])
    assert trigger["destinations"] == ids

    events = [await fire(ada, trigger) for _ in range(5)]
    await until_finished(ada, 10)

    for path, one in made.items():
        sent = receiver.at(path)
        assert sorted(each.event_id for each in sent) == sorted(events)
        for each in sent:
            Webhook(one["secret"]).verify(each.body, each.headers)


async def test_a_trigger_without_destinations_delivers_nothing(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, destinations=[made["id"]])
    assert (await change(ada, trigger["id"], {"destinations": None}))["destinations"] == []

    await fire(ada, trigger)

    assert await list_deliveries(ada) == []


async def test_a_trigger_names_its_owners_destinations_only(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, receiver: Receiver
) -> None:
    his = await make_destination(bob, receiver.url + "/hook")
    trigger = await make_api(ada)
    for wanted in ([his["id"]], [10**9]):
        body = {"type": "api", "destinations": wanted}

        made = await ada.post("/triggers", json=body)
        changed = await ada.patch(f"/triggers/{trigger['id']}", json={"destinations": wanted})

        assert places_of(made) == places_of(changed) == ["#/destinations/0"]


async def test_every_secret_that_was_replaced_signs_too(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, destinations=[made["id"]])
    secrets = [made["secret"]]
    for _ in range(2):
        rotated = (await ada.post(f"/destinations/{made['id']}/rotate-secret")).json()
        assert rotated["previous_secret_until"] is not None
        secrets.append(rotated["secret"])
    await fire(ada, trigger)
    await until_finished(ada)

    [sent] = receiver.received
    assert len(sent.headers["webhook-signature"].split()) == 3
    for secret in secrets:
        Webhook(secret).verify(sent.body, sent.headers)
    shown = (await ada.get(f"/destinations/{made['id']}/secret")).json()
    assert shown["secret"] == secrets[-1]


async def test_a_delivery_outlives_the_event_and_its_trigger(
    unpartitioned_url: str, receiver: Receiver
) -> None:
    settings = {"active_for": timedelta(seconds=1), "keep_for": timedelta(seconds=5)}
    async with running_service(unpartitioned_url, **settings, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url + "/hook")
        await ada.post(f"/destinations/{made['id']}/disable")
        trigger = await make_api(ada, name="Gone", payload={"a": 1}, destinations=[made["id"]])
        event_id = await fire(ada, trigger)
        await ada.delete(f"/triggers/{trigger['id']}")

        async def event() -> int:
            return (await ada.get(f"/events/{event_id}")).status_code

        await eventually(event, lambda status: status == 404)
        held = await list_deliveries(ada)
        await ada.post(f"/destinations/{made['id']}/enable")
        await until_finished(ada)

    assert [one["status"] for one in held] == ["pending"]
    [sent] = receiver.received
    Webhook(made["secret"]).verify(sent.body, sent.headers)
    said = json.loads(sent.body)
    assert (said["id"], said["triggername"], said["data"]) == (str(event_id), "Gone", {"a": 1})


async def test_several_replicas_send_each_delivery_once(
    service: Service, receiver: Receiver
) -> None:
    ada = service.client(ADA)
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=3)
    trigger = await make_api(ada, destinations=[made["id"]])
    async with (
        running_service(service.database_url, **ALLOW_LOOPBACK),
        running_service(service.database_url, **ALLOW_LOOPBACK),
    ):
        events = [await fire(ada, trigger) for _ in range(60)]
        await until_finished(ada, 60)

    assert sorted(one.event_id for one in receiver.received) == sorted(events)


async def test_somebody_elses_delivery_looks_like_none(
    ada: httpx.AsyncClient, service: Service, receiver: Receiver, overseer: httpx.AsyncClient
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))
    [delivery] = await until_finished(ada)
    bob = service.client(BOB)

    for method, path in (
        ("GET", "/deliveries/{}"),
        ("POST", "/deliveries/{}/redeliver"),
    ):
        hers = problem_of(await bob.request(method, path.format(delivery["id"])), 404)
        none = problem_of(await bob.request(method, path.format(10**9)), 404)
        assert hers == none
    assert await list_deliveries(bob) == []
    assert [one["id"] for one in await list_deliveries(overseer)] == [delivery["id"]]
    assert (await overseer.get(f"/deliveries/{delivery['id']}")).json() == delivery


async def test_deliveries_are_filtered_by_event_trigger_and_destination(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["/bad"] = 500
    good, bad = [await make_destination(ada, receiver.url + path) for path in ("/good", "/bad")]
    trigger = await make_api(ada, destinations=[good["id"], bad["id"]])
    first, second = await fire(ada, trigger), await fire(ada, await make_api(ada))
    await until_finished(ada, 2)

    assert len(await list_deliveries(ada, event_id=first)) == 2
    assert await list_deliveries(ada, event_id=second) == []
    assert len(await list_deliveries(ada, trigger_id=trigger["id"])) == 2
    assert await list_deliveries(ada, trigger_id=trigger["id"] + 1) == []
    for destination, status in ((good, "delivered"), (bad, "exhausted")):
        by_destination = await list_deliveries(ada, destination_id=destination["id"])
        assert by_destination == await list_deliveries(ada, status=status)
    page = await ada.get("/deliveries", params={"limit": 1})
    further = await ada.get(page.links["next"]["url"])
    assert [*page.json(), *further.json()] == await list_deliveries(ada)
    assert "next" not in further.links
