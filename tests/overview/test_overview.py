"""The overview says what the lists say, names what is wrong, and admits what it cannot tell."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx

from tests.overview.conftest import GIVES_UP_SOON
from tests.support.counting import count_at_once, count_now, read_overview, until_counted
from tests.support.databases import connect
from tests.support.destinations import fire, make_destination
from tests.support.downtime import set_back, until_caught_up
from tests.support.keys import make_key
from tests.support.misbehaving import hang_up, raw_server
from tests.support.planting import plant_event, plant_triggers
from tests.support.problems import problem_of
from tests.support.reading import read_all
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, ADMIN, BOB, Service, idle_service, running_service
from tests.support.triggers import instant, make_api, make_scheduled
from tests.support.waiting import eventually

STATES = ("closed", "open", "recovering")


async def numbers_of_lists(client: httpx.AsyncClient) -> dict[str, dict[str, int]]:
    """Counts all that the lists of a project show."""
    triggers = Counter(one["status"] for one in await read_all(client, "/triggers"))
    deliveries = Counter(one["status"] for one in await read_all(client, "/deliveries"))
    destinations = Counter(
        "disabled" if one["status"] == "disabled" else one["state"]
        for one in await read_all(client, "/destinations")
    )
    return {
        "triggers": {one: triggers[one] for one in ("active", "paused", "completed")},
        "deliveries": {one: deliveries[one] for one in ("pending", "retrying", "exhausted")},
        "destinations": {one: destinations[one] for one in (*STATES, "disabled")},
        "events": dict.fromkeys(("last_hour", "last_day"), len(await read_all(client, "/events"))),
    }


async def test_after_any_history_the_overview_says_what_the_lists_say(
    database_url: str, database: Any, receiver: Receiver
) -> None:
    chosen = random.Random(17)
    async with (
        running_service(database_url, **GIVES_UP_SOON) as one,
        running_service(database_url, **GIVES_UP_SOON) as other,
        raw_server(hang_up) as refusing,
    ):
        clients = [service.client(who) for service in (one, other) for who in (ADA, BOB)]
        for client in clients:
            good = await make_destination(client, receiver.url)
            bad = await make_destination(client, refusing)
            idle = await make_destination(client, receiver.url)
            await client.post(f"/destinations/{idle['id']}/disable")
            api = [
                await make_api(client, destinations=chosen.choice(([], [good["id"]], [bad["id"]])))
                for _ in range(6)
            ]
            planned = [
                await make_scheduled(client, {"interval": "PT1H", "recurring": True, **more})
                for more in ({}, {"catch_up": "none"}, {"max_fires": 1})
            ]
            for one_planned in planned:
                await set_back(database, one_planned["id"], timedelta(hours=5))
            await until_caught_up(database, *(each["id"] for each in planned))
            for _ in range(12):
                await fire(client, chosen.choice(api), chosen.choice(["trigger", "test"]))
            for action in ("pause", "pause", "resume"):
                await client.post(f"/triggers/{chosen.choice(api[1:])['id']}/{action}")
            await client.delete(f"/triggers/{api[0]['id']}")
        for client in (*clients, one.client(ADMIN, project="*")):
            await eventually(
                lambda: database.fetchval(
                    "SELECT count(*) FROM deliveries WHERE finished_at IS NULL"
                ),
                lambda waiting: waiting == 0,
            )

            overview = await until_counted(client, database, database_url)

            found = await numbers_of_lists(client)
            shown = {name: overview[name] for name in found}
            shown["triggers"].pop("failing")
            shown["deliveries"].pop("oldest_pending_at")
            assert shown == found
            assert overview["unfired"]["missed"] > 0
            assert overview["verdict"] == "attention"


async def test_a_new_project_is_all_right_once_it_was_counted(
    database_url: str, database: Any
) -> None:
    async with idle_service(database_url) as service:
        ada = service.client(ADA)
        before = await read_overview(ada)
        [trigger_id] = await plant_triggers(
            database, due_at=(await _now(database)) + timedelta(hours=1)
        )
        counted = await until_counted(ada, database, database_url)
        await database.execute("UPDATE count_passes SET counted_at = now() - interval '61 s'")
        later = await read_overview(ada)

    assert (before["verdict"], before["at"]) == ("unknown", None)
    assert counted["verdict"] == "ok", trigger_id
    assert counted["attention"] == []
    assert counted["triggers"] == {"active": 1, "paused": 0, "completed": 0, "failing": 0}
    assert counted["due"]["late"] == counted["due"]["worst_lag_ms"] == 0
    assert counted["due"]["next_at"] is not None
    assert later["verdict"] == "unknown"
    assert [one["kind"] for one in later["attention"]] == ["counts_old"]


async def test_what_is_wrong_is_named_most_severe_first(database_url: str, database: Any) -> None:
    now = await _now(database)
    async with idle_service(database_url, **ALLOW_LOOPBACK) as service:
        ada, bob = service.client(ADA), service.client(BOB)
        broken = await make_scheduled(ada, name="Nightly report")
        other = await make_scheduled(ada)
        crm = await make_destination(ada, "http://127.0.0.1/crm", description="crm")
        gone = await make_destination(ada, "http://127.0.0.1:81/gone")
        key = await make_key(ada, name="probe", expires_at=(now + timedelta(days=3)).isoformat())
        await plant_triggers(database, 3, due_at=now - timedelta(seconds=8))
        await _plant_failures(database, broken["id"], other["id"], crm["id"], gone["id"])

        overview = await until_counted(ada, database, database_url)
        of_bob = await until_counted(bob, database, database_url)
        of_all = await read_overview(service.client(ADMIN, project="*"))

    shown = [(one["kind"], one["severity"], one["count"]) for one in overview["attention"]]
    assert shown == [
        ("triggers_late", "error", 3),
        ("trigger_set_aside", "error", 1),
        ("destination_gone", "error", 0),
        ("destination_open", "error", 2),
        ("instants_missed", "warning", 4),
        ("deliveries_exhausted", "warning", 3),
        ("key_expires", "warning", 1),
    ]
    names = {one["kind"]: (one["id"], one["name"]) for one in overview["attention"]}
    assert names["trigger_set_aside"] == (broken["id"], "Nightly report")
    assert names["destination_gone"] == (gone["id"], "127.0.0.1:81")
    assert names["destination_open"] == names["deliveries_exhausted"] == (crm["id"], "crm")
    assert names["key_expires"] == (key["id"], "probe")
    assert overview["triggers"]["failing"] == 1
    assert overview["due"]["late"] == 3
    assert overview["due"]["worst_lag_ms"] > 8000
    assert overview["deliveries"]["exhausted"] == 3
    assert instant(overview["deliveries"]["oldest_pending_at"]) < now
    assert of_bob["verdict"] == "ok"
    assert [one["kind"] for one in of_all["attention"]] == [one[0] for one in shown]
    assert of_all["triggers"] == overview["triggers"]


async def _plant_failures(database: Any, broken: int, other: int, crm: int, gone: int) -> None:
    """Sets one trigger aside, lets four instants of the other be missed, and breaks both URLs."""
    await database.execute(
        "UPDATE triggers SET status = 'paused', next_fire_at = NULL, error = 'It failed.'"
        " WHERE id = $1",
        broken,
    )
    await database.execute('UPDATE destinations SET failures = 5, "window" = 1 WHERE id = $1', crm)
    await database.execute("UPDATE destinations SET disabled_reason = 'gone' WHERE id = $1", gone)
    await database.execute(
        """
        INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
            triggered_at, is_test, payload_size, status, next_attempt_at, finished_at, error,
            queued_at)
        SELECT $1::bigint % 64, $1, $2, $3, number, 'api', now(), false, 0,
            CASE WHEN number > 2 THEN 'exhausted' ELSE 'retrying' END,
            CASE WHEN number <= 2 THEN now() + interval '1 h' END,
            CASE WHEN number > 2 THEN now() END, 'timeout', now() - interval '1 h'
        FROM generate_series(1, 5) AS number
        """,
        ADA,
        crm,
        other,
    )
    await database.execute(
        """
        INSERT INTO unfired_ranges
            (shard, owner_id, trigger_id, version, first_at, last_at, count, reason)
        VALUES ($1::bigint % 64, $1, $2, 1, now(), now(), 4, 'missed')
        """,
        ADA,
        other,
    )
    await database.execute(
        """
        INSERT INTO minute_counts (shard, owner_id, measure, minute, series, destination_id, bucket,
            part, count)
        VALUES ($1::bigint % 64, $1, 'unfired', date_trunc('minute', now()), 'missed', 0, 0, 1, 4)
        """,
        ADA,
    )


async def test_replicas_count_each_event_once_and_a_late_commit_too(
    service: Service, ada: httpx.AsyncClient, database: Any, database_url: str
) -> None:
    slow = await connect(database_url)
    async with slow.transaction():
        await plant_event(slow, trigger_id=1, triggered_at=await _now(database))
        for _ in range(3):
            await plant_event(database, trigger_id=1, triggered_at=await _now(database))
            await count_at_once(database_url, 3)
        during = await read_overview(ada)
    await slow.close()

    after = await until_counted(ada, database, database_url)

    assert during["events"]["last_hour"] < 4  # transactions are counted in order
    assert after["events"] == {"last_hour": 4, "last_day": 4}
    assert service.app is not None


async def test_a_pass_writes_only_what_has_changed(database: Any, database_url: str) -> None:
    await plant_triggers(database, 3, due_at=(await _now(database)) + timedelta(hours=1))
    rows = "SELECT xmin::text, state, number FROM project_counts ORDER BY 1, 2"
    for _ in range(2):
        await count_now(database_url)
    before = await database.fetch(rows)

    await count_now(database_url)

    assert before
    assert await database.fetch(rows) == before


async def test_deleted_rows_leave_the_counts(
    ada: httpx.AsyncClient, database: Any, database_url: str
) -> None:
    made = await make_api(ada)
    before = await until_counted(ada, database, database_url)
    await ada.delete(f"/triggers/{made['id']}")

    after = await until_counted(ada, database, database_url)

    assert (before["triggers"]["active"], after["triggers"]["active"]) == (1, 0)
    assert await database.fetchval("SELECT count(*) FROM project_counts WHERE number = 0") == 0


async def test_a_key_for_some_triggers_is_told_why_it_sees_no_overview(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = await make_api(ada)
    limited = await make_key(ada, trigger_ids=[made["id"]])
    client = service.client()

    answers = [
        await client.get(path, headers={"X-API-Key": limited["key"]})
        for path in ("/overview", "/stats?measure=events")
    ]

    assert [problem_of(one, 403)["title"] for one in answers] == [
        "The key is limited to some triggers"
    ] * 2


async def _now(database: Any) -> Any:
    return await database.fetchval("SELECT clock_timestamp()")
