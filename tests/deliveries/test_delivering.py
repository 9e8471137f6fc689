"""An event reaches the destinations of its trigger, signed, however it was fired."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from svix.webhooks import Webhook

from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.services import Service, running_service
from tests.support.triggers import make_api
from tests.support.waiting import eventually


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with running_service(
        database_url, retry_after="0.1,0.1,0.1", **ALLOW_LOOPBACK
    ) as running:
        yield running


async def make_destination(client: httpx.AsyncClient, url: str, **more: Any) -> dict[str, Any]:
    answer = await client.post("/destinations", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def deliveries(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    answer = await client.get("/deliveries", params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_a_call_is_delivered_as_a_signed_cloud_event(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook", headers={"X-Key": "s3cret"})
    trigger = await make_api(ada, name="Deploy", payload={"a": 1}, destinations=[made["id"]])

    fired = await ada.post(f"/triggers/{trigger['id']}/trigger", json={"b": 2})

    await eventually(lambda: deliveries(ada, status="delivered"), lambda found: len(found) == 1)
    [sent] = receiver.received
    event_id = fired.headers["location"].removeprefix("/events/")
    Webhook(made["secret"]).verify(sent.body, sent.headers)
    said = json.loads(sent.body)
    assert said.pop("time").endswith("Z")
    assert said == {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/triggers/{trigger['id']}",
        "type": "event_trigger.api",
        "datacontenttype": "application/json",
        "istest": False,
        "triggername": "Deploy",
        "data": {"a": 1, "b": 2},
    }
    assert sent.headers["content-type"] == "application/cloudevents+json"
    assert sent.headers["x-key"] == "s3cret"
    assert sent.message_id == f"evt_{event_id}"
