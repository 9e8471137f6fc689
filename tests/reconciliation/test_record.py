"""After an outage, a pause or an edit each planned instant has its event or its reason."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.downtime import earlier, instants_of, set_back, until_caught_up
from tests.support.one_server import one_server
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, BOB, Service, running_service
from tests.support.triggers import change, instant, make_api, make_scheduled, read
from tests.support.waiting import eventually

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
MINUTELY = {"interval": 1, "recurring": True}


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def account_of(client: httpx.AsyncClient, trigger_id: int, **span: str) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{trigger_id}/accounting", params=span)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def explain(client: httpx.AsyncClient, trigger_id: int, at: datetime) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{trigger_id}/explain", params={"at": text(at)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def sums_of(account: dict[str, Any]) -> dict[str, int]:
    """Reads the sums that are not zero, and checks that they add up."""
    reasons = {reason: count for reason, count in account["unfired"].items() if count}
    assert account["balanced"], account["differences"]
    assert account["planned"] == account["fired"] + account["pending"] + sum(reasons.values())
    return {"fired": account["fired"], **reasons}


async def missed(
    client: httpx.AsyncClient, database: Any, by: timedelta, **details: Any
) -> dict[str, Any]:
    """Makes a minutely trigger that missed instants for a while, and then caught up."""
    made = await make_scheduled(client, {**MINUTELY, **details})
    await set_back(database, made["id"], by)
    await until_caught_up(database, made["id"])
    return await read(client, made["id"])


def grid(trigger: dict[str, Any], count: int) -> list[datetime]:
    first = instant(trigger["created_at"]) + MINUTE
    return [first + number * MINUTE for number in range(count)]


async def test_after_an_outage_the_latest_fires_for_those_it_coalesces(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await missed(ada, database, 10 * MINUTE + 10 * SECOND)

    planned = grid(trigger, 10)
    first = await explain(ada, trigger["id"], planned[0])
    last = await explain(ada, trigger["id"], planned[-1])
    next_ = await explain(ada, trigger["id"], planned[-1] + MINUTE)
    assert await instants_of(database, trigger["id"]) == planned[-1:]
    assert sums_of(await account_of(ada, trigger["id"])) == {"fired": 1, "coalesced": 9}
    assert (first["outcome"], first["scheduled_for"]) == ("coalesced", text(planned[0]))
    assert (first["event_id"], first["lag_ms"]) == (None, None)
    assert last["outcome"] == "fired"
    assert last["lag_ms"] >= 10_000
    event = (await ada.get(f"/events/{last['event_id']}")).json()
    assert event["scheduled_for"] == text(planned[-1])
    assert (next_["outcome"], next_["schedule"]["version"]) == ("pending", 1)


@pytest.mark.parametrize("catch_up", ["latest", "all", "none"])
async def test_a_stall_of_seconds_costs_no_instant(
    ada: httpx.AsyncClient, database: Any, catch_up: str
) -> None:
    every_second = {"interval": "PT1S", "recurring": True, "max_fires": 2}
    details = {**every_second, "catch_up": catch_up, "catch_up_window": 0}
    made = await make_scheduled(ada, details)

    await set_back(database, made["id"], 2 * SECOND)
    await eventually(lambda: instants_of(database, made["id"]), lambda found: len(found) == 2)

    assert sums_of(await account_of(ada, made["id"])) == {"fired": 2}


async def test_after_an_outage_all_fire_oldest_first(ada: httpx.AsyncClient, database: Any) -> None:
    trigger = await missed(ada, database, 300 * MINUTE + SECOND, catch_up="all")

    planned = grid(trigger, 300)
    assert await instants_of(database, trigger["id"]) == planned
    assert sums_of(await account_of(ada, trigger["id"])) == {"fired": 300}
    assert trigger["fire_count"] == 300


async def test_all_stops_at_a_thousand_and_at_its_window(
    ada: httpx.AsyncClient, database: Any
) -> None:
    many = await missed(ada, database, 1400 * MINUTE + 10 * SECOND, catch_up="all")
    few = await missed(
        ada, database, 300 * MINUTE + 10 * SECOND, catch_up="all", catch_up_window=29.9
    )

    assert await instants_of(database, many["id"]) == grid(many, 1400)[400:]
    assert sums_of(await account_of(ada, many["id"])) == {"fired": 1000, "expired": 400}
    assert await instants_of(database, few["id"]) == grid(few, 300)[-30:]
    assert sums_of(await account_of(ada, few["id"])) == {"fired": 30, "expired": 270}
    explained = await explain(ada, few["id"], grid(few, 1)[0])
    assert explained["outcome"] == "expired"
    assert "29.9 minutes" in explained["reason"]


async def test_without_catching_up_nothing_fires_late(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await missed(ada, database, 10 * MINUTE + 10 * SECOND, catch_up="none")

    assert await instants_of(database, trigger["id"]) == []
    assert sums_of(await account_of(ada, trigger["id"])) == {"fired": 0, "missed": 10}
    assert (await explain(ada, trigger["id"], grid(trigger, 1)[0]))["outcome"] == "missed"
    assert instant(trigger["next_fire_at"]) == grid(trigger, 11)[-1]


async def test_a_one_time_trigger_that_came_too_late_is_on_record(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, {"interval": 60, "catch_up_window": 30})
    await set_back(database, made["id"], timedelta(hours=2))
    await until_caught_up(database, made["id"])

    trigger = await read(ada, made["id"])
    at = instant(trigger["created_at"]) + 60 * MINUTE
    assert (trigger["status"], trigger["fire_count"]) == ("completed", 0)
    assert sums_of(await account_of(ada, made["id"])) == {"fired": 0, "expired": 1}
    assert (await explain(ada, made["id"], at))["outcome"] == "expired"


async def test_what_falls_into_a_pause_is_on_record_as_paused(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, MINUTELY)
    path = f"/triggers/{made['id']}"
    await ada.post(f"{path}/pause")
    await set_back(database, made["id"], 10 * MINUTE + SECOND)
    trigger = await read(ada, made["id"])
    during = await account_of(ada, made["id"])
    explained = await explain(ada, made["id"], grid(trigger, 1)[0])

    resumed = (await ada.post(f"{path}/resume")).json()

    assert sums_of(during) == {"fired": 0, "paused": 10}
    assert during["ranges"][0]["count"] == 10
    assert explained["outcome"] == "paused"
    assert instant(resumed["next_fire_at"]) == grid(trigger, 11)[-1]
    assert sums_of(await account_of(ada, made["id"])) == {"fired": 0, "paused": 10}
    assert (await explain(ada, made["id"], grid(trigger, 1)[0]))["outcome"] == "paused"
    assert await instants_of(database, made["id"]) == []


@pytest.fixture
def idle(lent_idle_service: Service) -> httpx.AsyncClient:
    return lent_idle_service.client(ADA)


async def due_for(client: httpx.AsyncClient, database: Any, by: timedelta) -> dict[str, Any]:
    made = await make_scheduled(client, {**MINUTELY, "catch_up": "all"})
    await set_back(database, made["id"], by)
    return await read(client, made["id"])


async def test_what_was_due_before_an_edit_is_on_record_and_never_fires(
    idle: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    replaced, paused, deleted, kept = [
        await due_for(idle, database, 3 * MINUTE + SECOND) for _ in range(4)
    ]

    await change(idle, replaced["id"], {"details": {"interval": 7}})
    await idle.post(f"/triggers/{paused['id']}/pause")
    await idle.delete(f"/triggers/{deleted['id']}")
    await change(idle, kept["id"], {"details": {"catch_up_window": 60}, "name": "kept"})

    gone = await database.fetchrow("SELECT * FROM unfired_ranges WHERE reason = 'deleted'")
    assert sums_of(await account_of(idle, replaced["id"])) == {"fired": 0, "replaced": 3}
    assert sums_of(await account_of(idle, paused["id"])) == {"fired": 0, "paused": 3}
    assert (gone["trigger_id"], gone["count"]) == (deleted["id"], 3)
    account = await account_of(idle, kept["id"])
    assert (account["pending"], account["planned"]) == (3, 3)
    explained = await explain(idle, replaced["id"], grid(replaced, 1)[0])
    assert (explained["outcome"], explained["schedule"]["version"]) == ("missed", 1)
    assert "changed" in explained["reason"]
    waiting = await explain(idle, kept["id"], grid(kept, 1)[0])
    assert (waiting["outcome"], waiting["schedule"]["version"]) == ("pending", 2)
    async with running_service(database_url):
        await until_caught_up(database, kept["id"])
    fired = await database.fetch("SELECT trigger_id FROM events")
    assert [row["trigger_id"] for row in fired] == [kept["id"]] * 3


async def test_an_end_before_what_is_due_puts_that_on_record(
    idle: httpx.AsyncClient, database: Any
) -> None:
    trigger = await due_for(idle, database, 5 * MINUTE + SECOND)
    until = text(grid(trigger, 2)[-1])

    ended = await change(idle, trigger["id"], {"details": {"until": until}})

    assert (ended["status"], ended["next_fire_at"]) == ("completed", None)
    assert sums_of(await account_of(idle, trigger["id"])) == {"fired": 0, "replaced": 5}


async def test_a_database_clock_set_back_plans_no_instant_twice(
    idle: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(idle, MINUTELY)
    settled = instant(made["created_at"]) + 30 * MINUTE  # fired by a clock that was fast
    await database.execute(
        "UPDATE triggers SET settled_until = $1, next_fire_at = $2", settled, settled + MINUTE
    )

    await idle.post(f"/triggers/{made['id']}/pause")
    resumed = (await idle.post(f"/triggers/{made['id']}/resume")).json()

    assert instant(resumed["next_fire_at"]) == settled + MINUTE


@one_server("it has database triggers, which distributed tables cannot have")
async def test_what_a_trigger_failed_to_fire_is_on_record(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, MINUTELY)
    await database.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;"
        "CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    await set_back(database, made["id"], 3 * MINUTE + SECOND)
    await eventually(lambda: read(ada, made["id"]), lambda one: one["status"] == "paused")

    trigger = await read(ada, made["id"])
    explained = await explain(ada, made["id"], grid(trigger, 1)[0])
    assert sums_of(await account_of(ada, made["id"])) == {"fired": 0, "failed": 3}
    assert explained["outcome"] == "missed"
    assert "set aside" in explained["reason"]


async def test_the_past_is_judged_by_the_schedule_in_force_then(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await missed(ada, database, 10 * MINUTE + SECOND, catch_up="all")
    await change(ada, trigger["id"], {"details": {"interval": 7}})

    old = await explain(ada, trigger["id"], grid(trigger, 3)[-1])
    off = await explain(ada, trigger["id"], grid(trigger, 3)[-1] + SECOND)
    gone = await explain(ada, trigger["id"], grid(trigger, 11)[-1])
    new = await read(ada, trigger["id"])
    coming = await explain(ada, trigger["id"], instant(new["next_fire_at"]))

    assert old["outcome"] == "fired"
    assert (old["schedule"]["version"], old["schedule"]["details"]["interval"]) == (1, 1)
    assert old["schedule"]["until"] == new["updated_at"]
    assert (off["outcome"], off["scheduled_for"]) == ("not_scheduled", None)
    assert text(grid(trigger, 3)[-1]) in off["reason"]
    assert (gone["outcome"], gone["schedule"]["version"]) == ("not_scheduled", 2)
    assert (coming["outcome"], coming["schedule"]["details"]["interval"]) == ("pending", 7)
    assert sums_of(await account_of(ada, trigger["id"])) == {"fired": 10}


async def test_a_span_counts_its_own_instants_only(ada: httpx.AsyncClient, database: Any) -> None:
    trigger = await missed(ada, database, 100 * MINUTE + 10 * SECOND)
    planned = grid(trigger, 100)

    early = await account_of(ada, trigger["id"], until=text(planned[10]))
    middle = await account_of(ada, trigger["id"], since=text(planned[10]), until=text(planned[20]))
    late = await account_of(ada, trigger["id"], since=text(planned[98]))
    place = f"/triggers/{trigger['id']}/accounting"
    never = await account_of(ada, trigger["id"], since="2100-01-01T00:00:00Z")
    turned = {"since": text(planned[20]), "until": text(planned[10])}
    backwards = await ada.get(place, params=turned)

    assert sums_of(early) == {"fired": 0, "coalesced": 10}
    assert sums_of(middle) == {"fired": 0, "coalesced": 10}
    assert sums_of(late) == {"fired": 1, "coalesced": 1}
    assert sums_of(never) == {"fired": 0}
    assert places_of(backwards) == ["until"]
    assert middle["since"] == text(planned[10])


async def test_a_lost_event_and_a_forged_one_are_shown(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await missed(ada, database, 5 * MINUTE + SECOND, catch_up="all")
    planned = grid(trigger, 5)
    await database.execute("DELETE FROM events WHERE scheduled_for = $1", planned[2])
    await database.execute(
        "UPDATE events SET scheduled_for = $2 WHERE scheduled_for = $1",
        planned[1],
        planned[1] + SECOND,
    )

    account = await account_of(ada, trigger["id"])
    explained = await explain(ada, trigger["id"], planned[2])

    assert not account["balanced"]
    assert [(one["kind"], one["first"], one["count"]) for one in account["differences"]] == [
        ("unexplained", text(planned[1]), 2),
        ("unplanned", text(planned[1] + SECOND), 1),
    ]
    assert explained["outcome"] == "missed"
    assert "event_trigger verify" in explained["reason"]


async def test_instants_outside_the_life_of_a_trigger_are_explained_too(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, {**MINUTELY, "max_fires": 2})
    called = await make_api(ada)
    created = instant(made["created_at"])

    before = await explain(ada, made["id"], created - MINUTE)
    second = await explain(ada, made["id"], created + 2 * MINUTE)
    third = await explain(ada, made["id"], created + 3 * MINUTE)
    api = await explain(ada, called["id"], created)

    assert (before["outcome"], before["schedule"]) == ("not_scheduled", None)
    assert second["outcome"] == "pending"
    assert third["outcome"] == "not_scheduled"
    assert "max_fires" in third["reason"]
    assert api["outcome"] == "not_scheduled"
    assert sums_of(await account_of(ada, called["id"])) == {"fired": 0}


async def test_no_instant_from_before_a_trigger_is_named_as_the_nearest(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"cron": "0 0 1 1 *"})

    found = await explain(ada, made["id"], instant(made["created_at"]) + 10 * SECOND)

    assert found["outcome"] == "not_scheduled"
    assert found["reason"].endswith(f" The nearest: after it {made['next_fire_at']}.")


async def test_no_instant_is_too_far_or_too_old_to_be_asked_about(
    idle: httpx.AsyncClient,
) -> None:
    first, last = "1970-01-01T00:00:00Z", "9000-12-31T23:59:00Z"
    for details in (
        {"cron": "* * * * *", "timezone": "Africa/Cairo", "max_fires": 3},
        {"cron": "* * * * *", "timezone": "Africa/Cairo", "max_fires": 2**53},
        {"cron": "0 0 29 2 *", "timezone": "Europe/Berlin", "max_fires": 1},
        {"interval": "PT1S", "recurring": True, "max_fires": 2**53},
        {"time": "9000-12-31T23:59:00Z"},
    ):
        made = await make_scheduled(idle, details)
        old = await explain(idle, made["id"], instant(first))
        far = await explain(idle, made["id"], instant(last))

        assert old["outcome"] == "not_scheduled"
        assert far["outcome"] in {"pending", "not_scheduled"}
        assert sums_of(await account_of(idle, made["id"], since=first, until=last)) == {"fired": 0}


async def test_max_fires_is_spent_by_what_is_due_already(
    idle: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(idle, {**MINUTELY, "max_fires": 2, "catch_up": "all"})
    await set_back(database, made["id"], 5 * MINUTE + SECOND)
    trigger = await read(idle, made["id"])

    said = [(await explain(idle, made["id"], at))["outcome"] for at in grid(trigger, 9)]

    assert said == ["pending"] * 2 + ["not_scheduled"] * 7
    assert (await account_of(idle, made["id"]))["pending"] == 2


async def test_a_schedule_that_makes_no_sense_any_more_is_said_to_be_so(
    idle: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(idle, MINUTELY)
    await database.execute("UPDATE triggers SET details = '{}'")

    found = await explain(idle, made["id"], instant(made["next_fire_at"]))

    assert (found["outcome"], found["schedule"]["words"]) == ("not_scheduled", None)
    assert "no longer be read" in found["reason"]


async def test_what_is_past_keeping_is_said_to_be_no_longer_on_record(
    idle: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(idle, MINUTELY)
    await set_back(database, made["id"], timedelta(days=5))
    await database.execute("UPDATE triggers SET settled_until = now()")
    trigger = await read(idle, made["id"])

    found = await explain(idle, made["id"], grid(trigger, 1)[0])

    assert (found["outcome"], found["event_id"]) == ("expired", None)
    assert "older than the retention period" in found["reason"]


async def test_what_was_completed_has_no_more_instants(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await missed(ada, database, 9 * MINUTE + SECOND, catch_up="all", max_fires=4)

    after = await explain(ada, trigger["id"], grid(trigger, 5)[-1])

    assert (trigger["status"], after["outcome"]) == ("completed", "not_scheduled")
    assert sums_of(await account_of(ada, trigger["id"])) == {"fired": 4}


async def test_accounts_are_their_owners_alone(service: Service, ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada)
    bob = service.client(BOB)

    for path in ("explain?at=2030-01-01T00:00:00Z", "accounting"):
        theirs = problem_of(await bob.get(f"/triggers/{made['id']}/{path}"), 404)
        nobodys = problem_of(await bob.get(f"/triggers/999999/{path}"), 404)

        assert theirs == nobodys
        overseer = service.client(ADMIN, project="*")
        assert (await overseer.get(f"/triggers/{made['id']}/{path}")).status_code == 200
    missing = await ada.get(f"/triggers/{made['id']}/explain")
    assert places_of(missing) == ["at"]


async def test_what_is_past_keeping_is_forgotten_with_its_schedule(
    idle: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    old = await due_for(idle, database, 3 * MINUTE + SECOND)
    await change(idle, old["id"], {"details": {"interval": 7}})
    for table, column in (("unfired_ranges", "recorded_at"), ("schedule_versions", "ends_at")):
        two_days_earlier = earlier(column, by="interval '48 h'")
        await database.execute(f"UPDATE {table} SET {two_days_earlier}")
    young = await due_for(idle, database, 3 * MINUTE + SECOND)
    await change(idle, young["id"], {"details": {"interval": 7}})

    ranges = "SELECT trigger_id FROM unfired_ranges"
    versions = "SELECT trigger_id FROM schedule_versions"
    left = f"SELECT array_agg(trigger_id) FROM ({ranges} UNION ALL {versions}) AS kept"
    async with running_service(database_url, retention_interval=SECOND / 5):
        await eventually(
            lambda: database.fetchval(left), lambda found: found == [young["id"], young["id"]]
        )
