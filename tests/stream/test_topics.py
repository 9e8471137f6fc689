"""A stream also tells the progress of deliveries and the changes of triggers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.destinations import fire, list_deliveries, make_destination
from tests.support.keys import make_key
from tests.support.problems import places_of, problem_of
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.streams import following, listening
from tests.support.triggers import change, make_api, make_scheduled

ALL = "events,deliveries,triggers"


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {**ALLOW_LOOPBACK}


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as one:
        yield one


async def test_attempts_and_changes_arrive_beside_the_events(
    url: str, ada: httpx.AsyncClient, bob: httpx.AsyncClient, database: Any
) -> None:
    async with receiving() as receiver:
        receiver.answers["/bad"] = 400
        good, bad = [await make_destination(ada, receiver.url + one) for one in ("/good", "/bad")]
        async with (
            following(url, ADA, topics=ALL) as stream,
            following(url, ADA) as plain,
            following(url, BOB, topics=ALL) as his,
        ):
            trigger = await make_api(ada, destinations=[good["id"], bad["id"]])
            event = await fire(ada, trigger)
            attempted = await stream.read_others("delivery", 2)
            await ada.post(f"/triggers/{trigger['id']}/pause")
            paused = await stream.read_until("trigger", status="paused")
            await ada.delete(f"/triggers/{trigger['id']}")
            [gone] = await stream.read_others("trigger_deleted")
            await fire(bob, await make_api(bob))
            await his.read(1)
            await his.read_others("trigger")  # told apart from the event, so perhaps after it
            await stream.read(1)
            await plain.read(1)

    listed = {one["id"]: one for one in await list_deliveries(ada)}
    assert stream.ids == plain.ids == [event]
    assert plain.others == []
    assert {kind for kind, _ in his.others} == {"trigger"}
    assert {one["status"] for one in attempted} == {"delivered", "retrying"}
    assert all(one["event_id"] == event and one["id"] in listed for one in attempted)
    assert gone == {"id": trigger["id"]}
    assert paused["id"] == trigger["id"]
    assert "payload" not in paused


async def test_only_what_is_asked_for_and_may_be_seen_is_told(
    url: str, ada: httpx.AsyncClient, service: Service
) -> None:
    shown, other = await make_api(ada), await make_api(ada)
    async with (
        following(url, ADA, topics="triggers", trigger_id=shown["id"]) as narrow,
        following(url, ADMIN, project="*", topics="triggers") as everybody,
    ):
        await fire(ada, shown)
        await change(ada, other["id"], {"name": "other"})
        await change(ada, shown["id"], {"name": "shown"})
        [told] = await narrow.read_others("trigger")
        both = await everybody.read_others("trigger", 2)
    refused = await ada.get("/events/stream", params={"topics": "weather"})
    reader = await make_key(ada, scopes=["events:read"])
    unread = await service.client().get(
        "/events/stream", params={"topics": ALL}, headers={"X-API-Key": reader["key"]}
    )

    assert told["name"] == "shown"
    assert [one["name"] for one in both] == ["other", "shown"]
    assert narrow.ids == []
    assert places_of(refused) == ["topics"]
    assert "triggers:read" in problem_of(unread, 403)["detail"]


async def test_changes_that_may_have_been_missed_are_said(
    url: str, ada: httpx.AsyncClient, database: Any
) -> None:
    async with following(url, ADA, topics=ALL) as stream:
        listeners = await database.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        [missed] = await stream.read_others("missed")
        scheduled = await make_scheduled(ada, {"interval": "PT1S"})
        told = await stream.read_until("trigger", status="completed")

    assert listeners
    assert set(missed["topics"]) <= {"deliveries", "triggers"}
    assert told["id"] == scheduled["id"]
