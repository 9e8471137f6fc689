"""The schema comes from the migrations alone, also when several processes run them at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.migrate import migrate
from event_trigger.db.revisions import current_revision, is_migrated, newest_revision
from event_trigger.models import Base
from event_trigger.reconciliation.verify import verify
from tests.support.databases import connect
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.downtime import instants_of, until_caught_up
from tests.support.heartbeats import make_heartbeat
from tests.support.migrations import alembic, back_before_projects, downgrade, upgrade
from tests.support.planting import plant_triggers
from tests.support.reading import read_all
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, ADMIN, BOB, idle_service, running_service
from tests.support.triggers import make_api

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(empty_url)
    yield engine
    await engine.dispose()


async def tables_of(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def revision_of(engine: AsyncEngine) -> str | None:
    async with engine.connect() as connection:
        return await connection.run_sync(current_revision)


async def test_an_empty_database_gets_every_table(empty: AsyncEngine) -> None:
    await migrate(empty)

    assert await tables_of(empty) == {*Base.metadata.tables, "alembic_version"}
    assert await revision_of(empty) == newest_revision()


async def test_migrating_twice_changes_nothing(empty: AsyncEngine) -> None:
    await migrate(empty)
    before = await tables_of(empty)

    await migrate(empty)

    assert await tables_of(empty) == before


async def test_several_replicas_migrate_an_empty_database_at_once(empty_url: str) -> None:
    engines = [create_engine(empty_url) for _ in range(5)]

    await asyncio.gather(*(migrate(engine) for engine in engines))

    assert {await revision_of(engine) for engine in engines} == {newest_revision()}
    for engine in engines:
        await engine.dispose()


async def test_a_migration_waits_for_another_longer_than_a_statement_may(
    empty: AsyncEngine, empty_url: str
) -> None:
    other = await connect(empty_url)
    await other.execute("SELECT pg_advisory_lock($1)", 0x6576_7473)

    migrating = asyncio.create_task(migrate(empty))
    await asyncio.sleep(5.5)  # the lock_timeout of every other transaction is 5 s
    await other.close()
    await migrating

    assert await revision_of(empty) == newest_revision()


async def test_the_models_are_what_the_migrations_make(database_url: str) -> None:
    said = await asyncio.to_thread(alembic, database_url, "check")

    assert (said.returncode, said.stdout) == (0, "No new upgrade operations detected.\n"), said


@back_before_projects
async def test_a_person_can_go_down_to_nothing_and_up_again(database_url: str) -> None:
    engine = create_engine(database_url)

    down = await asyncio.to_thread(alembic, database_url, "downgrade", "base")
    left = await tables_of(engine)
    up = await asyncio.to_thread(alembic, database_url, "upgrade", "head")
    current = await asyncio.to_thread(alembic, database_url, "current")

    assert (down.returncode, up.returncode) == (0, 0), down.stderr + up.stderr
    assert left == {"alembic_version"}
    assert await tables_of(engine) == {*Base.metadata.tables, "alembic_version"}
    assert current.stdout == f"{newest_revision()} (head)\n"
    await engine.dispose()


async def test_the_previous_version_works_beside_a_newer_schema(database_url: str) -> None:
    database = await connect(database_url)
    await database.execute("UPDATE alembic_version SET version_num = '9999'")

    async with running_service(database_url) as service:
        ready: Any = await service.client().get("/readyz")
        listed = await service.client(ADA).get("/triggers")

    assert "migrated" not in ready.text
    assert listed.status_code == 200
    assert await database.fetchval("SELECT version_num FROM alembic_version") == "9999"
    await database.close()


@back_before_projects
async def test_triggers_of_the_version_before_are_accounted_for_from_then_on(
    database_url: str,
) -> None:
    database = await connect(database_url)
    await downgrade(database_url, "0001")
    long_ago = datetime.now(UTC) - timedelta(hours=3, minutes=30)
    [old] = await plant_triggers(database, due_at=long_ago)
    await upgrade(database_url)
    [late] = await plant_triggers(database, due_at=datetime.now(UTC))  # as older code adds them

    async with running_service(database_url):
        await until_caught_up(database, old, late)
    engine = create_engine(database_url)
    found = await verify(create_sessions(engine), keep_for=timedelta(hours=48))

    assert len(await instants_of(database, old)) == len(await instants_of(database, late)) == 1
    assert (found.triggers, found.findings) == (2, [])
    await engine.dispose()
    await database.close()


@back_before_projects
async def test_triggers_of_the_version_before_are_found_by_their_tags(database_url: str) -> None:
    async with running_service(database_url) as service:
        made = await make_api(service.client(ADA), tags=["a", "b"])
        await make_api(service.client(ADA))
    await downgrade(database_url, "0009")
    await upgrade(database_url)

    async with running_service(database_url) as service:
        found = [
            [one["id"] for one in await read_all(client, "/triggers", tag=tag)]
            for client, tag in (
                (service.client(ADA), "a"),
                (service.client(ADMIN, project="*"), "b"),
                (service.client(BOB), "a"),
            )
        ]

    assert found == [[made["id"]], [made["id"]], []]


async def test_tables_of_lists_are_filled_by_short_transactions_also_after_an_interruption(
    database_url: str,
) -> None:
    database = await connect(database_url)
    for owner_id, count in ((ADA, 6000), (BOB, 10)):
        await plant_triggers(database, count, owner_id=owner_id)
    await database.execute(
        "UPDATE triggers SET name = 'N' || id::text, destination_ids = '{2,1,2}'"
    )
    await downgrade(database_url, "0023")
    await database.execute(
        "INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name)"
        " SELECT shard, id, owner_id, lower(name) FROM triggers WHERE id % 100 = 0"
    )
    await database.execute("UPDATE alembic_version SET version_num = '0022'")

    await upgrade(database_url)

    [named] = await database.fetch(
        "SELECT count(*), count(DISTINCT keys.shard || ' ' || keys.xmin::text) AS written"
        " FROM trigger_sort_keys AS keys JOIN triggers USING (shard) WHERE id = trigger_id"
        " AND sort_name = lower(name) AND keys.owner_id = triggers.owner_id"
    )
    assert (named["count"], named["written"]) == (6010, 4)  # three, the last one in two shards
    pairs = "SELECT destination_id, count(*) FROM trigger_destinations GROUP BY 1 ORDER BY 1"
    assert [tuple(one) for one in await database.fetch(pairs)] == [(1, 6010), (2, 6010)]
    await database.close()


@back_before_projects
async def test_payloads_stored_once_go_back_to_each_delivery_and_are_sent_again(
    database_url: str,
) -> None:
    database = await connect(database_url)
    async with receiving() as receiver:
        async with running_service(database_url, **ALLOW_LOOPBACK) as service:
            ada = service.client(ADA)
            made = [await make_destination(ada, f"{receiver.url}/{one}") for one in range(2)]
            ids = [one["id"] for one in made]
            for one in ids:
                await ada.post(f"/destinations/{one}/disable")
            trigger = await make_api(ada, payload={"a": None}, destinations=ids)
            for _ in range(3):
                await fire(ada, trigger)
        # of one the event has the payload, of one nothing has
        await database.execute(
            "WITH gone AS (DELETE FROM delivery_payloads WHERE event_id > 1 RETURNING event_id)"
            " DELETE FROM events USING gone WHERE id = gone.event_id AND id = 3"
        )
        await downgrade(database_url, "0010")
        older = await database.fetch(
            "SELECT event_id, CAST(payload AS text) FROM deliveries ORDER BY id"
        )
        await upgrade(database_url)

        async with running_service(database_url, **ALLOW_LOOPBACK) as service:
            for one in ids:
                await service.client(ADA).post(f"/destinations/{one}/enable")
            await until_finished(service.client(ADA), 4)
        sent = [json.loads(one.body)["data"] for one in receiver.received]

    assert [tuple(row) for row in older] == [(one, '{"a": null}') for one in (1, 1, 2, 2)]
    assert sent == [{"a": None}] * 4
    await database.close()


async def test_what_the_version_before_formats_cannot_read_is_gone_after_a_way_back(
    database_url: str,
) -> None:
    database = await connect(database_url)
    async with idle_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        plain = await make_destination(ada, "http://127.0.0.1:9/a")
        payload = await make_destination(ada, "http://127.0.0.1:9/b", format="payload")
        hooks = (
            {"verify": "github", "methods": ["PUT"]},
            {"verify": "none"},
            {"verify": "stripe", "secret": "whsec_" + "a" * 32},
        )
        made = [await make_api(ada, details={"hook": one}) for one in hooks]
        heartbeat = await make_heartbeat(ada)

    await downgrade(database_url, "0025")

    stored = await database.fetch("SELECT id, disabled_reason, max_concurrency FROM destinations")
    assert {tuple(row) for row in stored} == {
        (plain["id"], None, 10),
        (payload["id"], "by_hand", 10),
    }
    details = await database.fetch("SELECT id, CAST(details AS jsonb) FROM triggers ORDER BY id")
    assert [json.loads(row[1]) for row in details] == [
        {"hook": {"verify": "github"}},
        {"hook": {"verify": "none"}},
        {},
        {"hook": {"verify": "none"}},
    ]
    [set_aside] = await database.fetch("SELECT id, type FROM triggers WHERE status = 'paused'")
    assert tuple(set_aside) == (heartbeat["id"], "api")
    kept = await database.fetch("SELECT trigger_id FROM hooks ORDER BY trigger_id")
    assert [row[0] for row in kept] == [*(one["id"] for one in made[:2]), heartbeat["id"]]
    await database.close()


async def test_an_older_schema_is_not_ready(empty: AsyncEngine) -> None:
    async with empty.connect() as connection:
        assert not await connection.run_sync(is_migrated)
