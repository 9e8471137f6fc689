"""Each failure of a receiver has a kind, and none holds up other deliveries."""

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from svix.webhooks import Webhook

from event_trigger.deliveries.http.exchange import LARGEST_RESPONSE_BYTES
from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_delivery,
    read_destination,
    try_out,
    until_finished,
)
from tests.support.misbehaving import (
    Serve,
    answer_early,
    drip_body,
    drip_headers,
    flood,
    hang,
    hang_up,
    raw_server,
    talk_nonsense,
)
from tests.support.outages import cable_to
from tests.support.problems import problem_of
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, running_service
from tests.support.triggers import instant, make_api
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (hang, "timeout"),
        (hang_up, "connection_failed"),
        (talk_nonsense, "protocol_violated"),
    ],
)
async def test_a_server_that_never_answers_is_a_failure_of_its_kind(
    ada: httpx.AsyncClient, serve: Serve, error: str
) -> None:
    async with raw_server(serve) as url:
        attempt = await try_out(ada, url)

    assert (attempt["error"], attempt["status_code"]) == (error, None)
    assert attempt["duration_ms"] < 5000


@pytest.mark.parametrize(
    ("serve", "least"), [(drip_headers, 0), (drip_body, 1), (flood, LARGEST_RESPONSE_BYTES)]
)
async def test_an_answer_is_read_to_2_kib_and_not_beyond_the_deadline(
    ada: httpx.AsyncClient, serve: Serve, least: int
) -> None:
    async with raw_server(serve) as url:
        attempt = await try_out(ada, url)

    assert (attempt["error"], attempt["status_code"]) == (None, 200)
    assert least <= len(attempt["response"]) <= LARGEST_RESPONSE_BYTES


async def test_a_body_that_nobody_reads_does_not_hold_the_sender(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    async with raw_server(answer_early) as url:
        made = await make_destination(ada, url, timeout=1)
        trigger = await make_api(ada, payload={"large": "x" * 900_000}, destinations=[made["id"]])
        await fire(ada, trigger)
        [delivery] = await until_finished(ada)

    assert {one["status_code"] for one in delivery["attempts"]} <= {400, None}
    assert delivery["status"] == "exhausted"


async def test_a_closed_port_and_an_unknown_name_are_failures(ada: httpx.AsyncClient) -> None:
    async with raw_server(hang) as url:
        closed = url
    unknown = "https://nowhere.invalid/hook"

    assert (await try_out(ada, closed))["error"] == "connection_failed"
    assert (await try_out(ada, unknown))["error"] in ("name_not_resolved", "timeout")


async def test_a_server_without_tls_is_a_failure_of_tls(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    attempt = await try_out(ada, receiver.url.replace("http:", "https:") + "/hook")

    assert attempt["error"] == "tls_failed"


async def test_a_redirect_is_not_followed(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": receiver.url + "/inside"})

    receiver.answers["/hook"] = redirect
    attempt = await try_out(ada, receiver.url + "/hook")

    assert (attempt["error"], attempt["status_code"]) == ("redirected", 307)
    assert receiver.at("/inside") == []


async def test_no_cookie_is_kept_and_no_proxy_asked(
    ada: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    receiver.headers["Set-Cookie"] = "a=b; Path=/"

    for _ in range(2):
        assert (await try_out(ada, receiver.url + "/hook"))["error"] is None

    assert all("cookie" not in one.headers for one in receiver.received)


async def test_a_response_is_stored_as_text(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=200, body=b"ok \x00 \xff" + b"." * 5000)

    receiver.answers["/hook"] = answer
    await fire(
        ada,
        await make_api(
            ada, destinations=[(await make_destination(ada, receiver.url + "/hook"))["id"]]
        ),
    )
    [delivery] = await until_finished(ada)

    said = delivery["attempts"][0]["response"]
    assert said.startswith("ok \ufffd \ufffd...")
    assert len(said) <= LARGEST_RESPONSE_BYTES


async def lines_of(logged: Sequence[Any], event: str) -> list[Any]:
    return [one for one in logged if one["event"] == event]


async def test_a_failing_delivery_is_tried_again_and_then_exhausted(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = 503
    made = await make_destination(ada, receiver.url + "/hook")
    with capture_logs() as logged:
        event_id = await fire(ada, await make_api(ada, destinations=[made["id"]]))
        [delivery] = await until_finished(ada)
        told = await eventually(
            partial(lines_of, logged, "delivery_exhausted"), lambda found: len(found) == 1
        )

    assert (told[0]["delivery_id"], told[0]["status_code"]) == (delivery["id"], 503)
    assert (delivery["status"], delivery["error"]) == ("exhausted", "rejected")
    assert delivery["attempt_count"] == 3
    assert [one["number"] for one in delivery["attempts"]] == [1, 2, 3]
    assert {one.event_id for one in receiver.received} == {event_id}
    assert len({one.body for one in receiver.received}) == 1
    starts = [instant(one["attempted_at"]) for one in delivery["attempts"]]
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(starts)]
    assert waits[0] >= 0.05 * 0.8
    assert waits[1] >= 0.1 * 0.8
    await asyncio.sleep(0.3)
    assert len(receiver.received) == 3


async def test_a_redelivery_has_all_its_retries_again(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = 503
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))
    [delivery] = await until_finished(ada)

    await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    async def attempts() -> int:
        found = await read_delivery(ada, delivery["id"])
        return len(found["attempts"]) if found["status"] == "exhausted" else 0

    assert await eventually(attempts, lambda count: count > 3) == 6


async def test_a_retry_that_succeeds_ends_it(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    async def third_time(_: web.Request) -> web.StreamResponse:
        return web.Response(status=500 if len(receiver.received) < 3 else 200)

    receiver.answers["/hook"] = third_time
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))

    [delivery] = await until_finished(ada)

    assert delivery["status"] == "delivered"
    assert [one["status_code"] for one in delivery["attempts"]] == [500, 500, 200]
    assert delivery["error"] is None


async def test_retry_after_is_honoured(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["/hook"] = 429
    receiver.headers["Retry-After"] = "3600"
    made = await make_destination(ada, receiver.url + "/hook")
    await fire(ada, await make_api(ada, destinations=[made["id"]]))

    async def first() -> dict[str, Any]:
        [found] = await list_deliveries(ada)
        return found

    waiting = await eventually(first, lambda one: one["status"] == "retrying")

    delivery = await read_delivery(ada, waiting["id"])
    ended = instant(delivery["attempts"][0]["attempted_at"])
    wait = (instant(delivery["next_attempt_at"]) - ended).total_seconds()
    assert 3600 <= wait < 3700


async def test_gone_disables_the_destination(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["/hook"] = 410
    made = await make_destination(ada, receiver.url + "/hook")
    trigger = await make_api(ada, destinations=[made["id"]])
    with capture_logs() as logged:
        await fire(ada, trigger)
        [delivery] = await until_finished(ada)
        told = await eventually(
            partial(lines_of, logged, "destination_disabled"), lambda found: len(found) == 1
        )
    await fire(ada, trigger)

    assert (told[0]["destination_id"], told[0]["reason"]) == (made["id"], "gone")
    assert (delivery["status"], delivery["error"]) == ("exhausted", "gone")
    now = await read_destination(ada, made["id"])
    assert (now["status"], now["disabled_reason"]) == ("disabled", "gone")
    assert len(receiver.received) == 1
    assert [one["status"] for one in await list_deliveries(ada)] == ["pending", "exhausted"]


async def test_a_destination_that_keeps_failing_is_only_probed_until_it_answers(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers["/bad"] = 500
    bad, good = [await make_destination(ada, receiver.url + path) for path in ("/bad", "/good")]
    trigger = await make_api(ada, destinations=[bad["id"]])
    beside = await make_api(ada, destinations=[good["id"]])

    async def state() -> str:
        return str((await read_destination(ada, bad["id"]))["state"])

    with capture_logs() as logged:
        for _ in range(10):
            await fire(ada, trigger)
        await eventually(state, lambda now: now == "open")
        healthy = await fire(ada, beside)
        await until_finished(ada, destination_id=good["id"])
        receiver.answers["/bad"] = 200
        await eventually(state, lambda now: now == "closed")
        closed = await eventually(partial(lines_of, logged, "destination_closed"), bool)
    opened = await lines_of(logged, "destination_opened")
    assert opened
    assert {one["destination_id"] for one in (*opened, *closed)} == {bad["id"]}
    for _ in range(5):
        await fire(ada, trigger)
    await until_finished(ada, 15, destination_id=bad["id"])

    assert [one.event_id for one in receiver.at("/good")] == [healthy]
    assert (await read_destination(ada, bad["id"]))["failures"] == 0


async def test_no_more_are_sent_at_once_than_a_destination_allows(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    at_once, most, are_two = 0, 0, asyncio.Event()

    async def count(_: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 2:
            are_two.set()
        await are_two.wait()  # the first waits, however slowly the second comes
        await asyncio.sleep(0.02)
        at_once -= 1
        return web.Response()

    receiver.answers["/hook"] = count
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=2)
    trigger = await make_api(ada, destinations=[made["id"]])
    for _ in range(12):
        await fire(ada, trigger)
    await until_finished(ada, 12)

    assert most == 2


async def test_no_more_are_sent_a_second_than_a_destination_allows(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook", rate_limit=5)
    trigger = await make_api(ada, destinations=[made["id"]])
    for _ in range(12):
        await fire(ada, trigger)
    await until_finished(ada, 12)

    times = sorted(one.at for one in receiver.received)
    # a second's worth may come at once, the other seven a fifth of a second apart
    assert times[11] - times[0] >= 7 / 5 - 0.2


async def test_deliveries_to_a_deleted_destination_are_given_up(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    await ada.post(f"/destinations/{made['id']}/disable")
    trigger = await make_api(ada, destinations=[made["id"]])
    await fire(ada, trigger)

    assert (await ada.delete(f"/destinations/{made['id']}")).status_code == 204

    gone = await until_finished(ada, 1, status="exhausted")
    assert gone[-1]["error"] == "destination_deleted"
    assert (await ada.get(f"/triggers/{trigger['id']}")).json()["destinations"] == []
    problem_of(await ada.get(f"/destinations/{made['id']}"), 404)
    again = problem_of(await ada.post(f"/deliveries/{gone[-1]['id']}/redeliver"), 409)
    assert again["type"] == "urn:event-trigger:problem:destination-deleted"


async def test_a_secret_whose_key_is_not_set_is_a_failure_in_words(
    database_url: str, receiver: Receiver
) -> None:
    settings = {"retry_after": (), **ALLOW_LOOPBACK}
    async with running_service(database_url, encryption_key="k" * 32, **settings) as service:
        made = await make_destination(service.client(ADA), receiver.url + "/hook")
    async with running_service(database_url, **settings) as service:
        ada, path = service.client(ADA), f"/destinations/{made['id']}"
        answers = [
            await ada.get(f"{path}/secret"),
            await ada.post(f"{path}/test"),
            await ada.patch(path, json={"headers": {"X": "y"}}),
        ]
        read = await read_destination(ada, made["id"])
        await fire(ada, await make_api(ada, destinations=[made["id"]]))
        [delivery] = await until_finished(ada)
        renewed = await ada.post(f"{path}/rotate-secret")
        await ada.post(f"/deliveries/{delivery['id']}/redeliver")
        [arrived] = await until_finished(ada, status="delivered")

    for answer in answers:
        problem = problem_of(answer, 503)
        assert problem["type"] == "urn:event-trigger:problem:secret-unreadable"
    assert read["url"] == made["url"]
    assert (delivery["status"], delivery["error"]) == ("exhausted", "secret_unreadable")
    assert arrived["id"] == delivery["id"]
    [sent] = receiver.received
    Webhook(renewed.json()["secret"]).verify(sent.body, sent.headers)


async def test_an_outcome_is_recorded_when_the_database_is_back(
    database_url: str, receiver: Receiver
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return web.Response()

    receiver.answers["/hook"] = wait
    async with (
        cable_to(database_url) as (cable, url),
        running_service(url, **ALLOW_LOOPBACK) as service,
    ):
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url + "/hook")
        await fire(ada, await make_api(ada, destinations=[made["id"]]))
        await asked.wait()
        await cable.cut()
        answer.set()
        await asyncio.sleep(0.5)
        await cable.plug_in()
        await eventually(lambda: ada.get("/readyz"), lambda found: found.status_code == 200)
        [delivery] = await until_finished(ada)

    assert delivery["status"] == "delivered"
    assert len(receiver.received) == 1
