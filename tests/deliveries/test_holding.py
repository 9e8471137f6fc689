"""A response holds its destination, opens its breaker, or concerns the event alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
from aiohttp import web

from event_trigger.destinations.circuit_breaker import OPENS_AFTER
from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_delivery,
    read_destination,
    until_finished,
    until_held,
)
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, running_service
from tests.support.triggers import instant, make_api

LATER, SOON = {"Retry-After": "3600"}, {"Retry-After": "1"}


def first(
    *answers: web.Response | int, then: int = 204
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answers one request with each of these, and all others with `then`."""
    left = list(answers)

    async def answer(_: web.Request) -> web.StreamResponse:
        told = left.pop(0) if left else then
        return web.Response(status=told) if isinstance(told, int) else told

    return answer


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_asks_for_a_pause_is_sent_nothing_until_it_ends(
    ada: httpx.AsyncClient, receiver: Receiver, status: int
) -> None:
    receiver.answers["/hook"] = first(web.Response(status=status, headers=LATER))
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=1)
    beside = await make_destination(ada, receiver.url + "/beside")
    trigger = await make_api(ada, destinations=[made["id"], beside["id"]])
    await fire(ada, trigger)
    held = await until_held(ada, made["id"])
    for _ in range(5):
        await fire(ada, trigger)
    await until_finished(ada, 6, destination_id=beside["id"])
    while_held = len(receiver.at("/hook"))
    await ada.post(f"/destinations/{made['id']}/enable")
    await until_finished(ada, 5, destination_id=made["id"])

    assert while_held == 1
    oldest = (await list_deliveries(ada, destination_id=made["id"]))[-1]
    delivery = await read_delivery(ada, oldest["id"])
    [attempt] = delivery["attempts"]
    assert (delivery["status"], attempt["status_code"]) == ("retrying", status)
    until = instant(held["held_until"])
    assert 3600 <= (until - instant(attempt["attempted_at"])).total_seconds() < 3700
    assert instant(delivery["next_attempt_at"]) == until


async def test_a_pause_holds_the_probes_of_an_open_breaker_too(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    busy = web.Response(status=503, headers=LATER)
    receiver.answers["/hook"] = first(*[500] * OPENS_AFTER, busy)
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=1)
    beside = await make_destination(ada, receiver.url + "/beside", rate_limit=1)
    trigger = await make_api(ada, destinations=[made["id"], beside["id"]])
    for _ in range(OPENS_AFTER + 2):
        await fire(ada, trigger)
    held = await until_held(ada, made["id"])
    sent = len(receiver.at("/beside"))
    for _ in range(2):
        await fire(ada, trigger)
    await until_finished(ada, sent + 2, destination_id=beside["id"])  # longer than between probes

    assert held["state"] == "open"
    assert len(receiver.at("/hook")) == OPENS_AFTER + 1


async def test_a_pause_costs_no_attempt(database_url: str, receiver: Receiver) -> None:
    busy = [web.Response(status=status, headers=SOON) for status in (429, 503)]
    receiver.answers["/hook"] = first(*busy)
    async with running_service(database_url, retry_after=(), **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url + "/hook")
        await fire(ada, await make_api(ada, destinations=[made["id"]]))
        [delivery] = await until_finished(ada)
        now = await read_destination(ada, made["id"])

    assert delivery["status"] == "delivered"
    assert [one["status_code"] for one in delivery["attempts"]] == [429, 503, 204]
    assert now["held_until"] is None


async def test_without_retry_after_an_attempt_counts_and_fewer_are_sent_at_once(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = 429
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))
    [delivery] = await until_finished(ada)
    now = await read_destination(ada, made["id"])

    assert (delivery["status"], delivery["attempt_count"]) == ("exhausted", 3)
    assert (now["state"], now["failures"], now["held_until"]) == ("recovering", 0, None)


async def test_an_answer_about_the_event_opens_no_breaker(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    statuses = [302, 400, 401, 404, 409, 413, 422, 451]
    done, now = await answer_each_with(ada, receiver, statuses)

    attempts = [
        sum(one["attempt_count"] for one in done if one["destination_id"] == destination_id)
        for destination_id in now
    ]
    assert min(attempts) > OPENS_AFTER
    assert {(one["state"], one["failures"]) for one in now.values()} == {("closed", 0)}


async def test_an_answer_about_the_destination_opens_its_breaker(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    _, now = await answer_each_with(ada, receiver, [408, 425, 500, 599])

    assert {one["state"] for one in now.values()} == {"open"}


async def answer_each_with(
    client: httpx.AsyncClient, receiver: Receiver, statuses: Sequence[int]
) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Makes two deliveries, each tried three times, to a destination for each of these statuses."""
    receiver.answers = {f"/{status}": status for status in statuses}
    made = [await make_destination(client, f"{receiver.url}/{status}") for status in statuses]
    trigger = await make_api(client, destinations=[one["id"] for one in made])
    for _ in range(2):
        await fire(client, trigger)
    done = await until_finished(client, 2 * len(statuses))
    return done, {one["id"]: await read_destination(client, one["id"]) for one in made}


async def test_an_answer_about_the_event_closes_an_open_breaker(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = first(*[500] * OPENS_AFTER, then=404)
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=1)
    trigger = await make_api(ada, destinations=[made["id"]])
    for _ in range(3):
        await fire(ada, trigger)
    await until_finished(ada, 3)

    assert (await read_destination(ada, made["id"]))["state"] == "closed"
