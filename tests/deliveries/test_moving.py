"""A caller that may only write a destination reads no header of it, by a move or by an echo."""

from typing import Any

import httpx
from aiohttp import web
from svix.webhooks import Webhook

from tests.support.destinations import (
    fire,
    make_destination,
    read_delivery,
    read_destination,
    until_finished,
)
from tests.support.keys import holding, make_key
from tests.support.problems import problem_of
from tests.support.receiver import Receiver, receiving
from tests.support.services import Service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

TOKEN = "their-token-5d1c77"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Key": "the key of theirs"}


async def writing(service: Service, ada: httpx.AsyncClient) -> httpx.AsyncClient:
    return holding(service, await make_key(ada, "destinations:write"))


async def move(
    client: httpx.AsyncClient, made: dict[str, Any], url: str, **more: Any
) -> dict[str, Any]:
    answer = await client.patch(f"/destinations/{made['id']}", json={"url": url, **more})
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def tried(client: httpx.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(f"/destinations/{made['id']}/test")
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


async def test_at_another_origin_neither_headers_nor_secrets_arrive(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, f"{receiver.url}/hook", headers=HEADERS)
    rotated = (await ada.post(f"/destinations/{made['id']}/rotate-secret")).json()["secret"]
    thief = await writing(service, ada)

    async with receiving() as elsewhere:
        moved = await move(thief, made, f"{elsewhere.url}/hook")
        assert (await tried(thief, made))["status_code"] == 204
        [sent] = elsewhere.received

    assert moved["headers"] == {}
    assert "authorization" not in sent.headers
    assert "x-key" not in sent.headers
    assert moved["secret"] not in {None, made["secret"], rotated}
    Webhook(moved["secret"]).verify(sent.body, sent.headers)
    assert sent.headers["webhook-signature"].count("v1,") == 1
    [secret, headers] = moved["warnings"]
    assert "new signing secret" in secret
    assert "Authorization, X-Key" in headers
    back = await move(thief, made, f"{receiver.url}/hook")
    assert (back["headers"], back["secret"] == moved["secret"]) == ({}, False)


async def test_queued_deliveries_reach_the_new_origin_without_the_old_headers(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, f"{receiver.url}/hook", headers=HEADERS)
    trigger = await make_api(ada, destinations=[made["id"]])
    await ada.post(f"/destinations/{made['id']}/disable")
    event = await fire(ada, trigger)

    async with receiving() as elsewhere:
        await move(ada, made, f"{elsewhere.url}/hook")
        await ada.post(f"/destinations/{made['id']}/enable")
        [delivery] = await until_finished(ada, event_id=event)
        await ada.post(f"/deliveries/{delivery['id']}/redeliver")
        await until_finished(ada, event_id=event)
        sent = elsewhere.received

    assert receiver.received == []
    assert sent
    assert all(TOKEN not in str(one.headers) for one in sent)


async def test_headers_that_are_given_with_the_new_origin_are_all_that_is_sent(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, "https://1.1.1.1/hook", headers=HEADERS)

    given = {"AUTHORIZATION": "Bearer one-of-mine", "x-key": None}
    moved = await move(ada, made, f"{receiver.url}/hook", headers=given)
    await tried(ada, made)

    [sent] = receiver.received
    assert sent.headers["authorization"] == "Bearer one-of-mine"
    assert "x-key" not in sent.headers
    assert [one for one in moved["warnings"] if "not sent" in one] == [
        "Headers of the old origin are not sent to the new one: X-Key."
    ]


async def test_at_the_same_origin_all_stays(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, "https://EXAMPLE.com/hook", headers=HEADERS)

    for url in ("https://example.com:443/other?a=1", "https://Example.COM/hook"):
        changed = await move(ada, made, url)
        assert (changed["secret"], changed["warnings"]) == (None, [])
        assert changed["headers"].keys() == HEADERS.keys()
    shown = (await ada.get(f"/destinations/{made['id']}/secret")).json()
    assert shown["secret"] == made["secret"]
    for url in (
        "https://example.com:8443/hook",
        "https://www.example.com/hook",
        "https://example.com./hook",
    ):
        other = await make_destination(ada, "https://example.com/hook", headers=HEADERS)
        assert (await move(ada, other, url))["headers"] == {}
        assert (await read_destination(ada, other["id"]))["headers"] == {}


async def test_sent_headers_are_masked_in_a_receivers_echo(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    async def echo(request: web.Request) -> web.Response:
        said = [f"{name}={value}" for name, value in request.headers.items()]
        return web.Response(text=f"unknown: {TOKEN}\n" + "\n".join(said), status=401)

    receiver.answers["/echo"] = echo
    made = await make_destination(ada, f"{receiver.url}/hook", headers=HEADERS)
    trigger = await make_api(ada, destinations=[made["id"]])
    thief = await writing(service, ada)
    await move(thief, made, f"{receiver.url}/echo")

    attempt = await tried(thief, made)
    await ada.post(f"/destinations/{made['id']}/enable")
    await fire(ada, trigger)

    async def answered() -> str:
        [delivery] = (await ada.get("/deliveries")).json()
        attempts = (await read_delivery(ada, delivery["id"]))["attempts"]
        return str(attempts[0]["response"]) if attempts else ""

    for said in (attempt["response"], await eventually(answered, bool)):
        assert "unknown: ********" in said
        assert TOKEN not in said
        assert HEADERS["X-Key"] not in said
        assert "webhook-id=" in said.lower()


async def test_a_secret_is_for_those_who_may_read(service: Service, ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, "https://1.1.1.1/hook")
    path = f"/destinations/{made['id']}/secret"
    both = holding(service, await make_key(ada, "destinations:read", "destinations:write"))

    for scope in ("destinations:read", "destinations:write"):
        problem_of(await holding(service, await make_key(ada, scope)).get(path), 403)

    assert (await both.get(path)).json()["secret"] == made["secret"]
