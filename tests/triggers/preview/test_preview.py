"""A preview says when a schedule will fire, and stores nothing."""

from typing import Any

import httpx
import pytest

from event_trigger.triggers.schedule.zone_rules import zone_rules
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import make_api, make_scheduled, read

BERLIN = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
MINUTELY = {"interval": 1, "recurring": True}
SOON, LATER = "2027-01-01T00:00:00Z", "2027-12-31T23:59:59Z"


@pytest.fixture
def ada(idle: Service) -> httpx.AsyncClient:
    return idle.client(ADA)


async def preview(client: httpx.AsyncClient, details: Any, **more: Any) -> dict[str, Any]:
    answer = await client.post("/schedules/preview", json={"details": details, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def schedule_of(client: httpx.AsyncClient, trigger_id: int, **query: Any) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{trigger_id}/schedule", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("zone", "after", "first"),
    [
        ("America/Vancouver", "2026-12-01T00:00:00Z", "2026-12-01T16:00:00Z"),
        ("America/Edmonton", "2026-12-01T00:00:00Z", "2026-12-01T15:00:00Z"),
        ("America/Winnipeg", "2026-12-01T00:00:00Z", "2026-12-01T14:00:00Z"),
        ("America/Havana", "2026-12-01T00:00:00Z", "2026-12-01T13:00:00Z"),
        ("Africa/Casablanca", "2026-12-01T00:00:00Z", "2026-12-01T09:00:00Z"),
        ("Africa/El_Aaiun", "2026-12-01T00:00:00Z", "2026-12-01T09:00:00Z"),
    ],
)
async def test_the_newest_zone_rules_count(
    ada: httpx.AsyncClient, zone: str, after: str, first: str
) -> None:
    found = await preview(ada, {"cron": "0 9 * * *", "timezone": zone}, after=after, count=1)

    assert found["instants"][0]["at"] == first
    assert found["zone_rules"] >= "2026f"


async def test_a_schedule_is_shown_before_it_happens(ada: httpx.AsyncClient) -> None:
    window = {"from": "2027-03-27T12:00:00Z"}
    found = await preview(ada, BERLIN, count=2, **window)
    trigger = await make_scheduled(ada, BERLIN)

    assert found == {
        "words": "At 02:30 every day, Europe/Berlin",
        "timezone": "Europe/Berlin",
        "zone_rules": zone_rules().version,
        "instants": [
            {
                "at": "2027-03-28T01:00:00Z",
                "local": "2027-03-28T03:00:00+02:00",
                "note": "02:30 does not exist on 2027-03-28: the clocks go forward from 02:00 to"
                " 03:00, when it fires instead.",
            },
            {
                "at": "2027-03-29T00:30:00Z",
                "local": "2027-03-29T02:30:00+02:00",
                "note": None,
            },
        ],
        "total": None,
        "warnings": [],
    }
    assert await schedule_of(ada, trigger["id"], count=2, **window) == found
    assert len((await ada.get("/triggers")).json()) == 1


async def test_a_triggers_schedule_begins_with_its_next_instant(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {"cron": "*/5 * * * *"})

    found = await schedule_of(ada, made["id"])

    assert len(found["instants"]) == 10
    assert found["instants"][0]["at"] == made["next_fire_at"]
    assert (await read(ada, made["id"]))["next_fire_at"] == made["next_fire_at"]


async def test_a_year_is_counted_and_its_first_instants_shown(ada: httpx.AsyncClient) -> None:
    details = {"cron": "0 9 * * mon-fri"}

    year = await preview(ada, details, **{"from": SOON, "until": LATER, "count": 1})
    none = await preview(ada, {"cron": "0 0 29 2 *"}, **{"from": SOON, "until": LATER})

    assert (year["total"], len(year["instants"])) == (261, 1)
    assert (none["total"], none["instants"]) == (0, [])


async def test_from_and_until_are_inclusive_and_after_is_not(ada: httpx.AsyncClient) -> None:
    details, at = {"cron": "@daily"}, "2027-01-02T00:00:00Z"

    inclusive = await preview(ada, details, **{"from": SOON, "until": at})
    exclusive = await preview(ada, details, after=SOON, until=at)

    assert [one["at"] for one in inclusive["instants"]] == [SOON, at]
    assert [one["at"] for one in exclusive["instants"]] == [at]
    assert (inclusive["total"], exclusive["total"]) == (2, 1)


async def test_max_fires_ends_the_list(ada: httpx.AsyncClient, database: Any) -> None:
    details = {**MINUTELY, "max_fires": 3}
    made = await make_scheduled(ada, details)
    await database.execute("UPDATE triggers SET scheduled_count = 1")

    whole = await preview(ada, details)
    left = await schedule_of(ada, made["id"], until="2027-01-01T00:00:00Z")
    later = await preview(ada, details, after="2030-01-01T00:00:00Z")

    assert len(whole["instants"]) == 3
    assert (len(left["instants"]), left["total"]) == (2, 2)
    assert later["instants"] == []


async def test_what_will_not_fire_by_itself_has_no_instants(ada: httpx.AsyncClient) -> None:
    completed = await make_scheduled(ada, {"time": "2025-03-13T10:00:00Z"})
    called = await make_api(ada)
    paused = await make_scheduled(ada, BERLIN)
    await ada.post(f"/triggers/{paused['id']}/pause")

    assert await schedule_of(ada, completed["id"]) == {
        "words": "Once, at 2025-03-13T10:00:00Z",
        "timezone": "UTC",
        "zone_rules": None,
        "instants": [],
        "total": None,
        "warnings": [],
    }
    assert (await schedule_of(ada, called["id"]))["words"] == called["words"]
    assert called["words"] == "When it is called"
    assert len((await schedule_of(ada, paused["id"], count=3))["instants"]) == 3


async def test_a_single_instant_is_local_in_the_timezone_beside_it(ada: httpx.AsyncClient) -> None:
    details = {"time": "2099-03-31T09:00:00+02:00", "timezone": "america/new_york"}

    found = await preview(ada, details)
    trigger = await make_scheduled(ada, details)

    assert found["words"] == "Once, at 2099-03-31T07:00:00Z"
    assert (found["timezone"], found["zone_rules"]) == ("America/New_York", zone_rules().version)
    assert [one["local"] for one in found["instants"]] == ["2099-03-31T03:00:00-04:00"]
    assert await schedule_of(ada, trigger["id"]) == found


async def test_what_cannot_be_shown_is_refused_and_says_where(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada)
    for body, place in (
        ({"details": {"cron": "0 0 30 2 *"}}, "#/details/cron"),
        ({"details": {"cron": f"{','.join(['1'] * 200_000)} * * * *"}}, "#/details/cron"),
        ({"details": {"cron": "@daily", "timezone": "Mars/Olympus"}}, "#/details/timezone"),
        ({"details": {}}, "#/details"),
        ({"details": {"cron": "@daily", "hook": {}}}, "#/details/hook"),
        ({"details": MINUTELY, "count": 0}, "#/count"),
        ({"details": MINUTELY, "count": 1001}, "#/count"),
        ({"details": MINUTELY, "after": SOON, "from": SOON}, "#/from"),
        ({"details": MINUTELY, "after": "9000-01-01T00:00:00Z"}, "#/after"),
        ({"details": MINUTELY, "from": "1970-01-01T00:00:00Z"}, "#/from"),
        ({"details": MINUTELY, "until": "9000-01-01T00:00:00Z"}, "#/until"),
        ({"details": MINUTELY, "from": LATER, "until": SOON}, "#/until"),
        ({"details": MINUTELY, "now": SOON}, "#/now"),
        ({}, "#/details"),
    ):
        answer = await ada.post("/schedules/preview", json=body)

        assert places_of(answer) == [place], body
    for query, place in (
        ({"count": 1001}, "count"),
        ({"after": "soon"}, "after"),
        ({"after": SOON, "from": SOON}, "from"),
        ({"until": "9000-01-01T00:00:00Z"}, "until"),
        ({"after": LATER, "until": SOON}, "until"),
        ({"until": "2026-01-01T00:00:00Z"}, "until"),
    ):
        answer = await ada.get(f"/triggers/{made['id']}/schedule", params=query)

        assert places_of(answer) == [place], query


async def test_a_schedule_is_its_owners_alone(idle: Service, ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada)
    bob = idle.client(BOB)

    theirs = problem_of(await bob.get(f"/triggers/{made['id']}/schedule"), 404)
    nobodys = problem_of(await bob.get("/triggers/999999/schedule"), 404)

    assert theirs == nobodys
    assert (await idle.client().post("/schedules/preview", json={})).status_code == 401


async def test_far_and_rare_instants_are_found(ada: httpx.AsyncClient) -> None:
    leap = await preview(ada, {"cron": "0 0 29 2 *"}, count=1000)
    last = await preview(ada, {"time": "9000-12-31T23:59:59Z"})

    assert len(leap["instants"]) == 1000
    assert [one["at"] for one in last["instants"]] == ["9000-12-31T23:59:59Z"]
