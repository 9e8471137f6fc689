"""A trigger shows its schedules so far, and its changes with their authors."""

from typing import Any

import httpx

from event_trigger.models import ProjectRole
from event_trigger.triggers.schedule.zone_rules import zone_rules
from tests.support.calendars import put_calendar
from tests.support.keys import make_key
from tests.support.memberships import add_project
from tests.support.problems import problem_of
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import change, make_api, make_scheduled


async def versions(client: httpx.AsyncClient, trigger_id: int) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{trigger_id}/versions")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_each_schedule_and_each_change_is_shown_with_its_author(service: Service) -> None:
    team = await add_project(service, ADA, {BOB: ProjectRole.EDITOR})
    ada, bob = service.client(ADA, project=team), service.client(BOB, project=team)
    trigger = await make_scheduled(ada, {"cron": "0 9 * * *"}, payload={"room": "secret"})
    key = await make_key(bob, scopes=["triggers:read", "triggers:write"])
    machine = service.client()
    machine.headers["X-API-Key"] = key["key"]
    await change(machine, trigger["id"], {"details": {"cron": "0 10 * * *"}})
    await change(bob, trigger["id"], {"name": "Late", "payload": {"room": "other"}})

    found = await versions(ada, trigger["id"])

    present, past = found["schedules"]
    assert (present["version"], present["words"], present["until"]) == (
        2,
        "At 10:00 every day, UTC",
        None,
    )
    assert past["details"]["cron"] == "0 9 * * *"
    assert (past["until"], past["ended_by"]) == (present["after"], "change")
    assert [(one["action"], one["user_id"], one["key_id"]) for one in found["changes"]] == [
        ("update_trigger", BOB, None),
        ("update_trigger", BOB, key["id"]),
        ("create_trigger", ADA, None),
    ]
    assert found["changes"][0]["before"] == {"name": None}
    assert found["changes"][0]["after"]["name"] == "Late"
    assert "other" not in str(found)
    assert "secret" not in str(found)


async def test_dates_of_a_calendar_end_a_schedule_of_the_same_details(
    ada: httpx.AsyncClient,
) -> None:
    await put_calendar(ada, "closed")
    details = {
        "cron": "0 9 * * *",
        "timezone": "Europe/Berlin",
        "except": [{"calendar": "closed"}],
        "from": "2099-07-01T00:00:00Z",
    }
    trigger = await make_scheduled(ada, details)
    await put_calendar(ada, "closed", "2099-07-01")
    path, query = f"/triggers/{trigger['id']}/explain", {"at": "2099-07-01T07:00:00Z"}

    found = await versions(ada, trigger["id"])

    present, past = found["schedules"]
    assert present["details"] == past["details"]
    assert (present["ended_by"], past["ended_by"]) == (None, "calendar")
    assert present["zone_rules"] == past["zone_rules"] == zone_rules().version
    explained = (await ada.get(path, params=query)).json()
    assert explained["reason"].endswith(
        "its date, 2099-07-01: it is one of the dates of calendar closed."
    )


async def test_an_api_trigger_has_changes_and_no_schedule(ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada)

    found = await versions(ada, trigger["id"])

    assert found["schedules"] == []
    assert len(found["changes"]) == 1


async def test_another_projects_trigger_looks_like_none(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    trigger = await make_scheduled(ada)

    theirs = await bob.get(f"/triggers/{trigger['id']}/versions")
    none = await bob.get("/triggers/987654321/versions")

    assert problem_of(theirs, 404) == problem_of(none, 404)
