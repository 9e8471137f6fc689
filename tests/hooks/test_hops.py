"""Events that lead back to themselves end after ten hops, and their trigger has a warning."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from aiohttp import web

from event_trigger.destinations.signing_secrets import seal_into, secrets_of
from event_trigger.models import Destination, shard_of
from event_trigger.web.dependencies import state_of
from tests.support.destinations import fire, list_deliveries, make_destination, until_finished
from tests.support.hooks import BODY, events_of, is_fired, make_hook
from tests.support.keys import make_key
from tests.support.problems import places_of, problem_of
from tests.support.receiver import ALLOW_LOOPBACK, Behave, Receiver, receiving
from tests.support.services import ADA, Service
from tests.support.triggers import change, make_api, read
from tests.support.waiting import eventually

HOPS = "x-event-trigger-hops"
LOOP = "urn:event-trigger:problem:loop-detected"
ODD = ["", "-1", "+1", "1.0", "ten", "1, 2", "²", "1" * 10, "9" * 5000]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {"retry_after": "0.05", **ALLOW_LOOPBACK}


def passing_on(service: Service) -> Behave:
    """A proxy before the service that passes each request on unchanged."""
    client = service.client()

    async def pass_on(request: web.Request) -> web.StreamResponse:
        answer = await client.request(
            request.method,
            request.raw_path,
            content=await request.read(),
            headers=list(request.headers.items()),
        )
        return web.Response(status=answer.status_code, body=answer.content)

    return pass_on


async def hops_of(database: Any, *trigger_ids: int) -> list[int]:
    rows = await database.fetch(
        "SELECT hops FROM events WHERE trigger_id = ANY ($1) ORDER BY id", list(trigger_ids)
    )
    return [row["hops"] for row in rows]


async def test_three_hooks_in_a_ring_end_after_ten_events(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    hooks = [await make_hook(ada, "none") for _ in range(3)]
    for hook, next_hook in zip(hooks, [*hooks[1:], hooks[0]], strict=True):
        path = next_hook.url.removeprefix("http://service.test")
        receiver.answers[path] = passing_on(service)
        made = await make_destination(ada, receiver.url + path)
        await change(ada, hook.trigger_id, {"destinations": [made["id"]]})

    await service.client().post(hooks[0].url, content=BODY)
    deliveries = await until_finished(ada, 10)

    assert await hops_of(database, *[one.trigger_id for one in hooks]) == [*range(10)]
    outcomes = [(one["status"], one["attempts"][-1]["status_code"]) for one in deliveries]
    assert outcomes == [("delivered", 200)] * 9 + [("exhausted", 508)]
    assert [one["attempt_count"] for one in deliveries] == [1] * 10
    said = [one.headers[HOPS] for one in receiver.received]
    assert said == [str(number) for number in range(1, 11)]
    warnings = [(await read(ada, one.trigger_id))["warnings"] for one in hooks]
    assert [len(one) for one in warnings] == [0, 1, 0]
    assert "ten deliveries" in warnings[1][0]


@pytest.mark.parametrize("way", ["trigger", "test", "replay"])
async def test_calls_with_a_key_end_too(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver, database: Any, way: str
) -> None:
    trigger = await make_api(ada)
    first = await fire(ada, trigger)
    path = f"/events/{first}/replay" if way == "replay" else f"/triggers/{trigger['id']}/{way}"
    receiver.answers[path] = passing_on(service)
    headers = {"X-API-Key": (await make_key(ada))["key"]}
    made = await make_destination(ada, receiver.url + path, headers=headers)
    await change(ada, trigger["id"], {"destinations": [made["id"]]})

    await fire(ada, trigger)
    await until_finished(ada, 10)

    assert await hops_of(database, trigger["id"]) == [0, *range(10)]
    assert len((await read(ada, trigger["id"]))["warnings"]) == 1


async def test_a_delivery_that_deliveries_send_again_counts_on(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    headers = {"X-API-Key": (await make_key(ada))["key"]}
    fired = await make_api(ada)
    path = f"/triggers/{fired['id']}/trigger"
    receiver.answers[path] = passing_on(service)
    made = await make_destination(ada, receiver.url + path, headers=headers)
    first = await make_api(ada, destinations=[made["id"]])
    await fire(ada, first)
    [sent] = await until_finished(ada)
    path = f"/deliveries/{sent['id']}/redeliver"
    receiver.answers[path] = passing_on(service)
    again = await make_destination(ada, receiver.url + path, headers=headers)
    await change(ada, fired["id"], {"destinations": [again["id"]]})

    await ada.post(path)

    async def refused() -> list[dict[str, Any]]:
        return await list_deliveries(ada, destination_id=again["id"], status="exhausted")

    await eventually(refused, bool)
    assert await hops_of(database, fired["id"]) == [1, 1, 3, 5, 7, 9]


async def test_a_call_is_refused_from_ten_on(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    hook = await make_hook(ada, "none")
    paths = [hook.url, *(f"/triggers/{hook.trigger_id}/{way}" for way in ("trigger", "test"))]

    for path in paths:
        client = anonymous if path == hook.url else ada
        assert is_fired(await client.post(path, headers={HOPS: "9"}))
        for hops in ("10", "0010", "999999999"):
            problem = problem_of(await client.post(path, headers={HOPS: hops}), 508)
            assert problem["type"] == LOOP
        several = [(HOPS, "3"), (HOPS, "10"), (HOPS, "1")]
        problem_of(await client.post(path, headers=several), 508)

    assert await hops_of(database, hook.trigger_id) == [9, 9, 9]


@pytest.mark.parametrize("odd", ODD)
async def test_what_is_no_number_is_a_422_that_says_so(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, odd: str
) -> None:
    hook, signed = await make_hook(ada, "none"), await make_hook(ada, "github")
    raw = [(HOPS.encode(), odd.encode("latin-1"))]

    answers = [
        await anonymous.post(hook.url, headers=raw),
        await ada.post(f"/triggers/{hook.trigger_id}/trigger", headers=raw),
        await ada.post(f"/triggers/{hook.trigger_id}/test", headers=raw),
        await ada.post("/events/1/replay", headers=raw),
    ]

    assert [places_of(one) for one in answers] == [[HOPS]] * 4
    problem_of(await anonymous.post(signed.url, headers=raw), 401)
    assert await events_of(ada, hook) == []


async def test_nobody_without_a_signature_makes_a_warning(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")

    problem_of(await anonymous.post(hook.url, headers={HOPS: "10"}), 401)
    path = f"/triggers/{hook.trigger_id}/trigger"
    problem_of(await bob.post(path, headers={HOPS: "10"}), 404)

    assert (await read(ada, hook.trigger_id))["warnings"] == []


async def test_the_warning_is_written_once_a_minute_and_goes_with_a_change(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await make_api(ada)
    path, looked_at = f"/triggers/{trigger['id']}/trigger", "SELECT loop_refused_at FROM triggers"

    await ada.post(path, headers={HOPS: "10"})
    first = await database.fetchval(looked_at)
    await ada.post(path, headers={HOPS: "10"})
    second = await database.fetchval(looked_at)
    await database.execute("UPDATE triggers SET loop_refused_at = now() - interval '61 seconds'")
    await ada.post(path, headers={HOPS: "10"})
    later = await database.fetchval(looked_at)
    warned = await read(ada, trigger["id"])
    await fire(ada, trigger)
    still = await read(ada, trigger["id"])
    changed = await change(ada, trigger["id"], {"name": "mended"})

    assert first == second < later
    assert warned["warnings"] == still["warnings"] != []
    assert warned["updated_at"] == trigger["updated_at"]
    assert changed["warnings"] == (await read(ada, trigger["id"]))["warnings"] == []


async def test_a_destination_cannot_say_another_number(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    theirs = {"X-Event-Trigger-Hops": "0"}
    body = {"url": receiver.url, "headers": theirs}
    made = await make_destination(ada, receiver.url)
    refused = [
        await ada.post("/destinations", json=body),
        await ada.patch(f"/destinations/{made['id']}", json={"headers": theirs}),
    ]
    sessions, vault = state_of(service.app).sessions, state_of(service.app).vault
    async with sessions.begin() as session:  # as the version before took them
        row = await session.get_one(Destination, (shard_of(ADA), made["id"]))
        seal_into(row, replace(secrets_of(row, vault), headers=theirs), vault)
    trigger = await make_api(ada, destinations=[made["id"]])

    await ada.post(f"/triggers/{trigger['id']}/trigger", headers={HOPS: "4"})
    await until_finished(ada)
    await ada.post(f"/destinations/{made['id']}/test", headers={HOPS: "8"})
    looped = await ada.post(f"/destinations/{made['id']}/test", headers={HOPS: "10"})

    assert [places_of(one) for one in refused] == [["#/headers"]] * 2
    assert [one.headers[HOPS] for one in receiver.received] == ["5", "9"]
    problem_of(looped, 508)
