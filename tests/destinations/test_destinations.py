"""Destinations over HTTP: made, read, changed, rotated, disabled; their secrets stay secret."""

from typing import Any

import httpx
import pytest
from svix.webhooks import Webhook

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.destinations.lifecycle import KeyRotation, rotate_keys
from event_trigger.vault import Vault
from event_trigger.web.mask import MASK
from tests.support.databases import connect
from tests.support.destinations import make_destination, read_destination
from tests.support.logs import plain_logs
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import ADA, SECRET, Service, running_service

URL = "https://1.1.1.1/hook"
CANARY = "canary-7f3a9b"


async def test_a_destination_is_read_as_it_was_made_but_for_its_secrets(
    ada: httpx.AsyncClient,
) -> None:
    answer = await ada.post(
        "/destinations",
        json={
            "url": URL,
            "description": "Billing",
            "headers": {"Authorization": f"Bearer {CANARY}"},
            "timeout": 5,
            "rate_limit": 2.5,
            "max_concurrency": 3,
        },
    )

    made = answer.json()
    secret = made.pop("secret")
    assert answer.headers["location"] == f"/destinations/{made['id']}"
    assert made == {
        "id": made["id"],
        "key": None,
        "url": URL,
        "format": "cloudevents",
        "method": "POST",
        "template": None,
        "content_type": None,
        "subject": None,
        "description": "Billing",
        "headers": {"Authorization": MASK},
        "client_certificate": None,
        "timeout": 5,
        "rate_limit": 2.5,
        "max_concurrency": 3,
        "notices": [],
        "all_projects": False,
        "status": "enabled",
        "disabled_reason": None,
        "state": "closed",
        "failures": 0,
        "held_until": None,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert await read_destination(ada, made["id"]) == made
    assert (await ada.get("/destinations")).json() == [made]
    assert secret.startswith("whsec_")
    Webhook(secret)
    shown = (await ada.get(f"/destinations/{made['id']}/secret")).json()
    assert shown == {"secret": secret, "previous_secret_until": None}


async def test_absent_fields_have_defaults(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL)

    assert (made["timeout"], made["rate_limit"], made["max_concurrency"]) == (15, None, 10)
    assert (made["headers"], made["description"]) == ({}, None)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"url": "ftp://example.com/"}, "#/url"),
    ({"url": "https://example.com/a b"}, "#/url"),
    ({"url": "https://example.com/" + "a" * 2048}, "#/url"),
    ({"url": "http://example.com/hook"}, "#/url"),
    ({"url": "http://1.1.1.1/hook"}, "#/url"),
    ({"url": "https://example.com:99999/"}, "#/url"),
    ({"url": None}, "#/url"),
    ({"url": 5}, "#/url"),
    ({"timeout": 0.5}, "#/timeout"),
    ({"timeout": 31}, "#/timeout"),
    ({"timeout": "5"}, "#/timeout"),
    ({"rate_limit": 0}, "#/rate_limit"),
    ({"rate_limit": True}, "#/rate_limit"),
    ({"max_concurrency": 0}, "#/max_concurrency"),
    ({"max_concurrency": 101}, "#/max_concurrency"),
    ({"max_concurrency": 1.5}, "#/max_concurrency"),
    ({"description": "x" * 501}, "#/description"),
    ({"headers": {"Host": "x"}}, "#/headers"),
    ({"headers": {"content-type": "x"}}, "#/headers"),
    ({"headers": {"Webhook-Id": "x"}}, "#/headers"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "#/headers"),
    ({"headers": {"a b": "x"}}, "#/headers"),
    ({"headers": {"": "x"}}, "#/headers"),
    ({"headers": {"X": "a\r\nY: b"}}, "#/headers"),
    ({"headers": {"X": "ü"}}, "#/headers"),
    ({"headers": {"X": ""}}, "#/headers"),
    ({"headers": {"X": MASK}}, "#/headers"),
    ({"headers": {"X": "a", "x": "b"}}, "#/headers"),
    ({"headers": {f"X-{n}": "a" for n in range(21)}}, "#/headers"),
    ({"headers": {"X": "a" * 9000}}, "#/headers"),
    ({"headers": {"X": 5}}, "#/headers/X"),
    ({"secret": "whsec_AAAA"}, "#/secret"),
    ({"secret": "A" * 32}, "#/secret"),
    ({"secret": "whsec_" + "A" * 88}, "#/secret"),
    ({"secret": "whsec_" + "A" * 31 + "!"}, "#/secret"),
    ({"url": "https://{{ data.host }}/"}, "#/url"),
    ({"url": "https://1.1.1.1{{ data.path }}"}, "#/url"),
    ({"url": "https://1.1.1.1/{{ data.id"}, "#/url"),
    ({"url": "https://1.1.1.1/../{{ data.id }}"}, "#/url"),
    ({"format": "xml"}, "#/format"),
    ({"format": "template"}, "#/template"),
    ({"template": "{}"}, "#/template"),
    ({"format": "template", "template": "", "method": "PUT"}, "#/template"),
    ({"format": "template", "template": "x" * 16_385}, "#/template"),
    ({"format": "template", "template": "{}", "method": "DELETE"}, "#/template"),
    ({"format": "template", "template": "{{ data.a"}, "#/template"),
    ({"format": "template", "template": "{}", "content_type": "json"}, "#/content_type"),
    ({"content_type": "text/plain"}, "#/content_type"),
    ({"method": "HEAD"}, "#/method"),
    ({"method": "post"}, "#/method"),
    ({"unknown": 1}, "#/unknown"),
]


async def test_an_invalid_destination_is_refused_and_nothing_is_changed(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_destination(ada, URL)
    for change, place in REFUSED:
        refused = await ada.post("/destinations", json={"url": URL, **change})
        unchanged = await ada.patch(f"/destinations/{made['id']}", json=change)

        assert places_of(refused) == places_of(unchanged) == [place], change
    made.pop("secret")
    assert await read_all(ada, "/destinations") == [made]


async def test_null_in_a_patch_is_the_default(ada: httpx.AsyncClient) -> None:
    made = await make_destination(
        ada, URL, timeout=5, rate_limit=2, max_concurrency=3, description="d", headers={"X": "y"}
    )
    fields = ("timeout", "rate_limit", "max_concurrency", "description", "headers")

    answer = await ada.patch(f"/destinations/{made['id']}", json=dict.fromkeys(fields))

    assert [answer.json()[one] for one in fields] == [15, None, 10, None, {}]


async def test_a_patch_merges_headers_without_looking_at_their_case(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_destination(ada, URL, headers={"X-One": "1", "X-Two": "2"})

    answer = await ada.patch(
        f"/destinations/{made['id']}",
        json={"headers": {"x-one": "one", "X-TWO": None, "X-Three": "3"}, "description": "d"},
    )

    assert answer.status_code == 200
    changed = answer.json()
    assert changed["headers"] == {"x-one": MASK, "X-Three": MASK}
    assert (changed["description"], changed["url"]) == ("d", URL)
    assert changed["updated_at"] > made["updated_at"]
    emptied = await ada.patch(f"/destinations/{made['id']}", json={"headers": None})
    assert emptied.json()["headers"] == {}


async def test_headers_cannot_be_patched_beyond_their_number(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL, headers={f"A-{n}": "a" for n in range(20)})

    answer = await ada.patch(f"/destinations/{made['id']}", json={"headers": {"B": "b"}})

    assert places_of(answer) == ["#/headers"]


async def test_disabling_and_enabling_twice_is_doing_it_once(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL)
    for action, status in (("disable", "disabled"), ("enable", "enabled")):
        for _ in range(2):
            answer = await ada.post(f"/destinations/{made['id']}/{action}")
            assert (answer.status_code, answer.json()["status"]) == (200, status)


async def test_a_deleted_destination_is_gone(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL)

    assert (await ada.delete(f"/destinations/{made['id']}")).status_code == 204

    problem_of(await ada.delete(f"/destinations/{made['id']}"), 404)
    assert (await ada.get("/destinations")).json() == []


async def test_pages_show_each_destination_once(ada: httpx.AsyncClient) -> None:
    made = [(await make_destination(ada, URL))["id"] for _ in range(5)]

    page = await ada.get("/destinations", params={"limit": 2})
    found = [one["id"] for one in page.json()]
    while "next" in page.links:
        page = await ada.get(page.links["next"]["url"])
        found += [one["id"] for one in page.json()]

    assert found == made[::-1]


async def test_somebody_elses_destination_looks_like_none(
    ada: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    overseer: httpx.AsyncClient,
) -> None:
    made = await make_destination(ada, URL)
    span = {"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"timeout": 5}),
        ("DELETE", "", None),
        ("POST", "/disable", None),
        ("POST", "/enable", None),
        ("GET", "/secret", None),
        ("POST", "/rotate-secret", None),
        ("POST", "/test", None),
        ("POST", "/redeliver", span),
    ):
        hers = await bob.request(method, f"/destinations/{made['id']}{path}", json=body)
        none = await bob.request(method, f"/destinations/{10**9}{path}", json=body)
        nobodys = await admin.request(method, f"/destinations/{10**9}{path}", json=body)
        assert problem_of(hers, 404) == problem_of(none, 404) == problem_of(nobodys, 404)
    assert (await bob.get("/destinations")).json() == []
    secret = made.pop("secret")
    assert await read_destination(overseer, made["id"]) == made
    assert (await overseer.get(f"/destinations/{made['id']}/secret")).json()["secret"] == secret


async def test_secrets_are_neither_in_the_database_nor_in_the_logs(
    ada: httpx.AsyncClient, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with plain_logs():
        made = await make_destination(ada, URL, headers={"X-Key": CANARY})
        await ada.post(f"/destinations/{made['id']}/rotate-secret")
        shown = (await ada.get(f"/destinations/{made['id']}/secret")).json()["secret"]

    row = await database.fetchrow("SELECT * FROM destinations")
    stored = repr(dict(row)) + bytes(row["sealed"]).decode("latin-1")
    said = "".join(capsys.readouterr())
    for secret in (CANARY, made["secret"], shown):
        assert secret not in stored
        assert secret.removeprefix("whsec_") not in stored
        assert secret not in said


async def test_keys_are_replaced_without_anybody_noticing(service: Service) -> None:
    ada = service.client(ADA)
    made = await make_destination(ada, URL, headers={"X-Key": "k"})
    engine = create_engine(service.database_url)
    new = "another-key-" * 4
    done = await rotate_keys(create_sessions(engine), Vault(new, SECRET))
    again = await rotate_keys(create_sessions(engine), Vault(new, SECRET))
    await engine.dispose()
    async with running_service(service.database_url, encryption_key=new) as renewed:
        shown = await renewed.client(ADA).get(f"/destinations/{made['id']}/secret")

    assert (done, again) == (KeyRotation(1, []), KeyRotation(0, []))
    assert shown.json()["secret"] == made["secret"]


async def test_an_unreadable_secret_keeps_no_other_from_a_new_key(service: Service) -> None:
    ada = service.client(ADA)
    lost, other = [(await make_destination(ada, URL))["id"] for _ in range(2)]
    database = await connect(service.database_url)
    await database.execute("UPDATE destinations SET key_id = 'lost' WHERE id = $1", lost)
    await database.close()
    engine, new = create_engine(service.database_url), "another-key-" * 4

    done = await rotate_keys(create_sessions(engine), Vault(new, SECRET))

    await engine.dispose()
    assert done == KeyRotation(1, [lost])
    async with running_service(service.database_url, encryption_key=new) as renewed:
        shown = await renewed.client(ADA).get(f"/destinations/{other}/secret")
    assert shown.status_code == 200


async def test_destinations_are_found_by_key_status_and_state(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    closed, opened, recovering = [(await make_destination(ada, URL))["id"] for _ in range(3)]
    await ada.post(f"/destinations/{closed}/disable")
    change = 'UPDATE destinations SET key = $2, failures = $3, "window" = $4 WHERE id = $1'
    await database.execute(change, opened, "k", 5, 1)
    await database.execute(change, recovering, None, 0, 2)

    async def ids(client: httpx.AsyncClient, **filters: Any) -> list[int]:
        return [one["id"] for one in await read_all(client, "/destinations", **filters)]

    for client in (ada, overseer):
        assert await ids(client, key="k") == [opened]
        assert await ids(client, status="disabled") == [closed]
        assert await ids(client, status="enabled", limit=1) == [recovering, opened]
        assert await ids(client, state="closed") == [closed]
        assert await ids(client, state="open") == [opened]
        assert await ids(client, state="recovering", key="x") == []
        assert await ids(client, state="recovering") == [recovering]
    for name in ("status", "state"):
        assert places_of(await ada.get("/destinations", params={name: "gone"})) == [name]


async def test_a_destination_is_tested_and_its_secret_replaced_by_key(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    made = await make_destination(ada, URL, key="billing")
    by_key = "/destinations/by-key/billing"

    read = await ada.get(f"{by_key}/secret")
    rotated = await ada.post(f"{by_key}/rotate-secret")
    tested = await ada.post(f"{by_key}/test")
    none = [
        await ada.request(method, f"/destinations/by-key/none/{action}")
        for method, action in (("GET", "secret"), ("POST", "rotate-secret"), ("POST", "test"))
    ]

    assert read.json()["secret"] == made["secret"]
    by_id = (await ada.get(f"/destinations/{made['id']}/secret")).json()
    assert rotated.json() == by_id
    assert by_id["secret"] != made["secret"]
    assert (tested.status_code, tested.json()["status_code"]) == (200, None)
    assert [one.status_code for one in none] == [404] * 3
    audited = await admin.get("/audit", params={"action": "get_destination_secret_by_key"})
    assert [one["target_id"] for one in audited.json()] == [made["id"]]
