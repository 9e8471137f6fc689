"""A preview shows the request that a destination would get, without secrets; nothing is sent."""

import asyncio
from typing import Any

import httpx

from tests.destinations.templates.hostile import HOSTILE, Hostile
from tests.support.destinations import fire, make_destination
from tests.support.problems import places_of, problem_of
from tests.support.receiver import Received, Receiver
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

URL = "https://example.com/hook"
PATH = "/destinations/render"
SIGNED = {"webhook-signature", "webhook-timestamp"}


async def show(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def sent(shown: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    headers = {name.lower(): value for name, value in shown["headers"].items()}
    return _compared(headers), (shown["body"] or "").encode()


def received(one: Received, names: set[str]) -> tuple[dict[str, str], bytes]:
    return _compared({name: one.headers[name] for name in one.headers if name in names}), one.body


def _compared(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in SIGNED}


FORMS: list[dict[str, Any]] = [
    {},
    {"format": "cloudevents_binary"},
    {"format": "payload", "method": "PUT"},
    {"format": "template", "template": '{"t": {{ data.text | json }}, "id": {{ event.id }}}'},
    {"format": "template", "template": "{{ event.trigger.name }}", "content_type": "text/plain"},
    {"format": "payload", "method": "DELETE"},
]


async def test_what_is_shown_is_what_is_sent(ada: httpx.AsyncClient, receiver: Receiver) -> None:
    made = [
        await make_destination(ada, f"{receiver.url}/{place}/{{{{ data.text }}}}", **form)
        for place, form in enumerate(FORMS)
    ]
    trigger = await make_api(
        ada,
        key="news",
        name="News \u00fc",
        payload={"text": 'a/\u00fc "b"', "n": 1.50},
        destinations=[one["id"] for one in made],
    )
    event_id = await fire(ada, trigger, "test")

    shown = [await show(ada, destination=one["id"], event_id=event_id) for one in made]

    async def arrived() -> int:
        return len(receiver.received)

    await eventually(arrived, lambda count: count == len(FORMS))
    found = {int(one.path.split("/")[1]): one for one in receiver.received}
    for place, one in enumerate(shown):
        headers, body = sent(one)
        assert (headers, body) == received(found[place], {*headers})
        assert one["method"] == FORMS[place].get("method", "POST")
        assert one["url"] == f"{receiver.url}/{place}/a%2F%C3%BC%20%22b%22"
        assert one["headers"]["webhook-signature"] == "********"
    assert shown[5]["body"] is None
    assert len(receiver.received) == len(FORMS)  # showing sends nothing


async def test_a_destination_is_shown_with_changes_and_without_secrets(idle: Service) -> None:
    ada = idle.client(ADA)
    made = await make_destination(
        ada,
        URL,
        key="billing",
        format="template",
        template='{"old": true}',
        headers={"Authorization": "Bearer of-theirs"},
    )

    stored = await show(ada, destination="billing")
    changed = await show(
        ada, destination=made["id"], template="[{{ data.n }}]", data={"n": 7}, url=URL + "/b"
    )
    plain = await show(ada, destination="billing", format="payload", data={"n": 7})
    fresh = await show(
        ada, url=URL, template="{{ event.type }}", format="template", content_type="text/plain"
    )

    assert stored["body"] == '{"old": true}'
    assert stored["headers"]["Authorization"] == "********"
    assert (changed["url"], changed["body"]) == (URL + "/b", "[7]")
    assert (plain["body"], plain["headers"]["Content-Type"]) == ('{"n": 7}', "application/json")
    assert (fresh["body"], fresh["headers"]["Content-Type"]) == ("api", "text/plain")
    assert "of-theirs" not in str([stored, changed, plain])
    assert made["secret"] not in str([stored, changed, plain])


async def test_what_cannot_be_shown_is_refused(idle: Service) -> None:
    ada, bob = idle.client(ADA), idle.client(BOB)
    made = await make_destination(ada, URL, format="template", template="{{ data.n | json }}")
    event_id = await fire(ada, await make_api(ada))
    template = {"url": URL, "format": "template"}

    async def places(**body: Any) -> list[str]:
        return places_of(await ada.post(PATH, json=body))

    assert await places() == ["#/url"]
    assert await places(url="https://example.com/..") == ["#/url"]
    assert await places(url="https://{{ data.a }}/") == ["#/url"]
    assert await places(url=URL + "/{{ data.a }}") == ["#/url"]
    assert await places(url=URL, template="x") == ["#/template"]
    assert await places(**template) == ["#/template"]
    assert await places(**template, template="{{ data.n }}", data={}) == ["#/template"]
    assert await places(**template, template="{{ event.n") == ["#/template"]
    assert await places(destination=made["id"], data={}) == ["#/destination"]
    assert await places(url=URL, event_id=event_id, data={}) == ["#/data"]
    for client, body in [
        (ada, {"destination": 999}),
        (ada, {"destination": "nobody"}),
        (ada, {"url": URL, "event_id": 999}),
        (bob, {"destination": made["id"]}),
        (bob, {"url": URL, "event_id": event_id}),
    ]:
        problem_of(await client.post(PATH, json=body), 404)


async def test_two_hundred_hostile_templates_cost_little_and_are_answered(idle: Service) -> None:
    ada = idle.client(ADA)
    two_at_once = asyncio.Semaphore(2)

    async def answer(one: Hostile) -> httpx.Response:
        body = {
            "url": URL,
            "format": "template",
            "template": "{% assign data = data.x %}" + one.template,
            "content_type": "text/plain",
            "data": {"x": one.data},
        }
        async with two_at_once:
            return await ada.post(PATH, json=body)

    answers = await asyncio.gather(*map(answer, HOSTILE))

    for one, answered in zip(HOSTILE, answers, strict=True):
        assert answered.status_code in (200, 422), (one.name, answered.text)
        if answered.status_code == 200:
            assert len(answered.json()["body"].encode()) <= 1024 * 1024, one.name
        else:
            problem_of(answered, 422)
    shown = await show(ada, url=URL + "/{{ data.a }}", data={"a": "still here"})
    assert shown["url"] == URL + "/still%20here"
    assert sum(one.status_code == 422 for one in answers) > len(HOSTILE) / 2
