"""A set owns calendars, too: they are written before triggers that name them, and removed after."""

from typing import Any

import httpx
import pytest

from event_trigger.calendars import replanning
from tests.support.calendars import ics_file, many_dates, put_calendar
from tests.support.problems import places_of, problem_of
from tests.support.sets import get_set, is_empty, names_in, plan_set, prune_set, put_set
from tests.support.triggers import make_scheduled, read

CHRISTMAS = ics_file("DTSTART:20991224\r\nDTEND:20991227\r\nRRULE:FREQ=YEARLY;COUNT=2")
DAILY = {"cron": "0 9 * * *", "from": "2099-12-24T00:00:00Z"}
FILE: dict[str, Any] = {
    "calendars": {"closed": {"dates": ["2099-12-25", "2099-12-24"]}, "feast": {"ics": CHRISTMAS}},
    "triggers": {
        "report": {
            "type": "scheduled",
            "details": {**DAILY, "except": [{"calendar": "closed"}]},
        }
    },
}


DRY = {"dry_run": "true"}


async def put_closed(client: httpx.AsyncClient, *dates: str, **query: str) -> httpx.Response:
    file = {"calendars": {"closed": {"dates": [*dates]}}}
    return await client.put("/sets/billing", json=file, params=query)


def with_dates(*dates: str, key: str = "closed") -> dict[str, Any]:
    return FILE | {"calendars": FILE["calendars"] | {key: {"dates": [*dates]}}}


async def test_a_set_makes_changes_and_removes_calendars(ada: httpx.AsyncClient) -> None:
    planned = await plan_set(ada, "billing", FILE)
    nothing = (await ada.get("/calendars")).json()
    made = await put_set(ada, "billing", FILE)
    again = await put_set(ada, "billing", FILE)
    shown = await get_set(ada, "billing")
    same = await put_set(ada, "billing", shown)
    listed = (await ada.get("/sets")).json()

    other = with_dates("2099-12-24")
    to_change = await plan_set(ada, "billing", other)
    changed = await put_set(ada, "billing", other)
    trigger = (await ada.get("/triggers/by-key/report")).json()
    refused = await ada.put(
        "/sets/billing", params={"prune": "true"}, json={"triggers": FILE["triggers"]}
    )
    pruned = await prune_set(ada, "billing", {})

    assert names_in(planned["create"]) == ["calendar/closed", "calendar/feast", "trigger/report"]
    assert planned["create"][2]["next_fire_at"] == "2099-12-26T09:00:00Z"
    assert nothing == []
    assert [one["id"] is not None for one in made["create"]] == [True] * 3
    assert made["digest"] == planned["digest"]
    assert is_empty(again)
    assert is_empty(same)
    assert shown["calendars"] == {
        "closed": {"dates": ["2099-12-24", "2099-12-25"]},
        "feast": {"ics": CHRISTMAS},
    }
    assert listed[0]["calendars"] == 2
    assert names_in(to_change["update"]) == ["calendar/closed"]
    assert to_change["digest"] == changed["digest"]
    assert trigger["next_fire_at"] == "2099-12-25T09:00:00Z"
    assert places_of(refused) == ["#/triggers/report/details/except/0/calendar"]
    assert len(pruned["remove"]) == 3
    assert (await ada.get("/calendars")).json() == []


async def test_a_trigger_and_its_calendar_change_at_once(ada: httpx.AsyncClient) -> None:
    await put_set(ada, "billing", FILE)
    file = with_dates("2099-12-24", "2099-12-26", key="other")
    file["calendars"]["closed"] = {"dates": ["2099-12-24"]}
    named = [{"calendar": "closed"}, {"calendar": "other"}]
    file["triggers"] = {"report": {"type": "scheduled", "details": {**DAILY, "except": named}}}
    file["triggers"]["report"]["details"]["cron"] = "30 9 24,26,27 * *"

    planned = await plan_set(ada, "billing", file)
    done = await put_set(ada, "billing", file)

    [update] = [one for one in planned["update"] if one["kind"] == "trigger"]
    [applied] = [one for one in done["update"] if one["kind"] == "trigger"]
    assert update["next_fire_at"] == applied["next_fire_at"] == "2099-12-27T09:30:00Z"
    assert planned["moves"] == done["moves"] == []
    assert is_empty(await put_set(ada, "billing", file))


async def test_a_plan_shows_the_triggers_that_a_changed_calendar_moves(
    ada: httpx.AsyncClient,
) -> None:
    closed = {**DAILY, "except": [{"calendar": "closed"}]}
    await put_set(ada, "billing", FILE)
    outside = await make_scheduled(ada, closed | {"spread": "PT1H"})
    paused = await make_scheduled(ada, closed)
    await ada.post(f"/triggers/{paused['id']}/pause")
    over = await make_scheduled(ada, closed | {"until": "2099-12-26T00:00:00Z"})
    await make_scheduled(ada, closed | {"from": "2100-01-01T00:00:00Z"})
    other = with_dates("2099-12-24")

    planned = await plan_set(ada, "billing", other)
    done = await put_set(ada, "billing", other)
    moved = [await read(ada, one["id"]) for one in done["moves"]]

    report, spread, ended = planned["moves"]
    assert report == {
        "id": report["id"],
        "key": "report",
        "from": "2099-12-26T09:00:00Z",
        "to": "2099-12-25T09:00:00Z",
    }
    assert (spread["id"], spread["key"]) == (outside["id"], None)
    assert spread["from"] == outside["next_fire_at"]
    assert (ended["id"], ended["from"], ended["to"]) == (over["id"], None, "2099-12-25T09:00:00Z")
    assert done["moves"] == planned["moves"]
    assert [one["to"] for one in planned["moves"]] == [one["next_fire_at"] for one in moved]
    assert planned["unchanged"] == 2
    assert (await put_set(ada, "billing", other))["moves"] == []


async def test_a_plan_is_refused_where_its_calendars_cannot_be_planned(
    ada: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, year in (("a", 2110), ("b", 2120)):
        await put_calendar(ada, key, *many_dates(year))
    await put_set(ada, "billing", {"calendars": {"closed": {"dates": []}}})
    named = [{"calendar": key} for key in ("a", "b", "closed")]
    full = await make_scheduled(ada, {**DAILY, "except": named})

    plan, apply = [await put_closed(ada, "2099-12-24", **query) for query in (DRY, {})]
    await ada.delete(f"/triggers/{full['id']}")
    for _ in range(2):
        await make_scheduled(ada, {**DAILY, "except": [{"calendar": "closed"}]})
    monkeypatch.setattr(replanning, "MOST_TRIGGERS", 1)
    plan_of_many, apply_of_many = [
        await put_closed(ada, "2099-12-24", **query) for query in (DRY, {})
    ]

    assert str(full["id"]) in problem_of(plan, 422)["detail"]
    assert problem_of(apply, 422) == problem_of(plan, 422)
    assert "too long to plan" in problem_of(plan_of_many, 422)["detail"]
    assert problem_of(apply_of_many, 422) == problem_of(plan_of_many, 422)


async def test_calendars_of_others_are_left_alone_and_those_in_use_stay(
    ada: httpx.AsyncClient,
) -> None:
    await put_calendar(ada, "closed", "2099-12-24")
    differs = await ada.put("/sets/billing", json=FILE)
    await put_calendar(ada, "closed", "2099-12-24", "2099-12-25")
    adopted = await put_set(ada, "billing", FILE)
    other = await make_scheduled(ada, {**DAILY, "except": [{"calendar": "feast"}]})
    in_use = await ada.put("/sets/billing", params={"prune": "true"}, json={})
    kept = await ada.delete("/sets/billing")
    await ada.delete(f"/triggers/{other['id']}")
    gone = await ada.delete("/sets/billing")

    assert places_of(differs, 409) == ["#/calendars/closed"]
    assert names_in(adopted["adopt"]) == ["calendar/closed"]
    assert str(other["id"]) in problem_of(in_use, 409)["detail"]
    assert problem_of(kept, 409)["type"].endswith("calendar-in-use")
    assert gone.status_code == 204
    assert (await ada.get("/calendars")).json() == []


async def test_bad_calendars_of_a_file_are_refused_with_their_places(
    ada: httpx.AsyncClient,
) -> None:
    bad = {
        "a": {"dates": ["2099-02-30"]},
        "b": {"ics": "hello"},
        "c": {},
        "d": {"dates": [], "name": "x"},
        "holidays": {"dates": []},
    }

    refused = [await ada.put("/sets/x", json={"calendars": {key: bad[key]}}) for key in bad]
    unknown = {**DAILY, "except": [{"calendar": "nobodys"}]}
    missing = await ada.put(
        "/sets/x", json={"triggers": {"t": {"type": "scheduled", "details": unknown}}}
    )

    assert [places_of(one) for one in refused] == [
        ["#/calendars/a/dates/0"],
        ["#/calendars/b/ics"],
        ["#/calendars/c"],
        ["#/calendars/d/name"],
        ["#/calendars/holidays"],
    ]
    assert places_of(missing) == ["#/triggers/t/details/except/0/calendar"]


async def test_the_rules_of_all_calendars_of_a_file_are_limited_together(
    ada: httpx.AsyncClient,
) -> None:
    starts = [f"DTSTART:202601{one:02}\r\nRRULE:FREQ=DAILY" for one in range(1, 9)]
    half = ics_file(*starts)
    file = {"calendars": {"a": {"ics": half}, "b": {"ics": half + "\r\n"}, "c": {"dates": []}}}

    refused = await ada.put("/sets/billing", json=file)

    assert places_of(refused) == ["#/calendars/b/ics"]
    assert is_empty(await plan_set(ada, "billing", {}))
