"""Measures a Citus cluster beside one PostgreSQL: calls, a storm, and a node that is killed.

EVENT_TRIGGER_TEST_CITUS_BIN names the programs of a PostgreSQL with Citus. All nodes share this
machine's cores, so the ratios show the cost of a cluster; what it gains are cores of others.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bench.load import load, post
from bench.planned import plant_due
from bench.report import at_least, at_most, ratio, table
from bench.served import OWNERS, add_owners, default_site
from bench.storm import until_counted
from event_trigger.db.distribute import distribute
from event_trigger.db.engine import create_engine
from tests.faults.site import SECONDLY, Postgres, Site, make
from tests.support.cluster import CITUS_BIN, Cluster, link, running_cluster
from tests.support.databases import connect, create_database
from tests.support.processes import open_folder
from tests.support.projects import make_project
from tests.support.services import fill_with_people_and_partitions

CALLERS = 32
CALLED = 16  # projects; their shards are on both workers
LATEST_SECONDS = 10.0
_API = {"name": "called", "type": "api", "details": {}}
_BODY = b'{"amount": 12}'
# the last instant of each owner that fired, so that one that does not fire at all is late too
_LATEST = """
    SELECT max(late) FROM (
        SELECT owner_id, GREATEST(
            max(extract(epoch FROM triggered_at - scheduled_for)) FILTER (WHERE triggered_at > $2),
            extract(epoch FROM clock_timestamp() - max(scheduled_for)) - 1) AS late
        FROM events WHERE shard = ANY ($1) AND type = 'scheduled'
        GROUP BY owner_id
    ) AS owners
"""


class Late(NamedTuple):
    """Seconds of the latest event of an owner, before a worker is killed and while it is away."""

    before: float
    away: float


@asynccontextmanager
async def cluster_site() -> AsyncIterator[tuple[Site, Cluster]]:
    """Runs a durable cluster with a database that is distributed as an operator does it."""
    with running_cluster(durable=True) as cluster, open_folder(on_disk=True) as folder:
        url = await create_database(cluster.url)
        await fill_with_people_and_partitions(url)
        await link(url)
        engine = create_engine(url)
        await distribute(engine, lambda _: None)
        await engine.dispose()
        built = Site(folder, Postgres(folder), url, {"EVENT_TRIGGER_LOG_LEVEL": "info"})
        try:
            yield built, cluster
        finally:
            await built.end()


async def requests_of_owners(built: Site, owners: int) -> list[bytes]:
    """Makes a project with a trigger for each owner, and a request that calls it."""
    requests = []
    async with built.client() as client:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        for number in range(owners):
            project = str(await make_project(client, f"owner {number}"))
            of_project = {"X-Project-ID": project}
            made = await client.post("/triggers", json=_API, headers=of_project)
            url = f"{built.replicas[0].url}/triggers/{made.json()['id']}/trigger"
            requests.append(post(url, token, _BODY, **of_project))
    return requests


async def measure_storm(built: Site, owners: Sequence[int], count: int) -> float:
    """Returns events a second of triggers of these owners that are due at one instant.

    Afterwards it removes them: `verify` would read each one's records for minutes.
    """
    database = await connect(built.url)
    due_at = datetime.now(UTC) + timedelta(seconds=10 + count / 2_000)
    await plant_due(database, owners, count, due_at)
    assert datetime.now(UTC) < due_at, "planting took too long"
    await until_counted(built, database, count)
    found = await database.fetchrow(
        "SELECT count(*) AS all, count(DISTINCT trigger_id) AS fired, max(triggered_at) AS last"
        " FROM events WHERE type = 'scheduled'"
    )
    await database.execute("TRUNCATE triggers")
    await database.execute("TRUNCATE events")
    await database.close()
    assert found["all"] == found["fired"] == count, "some fired twice"
    return count / float((found["last"] - due_at).total_seconds())


async def measure_outage(
    built: Site, cluster: Cluster, owners: Sequence[int], *, seconds: float
) -> Late:
    """Kills a worker for some seconds; returns how late the owners on the other were at most.

    Each owner has a trigger that fires each second. None may fire twice.
    """
    for owner in owners:
        async with built.client(user_id=owner) as client:
            await make(client, SECONDLY)
    database = await connect(built.url)
    others = await shards_of(database, cluster.workers[1].address)
    began = datetime.now(UTC)
    await asyncio.sleep(seconds / 2)
    before = float(await database.fetchval(_LATEST, others, began))
    began = datetime.now(UTC)
    cluster.workers[0].kill()
    await asyncio.sleep(seconds)
    away = float(await database.fetchval(_LATEST, others, began))
    cluster.workers[0].start()
    await asyncio.sleep(seconds)
    twice = await database.fetch(
        "SELECT owner_id, trigger_id, scheduled_for FROM events"
        " WHERE type = 'scheduled' GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    await database.close()
    assert twice == [], "some fired twice"
    return Late(before, away)


async def shards_of(database: Any, address: str) -> list[int]:
    rows = await database.fetch(
        "SELECT shard FROM generate_series(0, 63) AS shard JOIN pg_dist_placement AS placed ON"
        " placed.shardid = get_shard_id_for_distribution_column('triggers', shard)"
        " JOIN pg_dist_node USING (groupid) WHERE nodename = $1",
        address,
    )
    return [row["shard"] for row in rows]


async def measure_all(
    built: Site, owners: Sequence[int], *, calls_for: float, storm: int
) -> dict[str, float]:
    """Returns calls and events a second; the calls are made for so many seconds."""
    requests = await requests_of_owners(built, CALLED)
    url = built.replicas[0].url
    speeds = {}
    for what, used in (("one owner", requests[:1]), (f"{CALLED} owners", requests)):
        await load(url, used, callers=CALLERS, seconds=calls_for / 10)  # to warm up
        measured = await load(url, used, callers=CALLERS, seconds=calls_for)
        speeds[f"calls, {what}"] = measured.per_second
    return {**speeds, f"storm, {OWNERS} owners": await measure_storm(built, owners, storm)}


async def report_cluster(*, calls_for: float, storm: int, outage: float) -> list[str]:
    title = f"a coordinator and two workers, {CALLERS} callers; a storm of {storm:,}:"
    if CITUS_BIN not in os.environ:
        return [title, f"  not run: {CITUS_BIN} names no PostgreSQL with Citus"]
    async with default_site() as plain:
        await plain.start(1)
        owners = await add_owners(plain.url)
        alone = await measure_all(plain, owners, calls_for=calls_for, storm=storm)
    async with cluster_site() as (built, cluster):
        await built.start(1)
        owners = await add_owners(built.url)
        spread = await measure_all(built, owners, calls_for=calls_for, storm=storm)
        late = await measure_outage(built, cluster, owners, seconds=outage)
        status, printed = built.audit()
    assert status == 0, printed  # each instant has its event, or the reason why it has none
    assert printed.startswith(f"{len(owners)} triggers, "), printed  # and none was left out
    rows = {what: (f"{one:,.0f} /s", f"{spread[what]:,.0f} /s") for what, one in alone.items()}
    return [
        *table(title, ("one server", "cluster"), rows),
        *(
            at_least(f"{what}, of one server", ratio(spread[what], alone[what]), 0.5, "×")
            for what in alone
        ),
        f"  latest event with both workers: {late.before:.1f} s",
        at_most("a worker away, latest event of the others", late.away, LATEST_SECONDS, " s"),
    ]
