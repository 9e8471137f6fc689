"""Each kind of schedule is planned, shown, changed and explained like the others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.downtime import earlier
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import change, instant, make_scheduled, read
from tests.support.waiting import eventually

BERLIN = {"timezone": "europe/BERLIN"}
KINDS: dict[str, dict[str, Any]] = {
    "local-time": {"time": "2099-07-01T09:00", **BERLIN},
    "civil-days": {"time": "2026-01-31T09:00:00", "interval": "P2W", "recurring": True, **BERLIN},
    "civil-months": {
        "time": "2026-01-31T09:00:00Z",
        "interval": "P1M",
        "recurring": True,
        "month_end": "skip",
        **BERLIN,
    },
    "crons": {"cron": ["CRON_TZ=Europe/Berlin 0 9 * * mon-fri", "0 11 * * FRIL"], **BERLIN},
    "cron-tz": {"cron": "CRON_TZ=asia/tokyo 0 9 LW * ?"},
    "rrule": {"rrule": "FREQ=MONTHLY;BYDAY=-1FR", "time": "2026-01-01T09:00", **BERLIN},
    "bounds": {"cron": "0 9 * * *", "from": "2099-01-01T00:00:00Z", "max_fires": 3},
    "except": {"cron": "0 9 * * *", "except": ["2099-12-25", "2099-12-26"]},
    "spread": {"cron": "0 9 * * *", "spread": "PT60M"},
}


@pytest.fixture
async def running(database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url) as service:
        yield service


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


async def preview(client: httpx.AsyncClient, details: Any, **more: Any) -> dict[str, Any]:
    answer = await client.post("/schedules/preview", json={"details": details, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_each_kind_is_planned_as_previewed_and_its_content_again_changes_nothing(
    ada: httpx.AsyncClient,
) -> None:
    for key, details in KINDS.items():
        body = {"type": "scheduled", "details": details}
        path = f"/triggers/by-key/{key}"
        made = await ada.put(path, json=body)
        trigger, tag = made.json(), made.headers["etag"]
        patched = await ada.patch(f"/triggers/{trigger['id']}", json={"details": details})
        sent_back = await ada.put(path, json=trigger)
        shown = (await ada.get(f"/triggers/{trigger['id']}/schedule")).json()
        tried = await preview(ada, details)

        assert made.status_code == 201, made.text
        for again in (await ada.put(path, json=body), patched, sent_back):
            assert (again.status_code, again.headers["etag"]) == (200, tag), key
            assert again.json() == trigger
        assert shown["instants"][0]["at"] == trigger["next_fire_at"]
        if "spread" not in details:
            assert (tried["instants"], tried["words"]) == (shown["instants"], trigger["words"])


async def test_upcoming_firings_are_those_of_each_kind(ada: httpx.AsyncClient) -> None:
    made = [await make_scheduled(ada, details) for details in KINDS.values()]
    until = (datetime.now(UTC) + timedelta(days=100)).isoformat()

    found = (await ada.get("/upcoming", params={"until": until, "limit": 1000})).json()

    for trigger in made:
        path = f"/triggers/{trigger['id']}/schedule"
        shown = (await ada.get(path, params={"until": until, "count": 1000})).json()
        own = [one["at"] for one in found["firings"] if one["trigger_id"] == trigger["id"]]
        assert own == [one["at"] for one in shown["instants"]], trigger["details"]
    assert {one["trigger_id"] for one in found["firings"]} >= {one["id"] for one in made[1:6]}


async def test_details_are_stored_in_one_spelling(ada: httpx.AsyncClient) -> None:
    crons = await make_scheduled(ada, KINDS["crons"])
    cron = await make_scheduled(ada, KINDS["cron-tz"])
    months = await make_scheduled(ada, KINDS["civil-months"])
    bounds = await make_scheduled(ada, KINDS["bounds"])

    assert crons["details"] == {
        "cron": ["0 9 * * mon-fri", "0 11 * * FRIL"],
        "timezone": "Europe/Berlin",
    }
    assert cron["details"] == {"cron": "0 9 LW * ?", "timezone": "Asia/Tokyo"}
    assert months["details"] == {
        **KINDS["civil-months"],
        "time": "2026-01-31T10:00:00",
        "timezone": "Europe/Berlin",
    }
    assert bounds["details"] == KINDS["bounds"]
    assert bounds["next_fire_at"] == "2099-01-01T09:00:00Z"


async def test_what_does_not_go_together_is_refused_with_what_to_write(
    ada: httpx.AsyncClient,
) -> None:
    crons = await make_scheduled(ada, KINDS["cron-tz"])
    every = await make_scheduled(ada, {"interval": 5, "recurring": True, "max_fires": 3})
    for details, place, advice in (
        ({"cron": "@daily", "except": ["2026-02-30"]}, "except/0", "no such date"),
        ({"cron": "@daily", "except": [{"calendar": "A b"}]}, "except/0", "lower-case letters"),
        ({"cron": "@daily", "except": [{"calendar": "x"}]}, "except/0/calendar", "POST /calendars"),
        ({"cron": "* * * * *", "spread": "PT2M"}, "spread", "at most 1 minute, the shortest"),
        ({"cron": "CRON_TZ=PST 0 9 * * *"}, "cron", "America/Los_Angeles"),
        ({"cron": [], "timezone": "UTC"}, "cron", "a list of 1 to 20"),
        ({"cron": "@daily", "month_end": "skip"}, "month_end", "months or years"),
        ({"time": "2099-01-01T09:00"}, "time", "add timezone"),
        ({"interval": "P1M", "recurring": True}, "interval", "needs time and timezone"),
        ({"interval": 5, "except": ["2026-12-25"]}, "except", "set recurring to true"),
    ):
        body = {"type": "scheduled", "details": details}
        created = await ada.post("/triggers", json=body)
        in_set = await ada.put("/sets/a", json={"triggers": {"b": body}})
        tried = await ada.post("/schedules/preview", json={"details": details})

        assert places_of(created) == places_of(tried) == [f"#/details/{place}"], details
        assert places_of(in_set) == [f"#/triggers/b/details/{place}"]
        assert advice in problem_of(created, 422)["detail"]
    for trigger, patch, advice in (
        (crons, {"interval": 5, "recurring": True}, "has cron and timezone from before"),
        (
            crons,
            {"time": "2027-01-01T00:00:00Z", "interval": 90, "recurring": True},
            "has cron and timezone from before",
        ),
        (every, {"cron": "@daily"}, "has interval from before: set it to null"),
        (every, {"interval": "PT3S", "recurring": None}, "has max_fires from before"),
        (
            crons,
            {"rrule": "FREQ=DAILY"},
            "has cron from before: set it to null in details. rrule needs time",
        ),
    ):
        refused = await ada.patch(f"/triggers/{trigger['id']}", json={"details": patch})

        assert advice in problem_of(refused, 422)["detail"]


async def test_warnings_point_out_what_a_line_may_not_mean(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {"cron": "*/40 * * * *"})
    plain = await change(ada, made["id"], {"details": {"cron": "*/20 * * * *"}})
    quartz = await change(ada, made["id"], {"details": {"cron": "0 10 ? * 6L"}})
    spread = await preview(ada, KINDS["spread"])
    local = {"rrule": "FREQ=DAILY", "time": "2099-01-01T09:00:00"}
    in_utc = await make_scheduled(ada, local)
    ended = await preview(ada, {"cron": "@daily", "until": "2020-01-01T00:00:00Z"})

    assert "PT40M" in made["warnings"][0]
    assert (await preview(ada, {"cron": "*/40 * * * *"}))["warnings"] == made["warnings"]
    assert plain["warnings"] == []
    assert "In Quartz" in quartz["warnings"][0]
    assert (await read(ada, made["id"]))["warnings"] == quartz["warnings"]
    assert "These instants are without it." in spread["warnings"][0]
    assert "add timezone" in in_utc["warnings"][0]
    assert (await preview(ada, local))["warnings"] == in_utc["warnings"]
    assert (await preview(ada, {**local, "timezone": "UTC"}))["warnings"] == []
    assert "no instant left" in ended["warnings"][0]


async def test_a_spread_moves_each_trigger_by_a_constant_of_its_own(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = [await make_scheduled(ada, {"cron": "0 9 * * *", "spread": "PT1H"}) for _ in range(3)]
    shifts = [instant(one["next_fire_at"]).replace(second=0) for one in made]
    first = made[0]
    renamed = await change(ada, first["id"], {"name": "n"})
    later = await change(ada, first["id"], {"details": {"cron": "0 10 * * *"}})
    plain = await change(ada, first["id"], {"details": {"spread": None}})
    back = await change(ada, first["id"], {"details": {"cron": "0 9 * * *", "spread": "PT60M"}})
    stored = await database.fetch("SELECT shift_seconds FROM triggers ORDER BY id")
    former = await database.fetch(
        "SELECT shift_seconds FROM schedule_versions WHERE trigger_id = $1 ORDER BY version",
        first["id"],
    )

    constants = [one["shift_seconds"] for one in stored]
    assert len({*constants, *shifts}) > 3
    assert all(0 <= one < 3600 for one in constants)
    for trigger, shift in zip(made, constants, strict=True):
        at = instant(trigger["next_fire_at"]) - timedelta(seconds=shift)
        assert (at.hour, at.minute, at.second) == (9, 0, 0)
    assert renamed["next_fire_at"] == back["next_fire_at"] == first["next_fire_at"]
    moved = instant(later["next_fire_at"]) - instant(first["next_fire_at"])
    assert moved % timedelta(days=1) == timedelta(hours=1)
    assert instant(plain["next_fire_at"]).minute == 0
    assert [one["shift_seconds"] for one in former] == [constants[0], constants[0], None]


async def test_a_time_that_is_just_past_fires_at_once_and_an_older_one_never(
    running: Service,
) -> None:
    ada = running.client(ADA)
    edited = await make_scheduled(ada, {"cron": "0 0 1 1 *"})
    after = ago(seconds=0)
    made = await make_scheduled(ada, {"time": ago(seconds=1)})
    old = await make_scheduled(ada, {"time": ago(seconds=6)})
    await change(ada, edited["id"], {"details": {"cron": None, "time": after}})

    async def fired() -> list[int]:
        return sorted(one["trigger_id"] for one in (await ada.get("/events")).json())

    found = await eventually(fired, lambda seen: len(seen) == 2)
    accounts = [
        (await ada.get(f"/triggers/{one['id']}/accounting")).json() for one in (made, old, edited)
    ]
    assert found == [edited["id"], made["id"]]
    assert [(one["fired"], one["planned"]) for one in accounts] == [(1, 1), (0, 0), (1, 1)]
    assert all(one["balanced"] for one in accounts)
    assert (old["status"], old["next_fire_at"]) == ("completed", None)
    assert "never fires" in old["warnings"][0]


async def test_an_excepted_date_has_no_instant_and_says_why(ada: httpx.AsyncClient) -> None:
    today = datetime.now(UTC).date()
    dates = [(today + timedelta(days=number)).isoformat() for number in range(3)]
    details = {"cron": "0 * * * *", "except": dates, "catch_up": "all"}
    made = await make_scheduled(ada, details)
    at, beside = f"{dates[1]}T09:00:00Z", f"{dates[1]}T09:30:00Z"
    shown = await preview(ada, details, until=f"{dates[2]}T23:59:59Z")

    async def explain(moment: str) -> dict[str, Any]:
        answer = await ada.get(f"/triggers/{made['id']}/explain", params={"at": moment})
        found: dict[str, Any] = answer.json()
        return found

    excepted, other, planned = [await explain(one) for one in (at, beside, made["next_fire_at"])]
    assert made["next_fire_at"] == f"{today + timedelta(days=3)}T00:00:00Z"
    assert (shown["instants"], shown["total"]) == ([], 0)
    assert (excepted["outcome"], excepted["scheduled_for"]) == ("excepted", None)
    assert dates[1] in excepted["reason"]
    assert [other["outcome"], planned["outcome"]] == ["not_scheduled", "pending"]


async def test_resuming_says_what_the_pause_has_taken(
    ada: httpx.AsyncClient, database: Any
) -> None:
    many = await make_scheduled(ada, {"interval": "PT1M", "recurring": True}, key="many")
    once = await make_scheduled(ada, {"interval": "PT1M"})
    none = await make_scheduled(ada, {"cron": "0 0 1 1 *"})
    resumed = []
    for one in (many, once, none):
        await ada.post(f"/triggers/{one['id']}/pause")
        await database.execute(
            f"UPDATE triggers SET {earlier('anchor_at', 'settled_until', by='$2::interval')}"
            " WHERE id = $1",
            one["id"],
            timedelta(seconds=150),
        )
        resumed.append((await ada.post(f"/triggers/{one['id']}/resume")).json())

    first, second, third = resumed
    sent_back = await ada.put("/triggers/by-key/many", json=first)
    assert first["warnings"][0].startswith("2 planned instants, from ")
    assert first["warnings"][0].endswith(f"The next one is {first['next_fire_at']}.")
    assert second["warnings"][1].startswith("One planned instant, ")
    assert third["warnings"] == []
    assert (await read(ada, many["id"]))["warnings"] == []
    assert sent_back.status_code == 200


async def test_a_preview_shows_nothing_that_would_not_fire(ada: httpx.AsyncClient) -> None:
    every = {"interval": "PT1M", "recurring": True, "time": "2026-01-01T00:00:00Z"}
    window = {"from": ago(hours=2), "until": ago(hours=-1)}
    made = await make_scheduled(ada, every)
    past = {"from": ago(hours=2), "until": ago(hours=1)}

    tried = await preview(ada, every, count=1000, **window)
    own = (await ada.get(f"/triggers/{made['id']}/schedule", params=window)).json()
    over = await preview(ada, every, **past)

    assert tried["total"] == len(tried["instants"]) in {59, 60, 61}
    assert own["total"] in {59, 60, 61}
    assert instant(own["instants"][0]["at"]) > instant(made["created_at"])
    assert (over["instants"], over["total"]) == ([], 0)
    assert len((await preview(ada, {"time": ago(seconds=1)}))["instants"]) == 1


async def test_a_set_keeps_members_that_are_only_spelled_differently(
    ada: httpx.AsyncClient,
) -> None:
    members = {key: {"type": "scheduled", "details": one} for key, one in KINDS.items()}
    first = await ada.put("/sets/kinds", json={"triggers": members})
    again = (await ada.put("/sets/kinds", json={"triggers": members})).json()
    changed = {**members["spread"], "details": {"cron": "0 10 * * *", "spread": "PT1H"}}
    file = {"triggers": {**members, "spread": changed}}
    plan = (await ada.put("/sets/kinds", params={"dry_run": True}, json=file)).json()
    applied = (await ada.put("/sets/kinds", json=file)).json()
    shown = (await ada.get("/sets/kinds")).json()
    back = (await ada.put("/sets/kinds", json={"triggers": shown["triggers"]})).json()
    spread = (await ada.get("/triggers/by-key/spread")).json()

    assert len(first.json()["create"]) == len(KINDS)
    assert again["unchanged"] == back["unchanged"] == len(KINDS)
    assert [one["next_fire_at"] for one in plan["update"]] == [spread["next_fire_at"]]
    assert [one["key"] for one in applied["update"]] == ["spread"]
