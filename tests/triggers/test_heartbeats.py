"""Heartbeats as triggers: making, reading, changing, pausing, resuming."""

from datetime import timedelta
from itertools import product
from typing import Any

import httpx
import pytest

from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus
from tests.support.heartbeats import (
    HOURLY,
    forget_outages,
    let_pass,
    make_heartbeat,
    ping,
    status_of,
    until_told,
)
from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.sets import prune_set
from tests.support.triggers import change, instant, make_api, read
from tests.support.waiting import eventually

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def test_a_heartbeat_waits_for_its_first_ping(ada: httpx.AsyncClient) -> None:
    made = await make_heartbeat(ada, {"interval": 60, "grace": "PT10M"})

    assert made["status"] == "active"
    assert made["next_fire_at"] is None
    assert made["heartbeat"] == {
        "status": "waiting",
        "last_ping_at": None,
        "expected_at": None,
        "silent_since": None,
        "started_at": None,
    }
    assert made["hook_url"].startswith("http")
    assert made["words"] == "Expects a ping every hour, at most 10 minutes late"


async def test_grace_and_hook_have_defaults_that_are_shown(ada: httpx.AsyncClient) -> None:
    made = await make_heartbeat(ada, {"cron": "0 2 * * *", "timezone": "europe/berlin"})

    assert made["details"] == {
        "cron": "0 2 * * *",
        "timezone": "Europe/Berlin",
        "grace": "PT5M",
        "hook": {"verify": "none"},
    }
    assert made["words"] == (
        "Expects a ping at 02:00 every day, Europe/Berlin, at most 5 minutes late"
    )


@pytest.mark.parametrize(
    ("details", "place"),
    [
        ({}, "#/details"),
        ({"interval": 5, "cron": "@daily"}, "#/details/cron"),
        ({"interval": 5, "grace": "P31D"}, "#/details/grace"),
        ({"interval": 5, "grace": 5}, "#/details/grace"),
        ({"interval": 5, "timezone": "UTC"}, "#/details/timezone"),
        ({"interval": 5, "recurring": True}, "#/details/recurring"),
        ({"interval": 5, "schema": {}}, "#/details/schema"),
        ({"interval": 5, "hook": {"verify": "nobody"}}, "#/details/hook/verify"),
    ],
)
async def test_other_details_are_refused(
    ada: httpx.AsyncClient, details: dict[str, Any], place: str
) -> None:
    answer = await ada.post("/triggers", json={"type": "heartbeat", "details": details})

    assert places_of(answer) == [place]


async def test_a_heartbeat_never_completes(ada: httpx.AsyncClient) -> None:
    body = {"type": "heartbeat", "details": HOURLY, "on_completion": "delete"}

    assert places_of(await ada.post("/triggers", json=body)) == ["#/on_completion"]


async def test_what_was_read_may_be_sent_back_though_pings_have_moved_it(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    shown = await read(ada, made["id"])
    await ping(anonymous, made)

    patched = await ada.patch(f"/triggers/{made['id']}", json=shown)
    put = await ada.put(f"/triggers/{made['id']}", json=shown)

    assert (patched.status_code, put.status_code) == (200, 200), (patched.text, put.text)
    assert put.json()["updated_at"] == made["updated_at"]


async def test_the_same_content_by_key_changes_nothing(ada: httpx.AsyncClient) -> None:
    body = {"type": "heartbeat", "details": {"interval": 60}}
    made = (await ada.put("/triggers/by-key/backup", json=body)).json()

    respelt = {"interval": "PT1H", "grace": "PT300S", "hook": {"verify": "none"}}
    again = await ada.put("/triggers/by-key/backup", json={**body, "details": respelt})

    assert again.status_code == 200
    assert again.json()["updated_at"] == made["updated_at"]


async def test_another_schedule_gives_a_full_period_from_the_change(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await let_pass(database, made, HOUR / 2)

    changed = await change(ada, made["id"], {"details": {"interval": 20}})

    assert changed["heartbeat"]["status"] == "alive"
    since = instant(changed["updated_at"])
    assert instant(changed["heartbeat"]["expected_at"]) == since + timedelta(minutes=20)
    history = (await ada.get(f"/triggers/{made['id']}/versions")).json()
    assert [one["words"] for one in history["schedules"]] == [
        "Expects a ping every 20 minutes, at most 10 minutes late",
        "Expects a ping every hour, at most 10 minutes late",
    ]


async def test_a_resumed_heartbeat_gets_a_full_period(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await ada.post(f"/triggers/{made['id']}/pause")
    await let_pass(database, made, 5 * HOUR)

    resumed = (await ada.post(f"/triggers/{made['id']}/resume")).json()

    assert resumed["heartbeat"]["status"] == "alive"
    since = instant(resumed["updated_at"])
    assert instant(resumed["heartbeat"]["expected_at"]) == since + HOUR


async def test_many_are_paused_and_resumed_as_one_is(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    action = {"ids": [made["id"]], "action": "pause"}
    assert (await ada.post("/triggers/actions", json=action)).json()["changed"] == 1
    await let_pass(database, made, 5 * HOUR)

    await ada.post("/triggers/actions", json={**action, "action": "resume"})

    resumed = await read(ada, made["id"])
    since = instant(resumed["updated_at"])
    assert instant(resumed["heartbeat"]["expected_at"]) == since + HOUR


async def test_a_pause_does_not_forget_a_silence(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made, "fail")

    await ada.post(f"/triggers/{made['id']}/pause")
    await ada.post(f"/triggers/{made['id']}/resume")

    assert await status_of(ada, made) == "silent"
    await ping(anonymous, made)
    await until_told(ada, made, "silent", "alive")


async def test_a_waiting_one_still_waits_after_a_pause(ada: httpx.AsyncClient) -> None:
    made = await make_heartbeat(ada)

    await ada.post(f"/triggers/{made['id']}/pause")
    resumed = await ada.post(f"/triggers/{made['id']}/resume")

    assert resumed.json()["heartbeat"]["status"] == "waiting"
    assert resumed.json()["next_fire_at"] is None


async def test_firing_and_testing_by_hand_leave_its_state_alone(ada: httpx.AsyncClient) -> None:
    made = await make_heartbeat(ada, payload={"job": "backup"})

    for path in ("trigger", "test"):
        answer = await ada.post(f"/triggers/{made['id']}/{path}", json={"by": "hand"})
        assert answer.status_code == 200, answer.text

    events = (await ada.get("/events", params={"trigger_id": made["id"]})).json()
    assert [(one["type"], one["payload"]) for one in events] == [
        ("api", {"job": "backup", "by": "hand"})
    ] * 2
    assert await status_of(ada, made) == "waiting"


async def test_lists_show_and_filter_heartbeats(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await forget_outages(database)
    await let_pass(database, made, HOUR + timedelta(minutes=5))

    listed = await ada.get("/triggers", params={"type": "heartbeat", "view": "summary"})

    assert [one["id"] for one in listed.json()] == [made["id"]]
    assert listed.json()[0]["heartbeat"]["status"] == "late"
    active = await ada.get("/triggers", params={"status": "active", "type": "heartbeat"})
    assert [one["id"] for one in active.json()] == [made["id"]]


async def test_an_outage_of_the_service_makes_no_false_alarm(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await forget_outages(database)

    await database.execute(
        """
        INSERT INTO service_outages (began_at, ended_at)
        VALUES (now() - interval '12 minutes', now() - interval '5 minutes')
        """
    )
    await let_pass(database, made, HOUR + timedelta(minutes=10))
    await database.execute("UPDATE triggers SET next_fire_at = now() WHERE id = $1", made["id"])

    await eventually(
        lambda: database.fetchval(
            "SELECT next_fire_at > now() FROM triggers WHERE id = $1", made["id"]
        ),
        bool,
    )
    assert await status_of(ada, made) == "alive"


async def test_a_deadline_is_no_upcoming_firing(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)

    upcoming = (await ada.get("/upcoming")).json()
    preview = (await ada.get(f"/triggers/{made['id']}/schedule")).json()

    assert upcoming["firings"] == []
    assert (preview["instants"], preview["words"]) == ([], made["words"])


async def test_a_silent_heartbeat_needs_attention(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada, name="Backup")
    await ping(anonymous, made, "fail")

    found = (await ada.get("/overview")).json()

    [item] = [one for one in found["attention"] if one["kind"] == "heartbeat_silent"]
    assert (item["id"], item["name"], item["count"]) == (made["id"], "Backup", 1)
    assert (item["severity"], found["verdict"]) == ("error", "attention")


async def test_events_of_heartbeats_are_found_by_type_and_by_source(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await forget_outages(database)
    await let_pass(database, made, HOUR + timedelta(minutes=10))
    silent = await until_told(ada, made, "silent")
    await ping(anonymous, made)
    events = await until_told(ada, made, "silent", "alive")

    for wanted, ids in (
        ({"type": "heartbeat"}, [one["id"] for one in events[::-1]]),
        ({"source": "schedule"}, [silent[0]["id"]]),
        ({"source": "hook"}, [events[-1]["id"]]),
        ({"source": "schedule", "trigger_id": made["id"]}, [silent[0]["id"]]),
        ({"type": "scheduled"}, []),
        ({"type": "api"}, []),
    ):
        found = (await ada.get("/events", params=wanted)).json()
        assert [one["id"] for one in found] == ids, wanted
    counts = (await ada.get("/events/counts", params={"type": "heartbeat"})).json()
    assert counts == [{"trigger_id": made["id"], "count": 2}]


async def test_a_set_owns_heartbeats(ada: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    body = {"triggers": {"backup": {"type": "heartbeat", "details": {"interval": "P1D"}}}}

    made = (await ada.put("/sets/jobs", json=body)).json()
    [created] = made["create"]
    again = (await ada.put("/sets/jobs", json=body)).json()
    shown = (await ada.get("/sets/jobs")).json()
    put_back = (await ada.put("/sets/jobs", json=shown)).json()
    assert (await anonymous.get(created["hook_url"])).status_code == 200
    other = {"triggers": {"backup": {"type": "heartbeat", "details": {"interval": 60}}}}
    planned = (await ada.put("/sets/jobs?dry_run=true", json=other)).json()
    changed = (await ada.put("/sets/jobs", json=other)).json()

    assert (again["update"], again["unchanged"]) == ([], 1)
    assert (put_back["update"], put_back["unchanged"]) == ([], 1)
    [forecast], [updated] = planned["update"], changed["update"]
    assert updated["next_fire_at"] is not None
    assert instant(updated["next_fire_at"]) - instant(forecast["next_fire_at"]) < HOUR
    removed = await prune_set(ada, "jobs", {"triggers": {}})
    assert [one["key"] for one in removed["remove"]] == ["backup"]


# each with a time after which it is late
KINDS: dict[timedelta, dict[str, Any]] = {
    61 * MINUTE: {"interval": 60},
    13 * HOUR: {"interval": "P0,5DT0.5H", "grace": "P1D"},
    24 * HOUR: {"cron": "30 4 * * *", "timezone": "Asia/Tokyo", "grace": "P2D"},
    168 * HOUR: {"cron": ["0 0 * * 1"], "grace": "P14D"},
}


async def test_heartbeats_are_listed_by_their_status(
    ada: httpx.AsyncClient,
    overseer: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    database: Any,
) -> None:
    await make_api(ada)
    await forget_outages(database)
    for state, (late_after, details) in product(HeartbeatStatus, KINDS.items()):
        made = await make_heartbeat(ada, details)
        if state is not HeartbeatStatus.WAITING:
            await ping(anonymous, made, "fail" if state is HeartbeatStatus.SILENT else "")
        if state is HeartbeatStatus.LATE:
            await let_pass(database, made, late_after)
        if state is HeartbeatStatus.PAUSED:
            await ada.post(f"/triggers/{made['id']}/pause")
    await ping(anonymous, await make_heartbeat(ada), "start")
    heartbeats = await read_all(ada, "/triggers", type="heartbeat")
    shown = {one["id"]: one["heartbeat"]["status"] for one in heartbeats}

    for client, sort in product((ada, overseer), ("-id", "id", "next_fire_at")):
        if client is overseer and sort == "next_fire_at":
            continue  # of one project only
        for state in HeartbeatStatus:
            listed = await read_all(client, "/triggers", heartbeat_status=state, sort=sort)

            assert len(listed) >= len(KINDS), state
            assert {one["id"] for one in listed} == {one for one in shown if shown[one] == state}
    for odd in ({"type": "api"}, {"status": "completed"}, {"status": "paused"}):
        assert await read_all(ada, "/triggers", heartbeat_status="silent", **odd) == []
    paused = await read_all(ada, "/triggers", heartbeat_status="paused", status="paused")
    assert len(paused) == len(KINDS)
    refused = await ada.get("/triggers", params={"heartbeat_status": "gone"})
    assert places_of(refused) == ["heartbeat_status"]


async def test_an_action_takes_the_silent_heartbeats_alone(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    silent, alive = [await make_heartbeat(ada) for _ in range(2)]
    await ping(anonymous, silent, "fail")
    await ping(anonymous, alive)

    body = {"action": "pause", "filter": {"heartbeat_status": "silent"}}
    answer = await ada.post("/triggers/actions", json=body)

    assert (answer.status_code, answer.json()["changed"]) == (200, 1), answer.text
    assert [await status_of(ada, one) for one in (silent, alive)] == ["paused", "alive"]
