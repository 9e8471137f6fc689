"""A destination that opens, closes or is disabled is told of, and hears nothing of itself."""

import httpx
import pytest
from aiohttp import web

from tests.notices.test_exhausted import make_failing
from tests.support.destinations import fire, make_destination, read_destination
from tests.support.notices import list_notices, make_listener, notice_in, until_told
from tests.support.receiver import Receiver
from tests.support.triggers import make_api
from tests.support.waiting import eventually


async def test_a_stopped_receiver_is_told_of_and_again_when_it_answers(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make_listener(ada, receiver, "destination.opened", "destination.closed")
    failing, trigger = await make_failing(ada, receiver)
    receiver.answers["/bad"] = 503
    for _ in range(5):
        await fire(ada, trigger)

    [opened] = await until_told(receiver)
    receiver.answers["/bad"] = 204

    async def state() -> str:
        await fire(ada, trigger)
        return str((await read_destination(ada, failing["id"]))["state"])

    await eventually(state, lambda one: one == "closed")
    _, closed = await until_told(receiver, 2)
    first, second = notice_in(opened), notice_in(closed)
    assert first["type"] == "event_trigger.notice.destination.opened"
    assert first["data"]["details"]["failures"] >= 5
    assert second["type"] == "event_trigger.notice.destination.closed"
    assert first["subject"] == second["subject"] == f"destinations/{failing['id']}"
    assert len(await list_notices(ada)) == 2


async def test_a_destination_that_is_gone_is_told_of_once(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make_listener(ada, receiver, "destination.disabled")
    gone = await make_destination(ada, f"{receiver.url}/gone", notices=["destination.disabled"])
    trigger = await make_api(ada, destinations=[gone["id"]])

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=410)

    receiver.answers["/gone"] = answer
    for _ in range(4):
        await fire(ada, trigger)

    [told] = await until_told(receiver)
    assert notice_in(told)["data"]["message"] == (
        f"The destination {gone['id']} was disabled, since it answered 410 Gone."
    )
    await eventually(
        lambda: read_destination(ada, gone["id"]), lambda one: one["status"] == "disabled"
    )
    [notice] = await list_notices(ada)
    assert (notice["count"], notice["details"]["reason"]) == (1, "gone")


@pytest.mark.parametrize("path", ["/destinations/{id}", "/destinations/by-key/{key}"])
async def test_a_destination_that_a_person_disables_is_told_of_once(
    ada: httpx.AsyncClient, receiver: Receiver, path: str
) -> None:
    await make_listener(ada, receiver, "destination.disabled")
    other = await make_destination(ada, f"{receiver.url}/other", key="other")

    for _ in range(2):
        answer = await ada.post(f"{path.format_map(other)}/disable")
        assert answer.status_code == 200

    [told] = await until_told(receiver)
    data = notice_in(told)["data"]
    assert data["message"] == "The destination other was disabled by a person."
    assert (data["count"], data["details"]["reason"]) == (1, "by_hand")
