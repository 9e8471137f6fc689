"""Measures the orders and filters of lists over HTTP: many triggers in one project and in many."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.large_log import FIRING, plant_log, sweep_all, without_indexes
from bench.limits import at_most
from bench.load import Measured, get, load
from event_trigger.triggers.sorting import TriggerSort
from tests.faults.site import Site, site
from tests.support.databases import connect
from tests.support.services import ADA, ADMIN, BOB, token_of

PROJECTS = 5_000  # that the other half of the triggers is spread over, Bob's among them
NAMES = {ADA: "one project", BOB: "one of many", ADMIN: "all projects"}
_TRIGGERS = """
    INSERT INTO triggers (shard, owner_id, type, name, details, payload, tags, destination_ids,
        status, anchor_at, next_fire_at, last_fired_at)
    SELECT owner_id % 64, owner_id, kind, CASE WHEN n % 20 > 0 THEN 'Report ' || n * 7919 % $1 END,
        '{"interval": "PT1H", "recurring": true}', '{"report": "sales"}',
        CASE WHEN n % ($1 / 7) = 5 THEN '{rare,all}' ELSE '{all}' END::text[],
        CASE WHEN n % 1000 = 3 THEN '{7}' ELSE '{}' END::bigint[], status, now(),
        CASE WHEN status = 'active' AND kind = 'scheduled'
            THEN now() + interval '2 days' + n * 104729 % 86400 * interval '1 s' END,
        CASE WHEN n % 10 > 0 THEN now() - n * 15485863 % 172800 * interval '1 s' END
    FROM generate_series(1, $1::bigint) AS n,
        LATERAL (SELECT OWNER, CASE WHEN n % 10 = 0 THEN 'api' ELSE 'scheduled' END,
            CASE n % 50 WHEN 7 THEN 'completed' WHEN 8 THEN 'paused' ELSE 'active' END
        ) AS made (owner_id, kind, status)
"""
_SIDE_TABLES = {
    "trigger_tags": """
        INSERT INTO trigger_tags (shard, owner_id, tag, trigger_id)
        SELECT shard, owner_id, unnest(tags), id FROM triggers
    """,
    "trigger_sort_keys": """
        INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name, last_fired_at)
        SELECT shard, id, owner_id, lower(name), last_fired_at FROM triggers
    """,
    "trigger_destinations": """
        INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)
        SELECT shard, owner_id, unnest(destination_ids), id FROM triggers
    """,
    "deliveries": f"""
        INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
            triggered_at, is_test, payload_size, status, next_attempt_at, queued_at, finished_at,
            error)
        SELECT {ADA}, {ADA}, 1 + n % 20, 1 + n * 7919 % {FIRING}, n, 'scheduled', at, false, 0,
            status, NULL, at, at, CASE WHEN status = 'exhausted' THEN 'timeout' END
        FROM generate_series(1, $1::bigint) AS n, LATERAL (SELECT
            now() - (1 - n / $1::float) * interval '48 h',
            CASE WHEN n % 1000 = 0 THEN 'exhausted' ELSE 'delivered' END) AS made (at, status)
    """,
}
_IDS = "&".join(f"trigger_id={one}" for one in range(1, 101))
TRIGGERS = (
    *(f"limit=50&sort={one}" for one in TriggerSort),
    "limit=50&view=summary",
    "limit=50&sort=name&view=summary",
    "limit=50&sort=-last_fired_at&status=active",
    "limit=50&sort=next_fire_at&type=scheduled",
    "limit=50&sort=name&status=paused",
    "limit=50&sort=name&tag=rare",
    "limit=50&sort=name&tag=all&tag=rare",
    "limit=50&tag=all&tag=rare",
    "limit=50&sort=-last_fired_at&tag=all",
    "limit=50&destination_id=7",
    "limit=50&sort=next_fire_at&destination_id=7",
    "limit=50&failing=true",
    "limit=50&sort=name&failing=true",
    "limit=50&sort=name&q=report",
    "limit=50&key=none",
    "limit=50&id=1&id=2&id=3&sort=name",
)
EVENTS = (
    "limit=50",
    "limit=50&view=summary",
    "limit=50&include=deliveries",
    "limit=50&trigger_id=7&trigger_id=8",
    f"limit=50&{_IDS}",
    f"aggregate=true&{_IDS}",
)
DELIVERIES = (
    "limit=50",
    "limit=50&status=exhausted&status=retrying",
    "limit=50&error=timeout",
    "limit=50&until={yesterday}",
    "limit=50&since={yesterday}&until={later}",
)


@dataclass(frozen=True)
class Question:
    user_id: int
    path: str


def questions(now: datetime) -> Iterator[Question]:
    yesterday = now - timedelta(hours=24)
    times = {
        "yesterday": f"{yesterday:%Y-%m-%dT%H:%M:%SZ}",
        "later": f"{yesterday + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
    }
    for user_id in (ADA, BOB):
        yield from (Question(user_id, f"/triggers?{query}") for query in TRIGGERS)
    yield from (Question(ADA, f"/events?{query}") for query in EVENTS)
    yield from (Question(ADA, f"/deliveries?{query.format(**times)}") for query in DELIVERIES)


async def plant_lists(url: str, *, triggers: int, deliveries: int) -> None:
    """Adds as many triggers to Ada's project, and as many again to 5,000 projects."""
    database = await connect(url)
    await database.execute("SET maintenance_work_mem = '256MB'")
    spread = f"CASE WHEN n % {PROJECTS} = 0 THEN {BOB} ELSE 100 + n % {PROJECTS} END"
    async with without_indexes(database, "triggers"):
        for owner in (str(ADA), spread):
            await database.execute(_TRIGGERS.replace("OWNER", owner), triggers)
    for table, fill in _SIDE_TABLES.items():
        async with without_indexes(database, table):
            await database.execute(fill, *([deliveries] if "$1" in fill else ()))
    await database.execute("VACUUM ANALYZE")
    await database.close()


async def measure(built: Site, question: Question, *, count: int) -> Measured:
    url = built.replicas[0].url
    request = get(f"{url}{question.path}", token_of(question.user_id))
    await load(url, [request], callers=1, count=5)  # to warm up
    return await load(url, [request], callers=1, count=count)


async def measure_all(built: Site, *, count: int) -> AsyncIterator[str]:
    slowest = 0.0
    yield f"  {'triggers in':<14}{'what':<62}{'p50 ms':>8}{'p99 ms':>8}"
    for question in questions(datetime.now(UTC)):
        found = await measure(built, question, count=count)
        who = NAMES[question.user_id]
        yield f"  {who:<14}{question.path[:60]:<62}{found.p50:>8.1f}{found.p99:>8.1f}"
        if question.path in {f"/triggers?limit=50&sort={one}" for one in TriggerSort}:
            slowest = max(slowest, found.p99)
    yield at_most("p99 of the first page in each order", slowest, 10, " ms")


async def report_lists(*, triggers: int, events: int, count: int) -> list[str]:
    """Sends each request `count` times, by one caller."""
    async with site() as built:
        await plant_lists(built.url, triggers=triggers, deliveries=events // 10)
        database: Any = await connect(built.url)
        await plant_log(database, events)
        await database.execute("VACUUM ANALYZE events")
        await database.close()
        await sweep_all(built.url)
        await built.start(1)
        lines = [
            f"lists, {triggers:,} triggers in one project and in {PROJECTS:,}, {events:,} events:"
        ]
        return lines + [one async for one in measure_all(built, count=count)]
