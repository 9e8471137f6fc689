"""One transaction fires the triggers of many shards that are due at one instant."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from event_trigger.scheduling import batch, dispatcher, due_shards, limits, repository
from tests.support.destinations import make_destination
from tests.support.downtime import earlier
from tests.support.due import FAIL, fire_all, fire_in_time
from tests.support.heartbeats import forget_outages, let_pass, make_heartbeat, ping, until_told
from tests.support.one_server import IS_CLUSTER, one_server
from tests.support.planting import plant_triggers
from tests.support.services import ADA, ADMIN, BOB, Service

OWNERS = (ADA, BOB, ADMIN)
LATE = timedelta(hours=1, minutes=10)


@pytest.fixture(autouse=True)
def _deciding_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DECIDING_SECONDS", 600)  # a busy machine ends no batch early


async def plant_for_all(database: Any, count: int = 1, **more: Any) -> list[int]:
    return [
        trigger_id
        for owner_id in OWNERS
        for trigger_id in await plant_triggers(database, count, owner_id=owner_id, **more)
    ]


async def fired(database: Any) -> list[int]:
    rows = await database.fetch("SELECT trigger_id FROM events ORDER BY trigger_id")
    return [row["trigger_id"] for row in rows]


async def commits(database: Any) -> int:
    count: int = await database.fetchval("SELECT count(DISTINCT xid) FROM events")
    return count


def shared_by(shards: int) -> int:
    """Gives the commits that so many shards share: in a cluster each has its own."""
    return shards if IS_CLUSTER else 1


async def test_triggers_of_all_shards_share_a_commit(database_url: str, database: Any) -> None:
    planted = await plant_for_all(database, 5)

    await fire_in_time(database_url, database)

    assert await fired(database) == sorted(planted)
    assert await commits(database) == shared_by(len(OWNERS))
    moved = await database.fetch("SELECT fire_count, next_fire_at > now() AS later FROM triggers")
    assert {(one["fire_count"], one["later"]) for one in moved} == {(1, True)}


async def test_late_triggers_are_fired_shard_by_shard(database_url: str, database: Any) -> None:
    planted = await plant_for_all(database, 5)
    five_seconds = earlier("next_fire_at", "anchor_at", by="interval '5 s'")
    await database.execute(f"UPDATE triggers SET {five_seconds}")

    await fire_all(database_url)

    assert await fired(database) == sorted(planted)
    assert await commits(database) == len(OWNERS)


async def test_a_shard_with_more_than_its_part_of_a_batch_fires_all(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TRIGGERS_PER_BATCH", 10)
    planted = await plant_for_all(database) + await plant_triggers(database, 25)

    await fire_in_time(database_url, database)

    assert await fired(database) == sorted(planted)


async def test_payloads_that_are_too_much_for_one_commit_are_fired_in_further_ones(
    database_url: str, database: Any
) -> None:
    planted = await plant_for_all(database, 4)
    large = await database.fetchval(
        "SELECT to_json(string_agg(md5(number::text), '')) FROM generate_series(1, 31250) number"
    )
    await database.execute("UPDATE triggers SET payload = $1", large)

    await fire_in_time(database_url, database)

    assert await fired(database) == sorted(planted)
    assert await database.fetchval("SELECT min(length(payload #>> '{}')) FROM events") == 1_000_000
    assert await commits(database) > 1


async def test_triggers_that_no_time_was_left_for_are_fired_in_further_commits(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DECIDING_SECONDS", 0)
    planted = await plant_for_all(database, 5)

    await fire_in_time(database_url, database)

    assert await fired(database) == sorted(planted)
    assert await commits(database) > len(OWNERS)


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_shared_commit_that_fails_leaves_nobody_behind_the_late_triggers(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (due_shards, repository):
        monkeypatch.setattr(module, "LATE_AFTER", timedelta(hours=1))
    monkeypatch.setattr(batch, "TRIGGERS_PER_BATCH", 10)
    monkeypatch.setattr(dispatcher, "REQUERY_SECONDS", 0)
    monkeypatch.setattr(dispatcher, "WORKERS", 1)
    late = await plant_for_all(database, 50, details={"interval": "P1D", "recurring": True})
    await database.execute("""
        UPDATE triggers SET next_fire_at = next_fire_at - interval '2 h',
            anchor_at = anchor_at - interval '2 h'
    """)
    [refused, *sound] = await plant_for_all(database)
    await database.execute(FAIL.format(code="P0001", trigger_id=refused))

    await fire_all(database_url)

    assert await fired(database) == sorted([*late, *sound])
    [last_late, last_sound] = await database.fetchrow(
        """
        SELECT max(id) FILTER (WHERE trigger_id = ANY ($1)) AS late,
            max(id) FILTER (WHERE trigger_id = ANY ($2)) AS sound FROM events
        """,
        late,
        sound,
    )
    assert last_sound < last_late


async def test_a_trigger_that_cannot_be_read_is_set_aside_and_the_others_fire(
    database_url: str, database: Any
) -> None:
    [broken, *sound] = await plant_for_all(database)
    await database.execute("""UPDATE triggers SET details = '{"cron": 5}' WHERE id = $1""", broken)

    await fire_in_time(database_url, database)

    assert await fired(database) == sorted(sound)
    assert await commits(database) == shared_by(len(sound))
    assert await database.fetchval("SELECT status FROM triggers WHERE id = $1", broken) == "paused"


async def test_each_event_goes_to_the_destinations_of_its_own_trigger(
    idle: Service, database: Any
) -> None:
    made = set()
    for owner_id in OWNERS:
        client = idle.client(owner_id)
        destination = await make_destination(client, "https://example.com/hook")
        body = {"type": "scheduled", "name": "hourly", "details": {"interval": "PT1H"}}
        answer = await client.post("/triggers", json={**body, "destinations": [destination["id"]]})
        assert answer.status_code == 201, answer.text
        made.add((answer.json()["id"], destination["id"], owner_id % 64))

    await fire_in_time(idle.database_url, database)

    stored = await database.fetch("""
        SELECT deliveries.* FROM deliveries
        JOIN events ON events.shard = deliveries.shard AND events.id = event_id
            AND events.trigger_id = deliveries.trigger_id
    """)
    assert {(one["trigger_id"], one["destination_id"], one["shard"]) for one in stored} == made
    assert len(stored) == len(made)
    assert await commits(database) == shared_by(len(OWNERS))


async def test_heartbeats_of_several_projects_are_judged_together(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    clients = {"ada": ada, "bob": bob}
    made = {
        name: await make_heartbeat(client, payload={"of": name}) for name, client in clients.items()
    }
    for one in made.values():
        await ping(anonymous, one)
    await forget_outages(database)

    async with database.transaction():
        for one in made.values():
            await let_pass(database, one, LATE)

    for name, client in clients.items():
        [event] = await until_told(client, made[name], "silent")
        assert event["payload"]["of"] == name
