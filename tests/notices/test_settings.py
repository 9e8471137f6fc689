"""A destination says what it hears of; only admins let one hear of all projects."""

import json
from typing import Any

import httpx
import pytest

from tests.notices.test_exhausted import EXHAUSTED, make_failing
from tests.support.destinations import fire, make_destination, read_destination, until_finished
from tests.support.notices import CHAT, list_notices, make_listener, notice_in, until_told
from tests.support.problems import places_of, problem_of
from tests.support.receiver import Receiver
from tests.support.services import ADA, ADMIN, BOB, Service

CHAT_FORM = {"format": "template", "template": CHAT}


async def test_kinds_are_read_back_in_their_order_and_can_be_changed(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_listener(ada, receiver, "key.expiring", EXHAUSTED, "key.expiring")
    path = f"/destinations/{made['id']}"

    assert made["notices"] == [EXHAUSTED, "key.expiring"]
    patched = await ada.patch(path, json={"notices": ["backlog.full"]})
    assert patched.json()["notices"] == ["backlog.full"]
    again = await ada.put(path, json=(await ada.get(path)).json())
    assert again.json()["notices"] == ["backlog.full"]
    reset = await ada.patch(path, json={"notices": None})
    assert (reset.json()["notices"], reset.json()["all_projects"]) == ([], False)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"notices": ["destination.broken"]}, "#/notices/0"),
        ({"notices": "destination.opened"}, "#/notices"),
        ({"notices": [1]}, "#/notices/0"),
        ({"notices": [EXHAUSTED] * 20}, "#/notices"),
        ({"all_projects": "yes"}, "#/all_projects"),
        ({"notices": [EXHAUSTED], **CHAT_FORM, "template": '{"a": {{ notice.who }}}'}, None),
        ({"notices": [EXHAUSTED], **CHAT_FORM, "template": "{{ notice.message }}"}, None),
        ({**CHAT_FORM}, None),
    ],
)
async def test_wrong_fields_are_refused_at_their_place(
    ada: httpx.AsyncClient, receiver: Receiver, fields: dict[str, Any], place: str | None
) -> None:
    answer = await ada.post("/destinations", json={"url": receiver.url, **fields})

    assert places_of(answer) == [place or "#/template"]


async def test_a_template_is_checked_again_when_its_destination_hears_of_changes(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    template = '{"text": {{ data.text | upcase | json }}, "at": {{ event.scheduled_for.x }}}'
    made = await make_destination(ada, receiver.url, format="template", template='{"a": 1}')

    refused = await ada.patch(
        f"/destinations/{made['id']}", json={"notices": [EXHAUSTED], "template": template}
    )
    patched = await ada.patch(f"/destinations/{made['id']}", json={"notices": [EXHAUSTED]})

    assert places_of(refused) == ["#/template"]
    assert patched.status_code == 200


async def test_a_test_of_a_listening_destination_is_a_sample_of_a_notice(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    chat = await make_listener(ada, receiver, "destination.opened", path="/chat", **CHAT_FORM)
    plain = await make_listener(ada, receiver, "destination.opened", path="/plain")

    for one in (chat, plain):
        answer = await ada.post(f"/destinations/{one['id']}/test")
        assert answer.json()["error"] is None, answer.text
    shown = await ada.post(
        "/destinations/render", json={"destination": chat["id"], "notice": "destination.opened"}
    )
    both = {"destination": chat["id"], "notice": "destination.opened", "data": {}}
    refused = await ada.post("/destinations/render", json=both)

    [sample], [event] = receiver.at("/chat"), receiver.at("/plain")
    assert "does not answer" in json.loads(sample.body)["text"]
    assert json.loads(shown.json()["body"]) == json.loads(sample.body)
    assert notice_in(event)["type"] == "event_trigger.notice.destination.opened"
    assert places_of(refused) == ["#/notice"]


async def test_only_an_admin_lets_a_destination_hear_of_all_projects(
    service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient, receiver: Receiver
) -> None:
    fields = {"url": f"{receiver.url}/told", "notices": [EXHAUSTED], "all_projects": True}
    refused = await ada.post("/destinations", json=fields)
    made = await admin.post("/destinations", json=fields)
    deaf = await admin.post("/destinations", json={**fields, "notices": []})
    members = await admin.post(
        f"/projects/{ADMIN}/members", json={"email": "ada@example.com", "role": "editor"}
    )
    assert members.status_code == 201, members.text

    guest, path = service.client(ADA, project=ADMIN), f"/destinations/{made.json()['id']}"
    moved = await guest.patch(path, json={"url": f"{receiver.url}/mine"})
    unchanged = await guest.patch(path, json={"notices": [EXHAUSTED]})
    in_set = {"destinations": {"ops": fields}}
    planned = await ada.put("/sets/ops", json=in_set)

    assert "admin" in problem_of(refused, 403)["detail"]
    assert (made.status_code, made.json()["all_projects"]) == (201, True)
    assert places_of(deaf) == ["#/all_projects"]
    assert problem_of(moved, 403)
    assert unchanged.status_code == 200
    assert problem_of(planned, 403)
    quiet = await guest.patch(path, json={"all_projects": False})
    assert quiet.json()["all_projects"] is False


async def test_an_admin_hears_of_every_project_until_the_role_ends(
    service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient, receiver: Receiver
) -> None:
    overseeing = service.client(BOB)
    made = await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    assert made.status_code == 200, made.text
    listener = await make_listener(overseeing, receiver, EXHAUSTED, all_projects=True)
    failing, trigger = await make_failing(ada, receiver)
    await fire(ada, trigger)

    [told] = await until_told(receiver)
    assert notice_in(told)["data"]["project_id"] == ADA
    [notice] = await list_notices(overseeing)
    assert (notice["project_id"], await list_notices(ada)) == (ADA, [])
    demoted = await admin.patch(f"/users/{BOB}", json={"role": "user"})
    assert demoted.status_code == 200
    after = await read_destination(overseeing, listener["id"])
    assert (after["all_projects"], after["notices"]) == (False, [EXHAUSTED])
    assert await list_notices(overseeing) == []
    _, another = await make_failing(ada, receiver, "/worse")
    await fire(ada, another)
    await until_finished(ada, 2)
    own, own_trigger = await make_failing(overseeing, receiver, "/own")
    await fire(overseeing, own_trigger)
    _, later = await until_told(receiver, 2)
    assert notice_in(later)["subject"] == f"destinations/{own['id']}"
    assert failing["id"] != own["id"]


async def test_a_set_and_a_deleted_destination_hear_of_what_they_say(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    content = {"destinations": {"ops": {"url": f"{receiver.url}/told", "notices": [EXHAUSTED]}}}
    answer = await ada.put("/sets/ops", json=content)
    assert answer.status_code == 200, answer.text
    shown = await ada.get("/sets/ops")
    again = await ada.put("/sets/ops", params={"dry_run": True}, json=shown.json())
    _, trigger = await make_failing(ada, receiver)

    await fire(ada, trigger)

    [told] = await until_told(receiver)
    assert notice_in(told)["data"]["name"] == "bad"
    assert shown.json()["destinations"]["ops"]["notices"] == [EXHAUSTED]
    assert again.json()["unchanged"] == 1
    assert (await ada.delete("/destinations/by-key/ops")).status_code == 204
    assert await database.fetchval("SELECT count(*) FROM notice_listeners") == 0
