"""The form of a destination's requests and a given secret: saved, changed and kept secret."""

from typing import Any

import httpx
import pytest
from svix.webhooks import Webhook

from event_trigger.destinations.circuit_breaker import CircuitBreaker, free_slots
from event_trigger.web.mask import MASK
from tests.support.destinations import make_destination, read_destination
from tests.support.problems import places_of
from tests.support.sets import get_set, plan_set, put_set

URL, ELSEWHERE = "https://1.1.1.1/hook", "https://1.1.1.2/hook"
ONE, TWO, THREE = ("whsec_" + letter * 32 for letter in "ABC")
TEMPLATED = {"format": "template", "template": "{{ data | json }}", "content_type": "text/plain"}
FORM = ("url", "format", "method", "template", "content_type")
# patches of a template's destination, and where each is refused
BEYOND: list[tuple[dict[str, Any], str]] = [
    ({"format": "payload"}, "#/template"),
    ({"format": "payload", "template": None}, "#/content_type"),
    ({"method": "GET"}, "#/template"),
    ({"template": None}, "#/template"),
    ({"template": "{{ data | jsn }}"}, "#/template"),
    ({"template": "{% include 'x' %}"}, "#/template"),
    ({"content_type": "application/json", "template": "{{ event.type }}"}, "#/template"),
    ({"url": URL + "/{{ event.tpye }}"}, "#/url"),
    ({"url": "https://{{ data.host }}/"}, "#/url"),
]


async def test_the_form_is_checked_as_a_whole_and_put_back_as_it_is_shown(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_destination(ada, URL + "/{{ data.id }}", method="PUT", **TEMPLATED)
    path = f"/destinations/{made['id']}"

    refused = [places_of(await ada.patch(path, json=patch)) for patch, _ in BEYOND]
    read = await ada.get(path)
    put = await ada.put(path, json=read.json())
    plain = await ada.patch(path, json=dict.fromkeys(FORM[1:]) | {"method": "DELETE"})

    assert refused == [[place] for _, place in BEYOND]
    assert (put.status_code, put.headers["etag"]) == (200, read.headers["etag"])
    assert plain.headers["etag"] != read.headers["etag"]
    shown = plain.json()
    assert [shown[one] for one in FORM] == [made["url"], "cloudevents", "DELETE", None, None]
    entries = await database.fetch("SELECT after FROM audit_entries ORDER BY id")
    assert '"format": "cloudevents"' in entries[-1]["after"]


async def test_headers_that_a_format_writes_itself_are_refused(ada: httpx.AsyncClient) -> None:
    binary, own = {"format": "cloudevents_binary"}, {"headers": {"CE-Id": "canary-own"}}
    made = await make_destination(ada, URL, key="own", **own)
    path = f"/destinations/{made['id']}"

    refused = [
        await ada.post("/destinations", json={"url": URL, **binary, **own}),
        await ada.patch(path, json=binary),
        await ada.put(f"{path}", json={"url": URL, **binary, **own}),
        await ada.put("/destinations/by-key/new", json={"url": URL, **binary, **own}),
        await ada.put("/sets/s", json={"destinations": {"s": {"url": URL, **binary, **own}}}),
    ]
    renamed = await ada.patch(path, json={**binary, "headers": {"CE-Id": None, "X-Id": "1"}})
    added = await ada.patch(path, json={"headers": {"ce-id": "1"}})

    places = [places_of(one) for one in (*refused, added)]
    assert places == [["#/headers"]] * 4 + [["#/destinations/s/headers"], ["#/headers"]]
    assert renamed.status_code == 200
    assert renamed.json()["headers"] == {"X-Id": MASK}


async def test_a_given_secret_signs_and_the_one_before_signs_for_a_day(
    ada: httpx.AsyncClient, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await make_destination(ada, URL, secret=ONE, headers={"X-A": "value"})
    path = f"/destinations/{made['id']}"

    same = await ada.patch(path, json={"secret": ONE})
    changed = await ada.patch(path, json={"secret": TWO})
    kept = await ada.put(path, json={"url": URL, "headers": {"X-A": MASK}, "secret": None})
    shown = [await ada.get(path), same, changed, kept]
    wrong = [await ada.patch(path, json={"secret": one}) for one in (TWO[:-1], TWO[6:], 5)]

    assert made["secret"] == ONE
    assert same.json()["updated_at"] == made["updated_at"]
    assert (changed.json()["secret"], changed.json()["headers"]) == (None, {"X-A": MASK})
    secret = (await ada.get(f"{path}/secret")).json()
    assert secret["secret"] == TWO
    assert secret["previous_secret_until"] > made["created_at"]
    assert [places_of(one) for one in wrong] == [["#/secret"]] * 3
    audited = await database.fetch("SELECT before, after FROM audit_entries")
    texts = [one.text for one in [*shown, *wrong]]
    for text in [str([*map(list, audited)]), capsys.readouterr().out, *texts]:
        assert not [one for one in (ONE[6:], TWO[6:]) if one in text]


async def test_another_origin_keeps_no_secret_and_takes_a_given_one(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_destination(ada, URL, secret=ONE, headers={"X-A": "value"})
    path = f"/destinations/{made['id']}"

    away = (await ada.patch(path, json={"url": ELSEWHERE + "/{{ data.id }}"})).json()
    back = (await ada.patch(path, json={"url": URL, "secret": TWO})).json()

    assert (away["headers"], away["url"]) == ({}, ELSEWHERE + "/{{ data.id }}")
    assert away["secret"] not in {None, ONE}
    Webhook(away["secret"])
    assert "there is a new signing secret" in away["warnings"][0]
    assert (back["secret"], len(back["warnings"])) == (None, 1)
    shown = (await ada.get(f"{path}/secret")).json()
    assert shown == {"secret": TWO, "previous_secret_until": None}


async def test_a_set_has_forms_and_secrets_and_shows_no_secret(ada: httpx.AsyncClient) -> None:
    member = {"url": URL, "headers": {"X-A": "value"}, "secret": ONE, **TEMPLATED}
    file = {"destinations": {"crm": member}, "triggers": {}}
    made = await put_set(ada, "one", file)

    again = await put_set(ada, "one", file)
    shown = await get_set(ada, "one")
    sent_back = await plan_set(ada, "one", shown)
    renewed = file | {"destinations": {"crm": member | {"secret": TWO}}}
    planned = [await plan_set(ada, "one", renewed), await plan_set(ada, "one", renewed | {})]
    other = file | {"destinations": {"crm": member | {"secret": THREE}}}
    third = await plan_set(ada, "one", other)
    changed = await put_set(ada, "one", renewed)
    bad = file | {"destinations": {"crm": member | {"template": "{{ data.a"}}}
    worse = file | {"destinations": {"crm": {"url": URL, "template": "{}"}}}
    refused = [await ada.put("/sets/one", json=one) for one in (bad, worse)]

    [created] = made["create"]
    assert created["secret"] is None
    assert (again["unchanged"], sent_back["unchanged"]) == (1, 1)
    assert shown["destinations"]["crm"] == TEMPLATED | {"url": URL, "headers": {"X-A": MASK}}
    [update] = changed["update"]
    assert update["changes"] == [{"pointer": "#/destinations/crm/secret", "from": MASK, "to": MASK}]
    assert update["secret"] is None
    assert len({one["digest"] for one in (*planned, changed)}) == 1 != third["digest"]
    assert [places_of(one) for one in refused] == [["#/destinations/crm/template"]] * 2
    assert (await ada.get(f"/destinations/{created['id']}/secret")).json()["secret"] == TWO


async def test_older_versions_claim_nothing_for_what_they_cannot_send(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_destination(ada, URL, format="payload", max_concurrency=7)
    path, stored = f"/destinations/{made['id']}", "SELECT max_concurrency FROM destinations"
    seen = [await database.fetchval(stored)]
    for patch in (
        {"max_concurrency": 8},
        {"format": "cloudevents"},
        {"url": URL + "/{{ data.id }}"},
        {"url": URL},
        {"method": "PUT"},
    ):
        assert (await ada.patch(path, json=patch)).status_code == 200
        seen.append(await database.fetchval(stored))

    limits = {"max_concurrency": -8, "in_flight": 0, "held_until": None}
    probing = CircuitBreaker(window=1)
    slots = [
        free_slots(one, None, now=None, **limits)  # type: ignore[arg-type]
        for one in (CircuitBreaker(), probing)
    ]

    assert seen == [-7, -8, 8, -8, 8, -8]
    assert slots == [0, 0]
    assert (await read_destination(ada, made["id"]))["max_concurrency"] == 8
    entries = await database.fetch("SELECT before, after FROM audit_entries")
    assert not [one for one in entries if '"max_concurrency": -' in str([*one])]
