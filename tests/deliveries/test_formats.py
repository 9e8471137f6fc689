"""A destination gets each event in its format: the method, the URL, the headers and the body."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

import httpx
import pytest
from aiohttp import web
from svix.webhooks import Webhook

from event_trigger.deliveries.http.cloud_event import CloudEvent
from tests.support.destinations import (
    fire,
    make_destination,
    read_delivery,
    read_destination,
    until_finished,
)
from tests.support.problems import places_of, problem_of
from tests.support.receiver import Received, Receiver
from tests.support.triggers import instant, make_api
from tests.support.waiting import eventually

NAME = 'Déploy "50 %" €🚀~'
ENCODED_NAME = "D%C3%A9ploy%20%2250%20%25%22%20%E2%82%AC%F0%9F%9A%80~"
PAYLOAD = {"b": [1, 2.5, None], "a": {"text": "grüße"}}
JSON, TEXT = "application/json", "text/plain;charset=utf-8"
SECRET = "whsec_" + "c2VjcmV0" * 4


class Case(NamedTuple):
    """A form of requests, and the request that it makes of the event."""

    path: str
    form: dict[str, str]
    method: str
    target: str
    content_type: str | None
    body: Any


PLAIN = {"format": "payload"}
CASES = [
    Case("/binary", {"format": "cloudevents_binary"}, "POST", "/binary", JSON, PAYLOAD),
    Case("/put", {**PLAIN, "method": "PUT"}, "PUT", "/put", JSON, PAYLOAD),
    Case("/patch", {**PLAIN, "method": "PATCH"}, "PATCH", "/patch", JSON, PAYLOAD),
    Case("/get", {"method": "GET"}, "GET", "/get", None, None),
    Case("/delete", {**PLAIN, "method": "DELETE"}, "DELETE", "/delete", None, None),
    Case(
        "/json",
        {"format": "template", "template": '{"text": {{ data.a.text | json }}}'},
        "POST",
        "/json",
        JSON,
        {"text": "grüße"},
    ),
    Case(
        "/text",
        {"format": "template", "template": "{{ data.a.text }}: {{ event.trigger.name }}"}
        | {"content_type": TEXT},
        "POST",
        "/text",
        TEXT,
        f"grüße: {NAME}",
    ),
    Case(
        "/url/{{ data.a.text }}?is={{ event.type }}&b={{ data.b[1] }}%2F",
        {"method": "GET"},
        "GET",
        "/url/gr%C3%BC%C3%9Fe?is=api&b=2.5%2F",
        None,
        None,
    ),
    Case("/{{ data.b[0] }}/x", PLAIN, "POST", "/1/x", JSON, PAYLOAD),
]


async def test_each_format_and_method_sends_its_request_signed(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    forms = [{"url": receiver.url + one.path, "secret": SECRET, **one.form} for one in CASES]
    made = [await make_destination(ada, **form) for form in forms]
    ids = [one["id"] for one in made]
    trigger = await make_api(ada, name=NAME, payload=PAYLOAD, destinations=ids)

    event_id = await fire(ada, trigger)

    deliveries = await until_finished(ada, len(CASES))
    sent = {one.target: one for one in receiver.received}
    assert {one["status"] for one in deliveries} == {"delivered"}
    assert len(sent) == len(receiver.received) == len(CASES)
    for case in CASES:
        got = sent[case.target]
        assert (got.method, got.headers.get("content-type")) == (case.method, case.content_type)
        assert _content(got) == case.body, case.path
        assert got.event_id == event_id
        at = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
        signature = Webhook(SECRET).sign(got.message_id, at, got.body.decode())
        assert got.headers["webhook-signature"] == signature
    assert await database.fetchval("SELECT count(*) FROM delivery_requests") == 0


def _content(got: Received) -> Any:
    if not got.body:
        assert got.headers.get("content-length", "0") == "0"
        return None
    is_json = got.headers["content-type"] == JSON
    return json.loads(got.body) if is_json else got.body.decode()


async def test_a_binary_cloud_event_has_the_attributes_as_encoded_headers(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    installation = await database.fetchval("SELECT name FROM installation")
    form = {"format": "cloudevents_binary", "headers": {"ce-tenant": "blue"}}
    made = await make_destination(ada, receiver.url + "/hook", **form)
    trigger = await make_api(ada, name=NAME, destinations=[made["id"]])

    fired = await ada.post(f"/triggers/{trigger['id']}/trigger")

    await until_finished(ada)
    [got] = receiver.received
    event = (await ada.get(fired.headers["location"])).json()
    attributes = {name: value for name, value in got.headers.items() if name.startswith("ce-")}
    assert attributes == {
        "ce-specversion": "1.0",
        "ce-id": str(event["id"]),
        "ce-source": f"urn:event-trigger:{installation}:trigger:{trigger['id']}",
        "ce-type": "event_trigger.api",
        "ce-time": event["triggered_at"],
        "ce-istest": "false",
        "ce-triggername": ENCODED_NAME,
        "ce-sourcekind": "login",
        "ce-tenant": "blue",
    }
    assert (got.body, got.headers.get("content-type")) == (b"", None)


def test_a_header_has_no_character_that_it_cannot_hold() -> None:
    every = "".join(map(chr, range(1, 0x180)))
    at = instant("2026-01-01T00:00:00Z")
    event = CloudEvent("1", "urn:x", "api", at, None, trigger_name=every)

    encoded = event.headers()["ce-triggername"]

    assert all(" " < one <= "~" and one != '"' for one in encoded)
    assert unquote(encoded) == every


async def test_an_event_without_a_payload_is_an_empty_object_for_receivers_of_json(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook", format="payload")

    await fire(ada, await make_api(ada, destinations=[made["id"]]))

    await until_finished(ada)
    assert [one.body for one in receiver.received] == [b"{}"]


async def test_each_attempt_sends_the_same_bytes_until_the_form_is_another(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    receiver.answers["/1"] = 400
    form = {"format": "template", "template": '{"n": {{ data.n }}}'}
    made = await make_destination(ada, receiver.url + "/{{ data.n }}", **form)
    trigger = await make_api(ada, payload={"n": 1}, destinations=[made["id"]])
    await fire(ada, trigger)
    [delivery] = await until_finished(ada)
    assert (delivery["status"], len(delivery["attempts"])) == ("exhausted", 3)

    changed = {"template": '{"m": {{ data.n }}}', "url": receiver.url + "/2"}
    await ada.patch(f"/destinations/{made['id']}", json=changed)
    await ada.post(f"/deliveries/{delivery['id']}/redeliver")

    done = await eventually(
        lambda: read_delivery(ada, delivery["id"]), lambda one: one["status"] == "delivered"
    )
    assert [(one.target, one.body) for one in receiver.received] == [
        *[("/1", b'{"n": 1}')] * 3,
        ("/2", b'{"m": 1}'),
    ]
    assert len({one.message_id for one in receiver.received}) == 1
    assert len(done["attempts"]) == 4
    assert await database.fetchval("SELECT count(*) FROM delivery_requests") == 0


async def test_what_is_kept_is_sent_again(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    """Changes the kept request before the last attempt, so that it is told from a new one."""

    async def change_and_refuse(_: web.Request) -> web.Response:
        await database.execute("UPDATE delivery_requests SET body = '{\"n\": 2}'")
        return web.Response(status=400 if len(receiver.received) < 3 else 204)

    receiver.answers["/hook"] = change_and_refuse
    form = {"format": "template", "template": '{"n": {{ data.n }}}'}
    made = await make_destination(ada, receiver.url + "/hook", **form)

    await fire(ada, await make_api(ada, payload={"n": 1}, destinations=[made["id"]]))

    [delivery] = await until_finished(ada)
    assert delivery["status"] == "delivered"
    bodies = [one.body for one in receiver.received]
    assert bodies == [b'{"n": 1}', b'{"n": 1}', b'{"n": 2}']


async def test_a_template_that_fails_ends_its_delivery_and_leaves_the_destination_alone(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    form = {"format": "template", "template": '{"text": {{ data.text | json }}}'}
    made = await make_destination(ada, receiver.url + "/hook", **form)
    trigger = await make_api(ada, destinations=[made["id"]])
    bad = [{}, {"text": 1}, {"texts": ""}, {"other": {}}, {"x": []}, {"y": 0}, {"z": 1}]

    for payload in bad:
        await ada.post(f"/triggers/{trigger['id']}/trigger", json=payload)

    deliveries = await until_finished(ada, len(bad))
    failed = [one for one in deliveries if one["status"] == "exhausted"]
    assert len(failed) == len(bad) - 1
    for one in failed:
        [attempt] = one["attempts"]
        assert (one["error"], attempt["error"]) == ("template_failed", "template_failed")
        assert (attempt["status_code"], attempt["response"]) == (None, None)
        assert attempt["reason"].startswith("Line 1, column ")
    assert [one.body for one in receiver.received] == [b'{"text": 1}']
    destination = await read_destination(ada, made["id"])
    assert (destination["state"], destination["failures"]) == ("closed", 0)
    listed = (await ada.get("/deliveries", params={"error": "template_failed"})).json()
    assert len(listed) == len(failed)


@pytest.mark.parametrize("path", ["..", "%2e%2e", ".", ""])
async def test_a_value_cannot_lead_to_another_path(
    ada: httpx.AsyncClient, receiver: Receiver, path: str
) -> None:
    made = await make_destination(ada, receiver.url + "/a/{{ data.path }}/b", method="GET")

    await fire(ada, await make_api(ada, payload={"path": path}, destinations=[made["id"]]))

    [delivery] = await until_finished(ada)
    escaped = [one.target for one in receiver.received]
    if path == "%2e%2e":
        assert escaped == ["/a/%252e%252e/b"]
    else:
        assert (delivery["error"], escaped) == ("template_failed", [])


async def test_a_test_sends_a_sample_in_the_format(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    url, text = receiver.url + "/{{ event.is_test }}", "{{ data.message }}"
    plain = await make_destination(ada, receiver.url + "/plain", method="DELETE")
    form = {"format": "template", "content_type": "text/plain"}
    good = await make_destination(ada, url, template=text, **form)
    bad = await make_destination(ada, url, template="{{ data.other }}", **form)

    attempts = [
        (await ada.post(f"/destinations/{one['id']}/test")).json() for one in (plain, good, bad)
    ]

    assert [one["status_code"] for one in attempts] == [204, 204, None]
    assert [one["error"] for one in attempts] == [None, None, "template_failed"]
    assert [one["reason"] is None for one in attempts] == [True, True, False]
    assert attempts[2]["reason"].startswith("Line 1, column 4: ")
    [deleted, sample] = receiver.received
    assert (deleted.method, deleted.body) == ("DELETE", b"")
    assert (sample.target, sample.body) == ("/true", b"This is a test of your destination.")


async def test_a_test_sends_data_of_ones_own(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    await make_destination(ada, receiver.url + "/plain", key="plain", format="payload")
    form = {"format": "template", "content_type": "text/plain", "template": "{{ data.room }}"}
    templated = await make_destination(ada, receiver.url + "/{{ data.room }}", **form)
    data = {"room": "blü", "nothing": None}
    path = "/destinations/by-key/plain/test"

    for one in (f"/destinations/{templated['id']}/test", path):
        assert (await ada.post(one, json={"data": data})).json()["error"] is None
    withouts: list[dict[str, Any]] = [{"content": b""}, {"json": {}}, {"json": {"data": None}}]
    for without in withouts:
        assert (await ada.post(path, **without)).json()["error"] is None
    bodies = ("null", "[]", '{"data": []}', '{"dat": {}}')
    refused = [await ada.post(path, content=one, headers={"Content-Type": JSON}) for one in bodies]
    as_text = await ada.post(path, content="{}", headers={"Content-Type": "text/plain"})

    rendered, given, *samples = receiver.received
    assert (rendered.target, rendered.body) == ("/bl%C3%BC", "blü".encode())
    assert json.loads(given.body) == data
    assert [json.loads(one.body) for one in samples] == [
        {"message": "This is a test of your destination."}
    ] * 3
    assert [places_of(one) for one in refused] == [["#"], ["#"], ["#/data"], ["#/dat"]]
    problem_of(as_text, 415)
