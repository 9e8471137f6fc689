"""On a real cluster, every kind of statement works, and a node that is away holds up no other.

EVENT_TRIGGER_TEST_CITUS_BIN names the programs of a PostgreSQL with Citus; without it, this module
is skipped. One cluster and one database serve all its tests.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from aiohttp import web
from sqlalchemy import make_url, text

from event_trigger.db.citus.placement import Placement, tables_of
from event_trigger.db.citus.plan import ROLE_SETTINGS
from event_trigger.db.distribute import distribute
from event_trigger.db.embedded.postmaster import PORT
from event_trigger.db.engine import APPLICATION_NAME, Sessions, create_engine, create_sessions
from event_trigger.db.nodes import check_nodes
from event_trigger.db.shards import OwnedId
from event_trigger.db.stuck_backends import end_stuck_backends
from event_trigger.db.transactions import Transactions
from event_trigger.events.announcer import Announcer
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from event_trigger.firing.called_events import NewEvent, store_events
from event_trigger.models import shard_of
from event_trigger.scheduling.batch import BatchRequest, fire_next_batch
from tests.support.cluster import CITUS_BIN, Cluster, Node, link, needs_citus, running_cluster
from tests.support.commands import Here
from tests.support.databases import connect, create_database, in_database
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.heartbeats import (
    events_told,
    forget_outages,
    let_pass,
    make_heartbeat,
    ping,
)
from tests.support.logins import refresh, sign_in
from tests.support.planting import plant_triggers
from tests.support.processes import with_database
from tests.support.projects import make_project
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import (
    ADA,
    ADMIN,
    Service,
    fill_with_people_and_partitions,
    running_service,
)
from tests.support.shards import ShardWatch
from tests.support.triggers import make_api, make_scheduled, read
from tests.support.waiting import eventually

pytestmark = needs_citus

KEPT = 5  # events that were stored before the database was distributed


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> str:
    """A database with events, distributed as an operator does it."""
    return asyncio.run(_distributed(cluster))


async def _distributed(cluster: Cluster) -> str:
    url = await create_database(cluster.url)
    await fill_with_people_and_partitions(url)
    database = await connect(url)
    await plant_triggers(database, KEPT, due_at=datetime.now(UTC) + timedelta(days=1))
    await database.execute(
        "INSERT INTO events (shard, owner_id, trigger_id, type, is_test)"
        " SELECT shard, owner_id, id, 'api', false FROM triggers"
    )
    await database.close()
    await link(url)
    engine = create_engine(url)
    assert await distribute(engine, lambda _: None) > 0
    await engine.dispose()
    return url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Any]:
    connection = await connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def service(url: str) -> AsyncIterator[Service]:
    async with running_service(url, **ALLOW_LOOPBACK) as running:
        yield running


async def test_every_row_is_kept_every_node_is_set_and_nothing_is_left_to_do(
    cluster: Cluster, url: str, database: Any
) -> None:
    engine = create_engine(url)

    again = await distribute(engine, lambda _: None)

    await engine.dispose()
    kept = await database.fetchval("SELECT count(*) FROM events")
    placed = await database.fetch(
        "SELECT table_name::text AS name FROM citus_tables WHERE NOT table_name::text ~ '^events_p'"
    )
    used = await database.fetch("SELECT DISTINCT nodename FROM citus_shards")
    assert (again, kept) == (0, KEPT)
    assert {row["name"] for row in placed} == {
        table.name for table in tables_of(Placement.DISTRIBUTED)
    }
    assert {row["nodename"] for row in used} == {worker.address for worker in cluster.workers}
    for node in (cluster.coordinator, *cluster.workers):
        assert await settings_of(node, url) == ROLE_SETTINGS


async def settings_of(node: Node, url: str) -> dict[str, str]:
    """Reads the settings of the role in the database from a node's catalogue."""
    database = await connect(in_database(node.url, make_url(url).database or ""))
    rows = await database.fetch("SELECT unnest(setconfig) AS setting FROM pg_db_role_setting")
    await database.close()
    pairs = (row["setting"].partition("=") for row in rows)
    return {name.lower(): value for name, _, value in pairs}


async def test_partitions_are_made_closed_and_dropped(url: str) -> None:
    start = datetime(2199, 1, 1, tzinfo=UTC)
    made = [
        Partition(start + timedelta(hours=one), start + timedelta(hours=one + 1))
        for one in range(3)
    ]
    engine = create_engine(url)
    sessions = create_sessions(engine)

    async with sessions.begin() as session:
        for one in made:
            await Partitions(session).add(one)
    for work in (Partitions.close, Partitions.close, Partitions.purge):
        for one in made:
            async with sessions.begin() as session:
                await work(Partitions(session), one)

    async with sessions() as session:
        left = await Partitions(session).list_all()
    await engine.dispose()
    assert not set(left) & set(made)


async def test_every_kind_of_event_is_stored_and_delivered(service: Service) -> None:
    client = service.client(ADA)
    async with receiving() as receiver:
        made = await make_destination(client, receiver.url)
        called = await make_api(client, destinations=[made["id"]])
        fired = await fire(client, called)
        await fire(client, called, "test")
        replayed = await client.post(f"/events/{fired}/replay")
        planned = {"interval": "PT1S", "recurring": True, "max_fires": 1}
        scheduled = await make_scheduled(client, planned, destinations=[made["id"]])
        await until_finished(client, 4)
        received = len(receiver.received)

    assert replayed.status_code == 201
    assert received == 4
    assert (await read(client, called["id"]))["fire_count"] == 1
    assert (await read(client, scheduled["id"]))["fire_count"] == 1


async def test_a_call_with_a_key_is_answered_from_its_first(service: Service) -> None:
    client = service.client(ADA)
    called = await make_api(client)
    path, headers = f"/triggers/{called['id']}/trigger", {"Idempotency-Key": "once"}

    answers = [await client.post(path, json={"n": 1}, headers=headers) for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert (await read(client, called["id"]))["fire_count"] == 1


async def test_lists_counts_and_reports_are_read_of_one_project_and_of_all(
    service: Service,
) -> None:
    client = service.client(ADA)
    ids = [(await make_api(client))["id"] for _ in range(2)]
    paths = (
        "/events",
        f"/events?trigger_id={ids[0]}",
        f"/events?trigger_id={ids[0]}&trigger_id={ids[1]}",
        f"/events/export?trigger_id={ids[0]}&trigger_id={ids[1]}",
        "/events?status=archived",
        "/events/counts",
        "/events/stats",
        "/events/export",
        "/triggers?sort=name",
        "/triggers",
        "/deliveries",
        "/destinations",
        "/overview",
        "/sets",
        "/calendars",
    )
    clients = (service.client(ADA), service.client(ADMIN, project="*"))

    answers = {path: [await client.get(path) for client in clients] for path in paths}

    failed = {
        path: [one.text for one in both if one.status_code >= 500]
        for path, both in answers.items()
        if any(one.status_code >= 500 for one in both)
    }
    assert failed == {}


async def test_the_job_that_follows_triggers_names_their_destinations(
    service: Service, database: Any
) -> None:
    client = service.client(ADA)
    made = await make_destination(client, "https://1.1.1.1/hook")
    trigger = await make_api(client, destinations=[made["id"]])
    pairs = "SELECT destination_id FROM trigger_destinations WHERE trigger_id = $1"
    await database.execute(
        "UPDATE trigger_destinations SET destination_id = 0 WHERE shard = $1 AND trigger_id = $2",
        ADA,
        trigger["id"],
    )

    named = await eventually(
        lambda: database.fetch(pairs, trigger["id"]), lambda rows: [*map(tuple, rows)] != [(0,)]
    )

    assert [*map(tuple, named)] == [(made["id"],)]


async def test_a_statement_that_a_worker_runs_is_not_taken_for_a_stuck_one(
    url: str, database: Any
) -> None:
    working = await connect(url)
    await working.execute(f"SET application_name = '{APPLICATION_NAME}'")
    asked = asyncio.create_task(
        working.fetchval("SELECT count(pg_sleep(0.5)) FROM triggers WHERE shard = 2")
    )
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'"
    )
    await eventually(lambda: database.fetchval(waiting, APPLICATION_NAME), lambda one: one == 1)

    engine = create_engine(url, connections=1)
    async with create_sessions(engine).begin() as session:
        await end_stuck_backends(session, after=0.0)
    await engine.dispose()

    assert await asked >= KEPT
    await working.close()


async def test_sign_ins_and_refreshes_at_once_do_not_wait_for_each_other_in_a_circle(
    service: Service,
) -> None:
    client = service.client()
    people = ("ada@example.com", "bob@example.com")

    async def come_and_go(email: str) -> int:
        tokens = await sign_in(client, email)
        return (await refresh(client, tokens)).status_code

    statuses = await asyncio.gather(*(come_and_go(people[number % 2]) for number in range(24)))

    assert set(statuses) == {200}


async def test_the_events_of_calls_are_committed_by_one_node_alone(url: str) -> None:
    new = [
        NewEvent(OwnedId(ADA, trigger_id), '{"a": 1}', is_test=False, has_destinations=False)
        for trigger_id in (1, 2, 3)
    ]

    async with watched_sessions(url) as (sessions, lines), sessions.begin() as session:
        stored = await store_events(session, new, announces=False)

    assert len({one.id for one in stored}) == 3
    assert any("INSERT INTO public.events" in line for line in lines)
    assert not [line for line in lines if "PREPARE TRANSACTION" in line or "COPY" in line]


async def test_due_events_are_committed_by_one_node_alone_and_have_ids_of_one_sequence(
    url: str, database: Any
) -> None:
    owner, at = 3001, datetime.now(UTC) - timedelta(seconds=5)
    planted = await plant_triggers(database, 3, owner_id=owner, due_at=at)
    before = await database.fetchval("SELECT nextval('events_id_seq')")

    async with watched_sessions(url) as (sessions, lines):
        announcer = Announcer(Transactions(sessions))
        request = BatchRequest([shard_of(owner)], late=True)
        count = await fire_next_batch(sessions, request, lambda _: None, announcer)
        await announcer.end()

    rows = await database.fetch(
        "SELECT id, trigger_id, scheduled_for FROM events WHERE shard = $1::int % 64"
        " AND owner_id = $1",
        owner,
    )
    assert count == 3
    assert {row["trigger_id"]: row["scheduled_for"] for row in rows} == dict.fromkeys(planted, at)
    assert sorted(row["id"] - before for row in rows) == [1, 2, 3]
    assert any("INSERT INTO public.events" in line for line in lines)
    assert not [line for line in lines if "PREPARE TRANSACTION" in line or "COPY" in line]


async def test_batches_of_every_kind_are_stored_as_a_whole(
    service: Service, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    client = service.client(ADA)
    await forget_outages(database)
    async with receiving() as receiver:
        made = await make_destination(client, receiver.url)
        tomorrow, earlier = (datetime.now(UTC) + timedelta(seconds=one) for one in (86_400, -5))
        planted = await plant_triggers(database, 3, due_at=tomorrow)
        await database.execute(
            "UPDATE triggers SET destination_ids = ARRAY[$3::bigint], next_fire_at = $4"
            " WHERE shard = $1 AND id = ANY ($2)",
            *(ADA, planted, made["id"], earlier),
        )
        heartbeats = [await make_heartbeat(client) for _ in range(2)]
        for one in heartbeats:
            await ping(client, one)
            await let_pass(database, one, timedelta(hours=2))

        delivered = await until_finished(client, 3, destination_id=made["id"])
        for one in heartbeats:
            await eventually(partial(events_told, client, one), lambda told: len(told) == 1)

    assert {one["trigger_id"] for one in delivered} == {*planted}
    assert "batch_failed" not in capsys.readouterr().out


@asynccontextmanager
async def watched_sessions(url: str) -> AsyncIterator[tuple[Sessions, list[str]]]:
    """Gives sessions of one connection, and what the coordinator sends to the nodes for it."""
    lines: list[str] = []
    engine = create_engine(url, connections=1)
    sessions = create_sessions(engine)
    async with sessions.begin() as session:
        connection = await (await session.connection()).get_raw_connection()
        driver: Any = connection.driver_connection
        driver.add_log_listener(lambda _, message: lines.append(message.message))
        await session.execute(text("SET citus.log_remote_commands = on"))
        await session.execute(text("SET client_min_messages = notice"))
    yield sessions, lines
    await engine.dispose()


async def test_a_backup_of_a_cluster_is_restored_on_one_server(
    cluster: Cluster, url: str, here: Here
) -> None:
    one_server = await create_database(cluster.url)
    programs = {"EVENT_TRIGGER_PG_BIN": os.environ[CITUS_BIN]}
    there, elsewhere = with_database(url) | programs, with_database(one_server) | programs

    written = await asyncio.to_thread(here, "backup", "a.backup", **there)
    restored = await asyncio.to_thread(here, "restore", "a.backup", **elsewhere)
    verified = await asyncio.to_thread(here, "verify", **elsewhere)

    database = await connect(one_server)
    kept = await database.fetchval("SELECT count(*) FROM events")
    await database.close()
    assert [one.code for one in (written, restored, verified)] == [0, 0, 0]
    assert "only if every replica was stopped" in written.out
    assert kept >= KEPT


async def test_a_cluster_goes_back_to_versions_before_and_up_again(
    cluster: Cluster, here: Here, shard_watch: ShardWatch
) -> None:
    url = await _distributed(cluster)
    settings = with_database(url)

    back = await asyncio.to_thread(here, "migrate", "--back-to", "0016", **settings)
    again = await asyncio.to_thread(here, "migrate", **settings)
    spread = await asyncio.to_thread(here, "distribute", **settings)
    checked = await asyncio.to_thread(here, "check", **settings)

    database = await connect(url)
    kept = await database.fetchval("SELECT count(*) FROM events")
    await database.close()
    assert [one.code for one in (back, again, spread, checked)] == [0, 0, 0, 0], back.err
    assert kept == KEPT
    shard_watch.offenders.clear()  # those of the way back, which rewrites whole tables


async def test_owners_on_other_nodes_fire_while_one_node_is_away(
    cluster: Cluster, service: Service, database: Any, url: str
) -> None:
    owners = {await node_of(database, owner): owner for owner in range(1000, 1064)}
    assert set(owners) == {worker.address for worker in cluster.workers}
    away = cluster.workers[0]
    soon = datetime.now(UTC) + timedelta(seconds=1)
    due = {
        node: await plant_triggers(database, 3, owner_id=owner, due_at=soon)
        for node, owner in owners.items()
    }

    away.kill()
    try:
        seen_away = await nodes_of(url)
        for node in due.keys() - {away.address}:
            await until_fired(database, owners[node])
    finally:
        away.start()

    await until_fired(database, owners[away.address])
    back = await nodes_of(url)
    assert [address for address, answers in seen_away.items() if not answers] == [
        f"{away.address}:{PORT}"
    ]
    assert all(back.values())
    assert len(back) == 1 + len(cluster.workers)


async def test_calls_and_deliveries_of_other_nodes_go_on_while_one_node_is_away(
    cluster: Cluster, service: Service, database: Any
) -> None:
    client = service.client(ADA)
    home, owner = await node_of(database, ADA), ADA + 64 * 50  # of the same shard
    [away] = [one for one in cluster.workers if one.address != home]
    async with receiving() as receiver:
        made = await make_destination(client, receiver.url)
        called = await make_api(client, destinations=[made["id"]])
        planned = {"interval": "PT1S", "recurring": True, "max_fires": 3}

        away.kill()
        try:
            scheduled = await make_scheduled(client, planned, destinations=[made["id"]])
            for _ in range(3):
                await fire(client, called)
            delivered = await until_finished(client, 6, destination_id=made["id"])
            missed = datetime.now(UTC) - timedelta(hours=5)  # so that some do not fire
            await plant_triggers(database, 3, owner_id=owner, due_at=missed)
            await eventually(lambda: fired(database, owner), lambda count: count >= 3)
        finally:
            away.start()

    assert Counter(one["trigger_id"] for one in delivered) == {called["id"]: 3, scheduled["id"]: 3}
    assert {one["status"] for one in delivered} == {"delivered"}


async def test_outcomes_of_one_node_are_recorded_while_those_of_another_have_to_wait(
    cluster: Cluster, service: Service, database: Any
) -> None:
    """The owners of the node that is away are so many that nobody could wait for each of them."""
    client, home = service.client(ADA), await node_of(database, ADA)
    [away] = [one for one in cluster.workers if one.address != home]
    may_answer = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with receiving() as receiver:
        receiver.answers["/away"] = answer
        here = await make_destination(client, f"{receiver.url}/here", max_concurrency=1)
        called = await make_api(client, destinations=[here["id"]])
        there: list[httpx.AsyncClient] = []
        while len(there) < 20:
            project = await make_project(client)
            if await node_of(database, project) == away.address:
                there.append(service.client(ADA, project=project))
        for one in there:
            made = await make_destination(one, f"{receiver.url}/away")
            await fire(one, await make_api(one, destinations=[made["id"]]))

        async def claimed() -> int:
            return len(receiver.at("/away"))

        await eventually(claimed, lambda count: count == len(there))

        away.kill()
        try:
            may_answer.set()
            for _ in range(8):
                await fire(client, called)
            delivered = await until_finished(client, 8, destination_id=here["id"])
        finally:
            away.start()
        for one in there:
            delivered += await until_finished(one)

    assert {one["status"] for one in delivered} == {"delivered"}


async def nodes_of(url: str) -> dict[str, bool]:
    engine = create_engine(url)
    async with engine.connect() as connection:
        found = await check_nodes(connection)
    await engine.dispose()
    return found


async def node_of(database: Any, owner: int) -> str:
    """Names the node that holds an owner's rows."""
    node: str = await database.fetchval(
        "SELECT nodename FROM pg_dist_placement JOIN pg_dist_node USING (groupid)"
        " WHERE shardid = get_shard_id_for_distribution_column('triggers', $1::int % 64)",
        owner,
    )
    return node


async def until_fired(database: Any, owner: int) -> None:
    await eventually(lambda: fired(database, owner), lambda count: count == 3)


async def fired(database: Any, owner: int) -> int:
    count: int = await database.fetchval(
        "SELECT count(*) FROM events WHERE shard = $1::int % 64 AND owner_id = $1", owner
    )
    return count
