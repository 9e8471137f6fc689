"""Measures pings of heartbeats beside calls of hooks, and counts wrong states after a storm.

Three replicas share the storm, and one of them is killed while pings come, and again while all
heartbeats become silent at one instant.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from bench.gauges import connected
from bench.load import load, paced, post
from bench.report import WITHIN, at_least, at_most, ratio, table
from bench.served import default_site
from event_trigger.auth.credential_cache import hash_credential
from tests.faults.site import Site
from tests.support.heartbeats import forget_outages
from tests.support.processes import until_ready
from tests.support.services import ADA
from tests.support.triggers import make_api
from tests.support.waiting import eventually

REPLICAS, CALLERS = 3, 16
PERIOD = timedelta(minutes=65)  # an hour, and the grace
_AT_ONCE = 1e6  # pings a second: as fast as they are answered
_PLANT = """
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at)
    SELECT $1 % 64, $1, 'heartbeat', '{"interval":60,"grace":"PT5M","hook":{"verify":"none"}}',
        '{}', 'active', now()
    FROM generate_series(1, $2::int) RETURNING id
"""
_PLANT_HOOKS = """
    INSERT INTO hooks (token_hash, trigger_id, owner_id, verify, options, sealed, key_id)
    SELECT hash, id, $3, 'none', '{"verify": "none", "pings": true}', '', ''
    FROM unnest($1::bytea[], $2::bigint[]) AS made (hash, id)
"""
_LET_PASS = """
    UPDATE triggers SET anchor_at = anchor_at - $1::interval,
        last_ping_at = last_ping_at - $1::interval, next_fire_at = now()
    WHERE type = 'heartbeat'
"""
_COUNT_WRONG = """
    SELECT count(*) FROM triggers LEFT JOIN LATERAL (
        SELECT array_agg(payload ->> 'state' ORDER BY id) AS told FROM events
        WHERE events.trigger_id = triggers.id AND events.type = 'heartbeat'
    ) AS events ON true LEFT JOIN LATERAL (
        SELECT array_agg(state ORDER BY id) AS recorded FROM heartbeat_changes
        WHERE heartbeat_changes.trigger_id = triggers.id
    ) AS changes ON true
    WHERE type = 'heartbeat'
        AND NOT EXISTS (SELECT FROM unfired_ranges WHERE trigger_id = triggers.id) AND NOT (
        coalesce(told, '{}') = $1::text[] AND coalesce(recorded, '{}') = $1::text[]
        AND (silent_since IS NOT NULL) = $2 AND (next_fire_at IS NULL) = $2
        AND fire_count = cardinality($1::text[]))
"""
# on an overloaded machine no process may run for 5 s: then some deadlines say nothing
_COUNT_UNJUDGED = "SELECT count(DISTINCT trigger_id) FROM unfired_ranges"
_COUNT_JUDGED = f"""
    SELECT count(*) + ({_COUNT_UNJUDGED}) FROM triggers WHERE silent_since IS NOT NULL
"""
_SHARE_HOT = """
    SELECT n_tup_hot_upd::float / greatest(n_tup_upd, 1) FROM pg_stat_user_tables
    WHERE relname = 'triggers'
"""


async def report_heartbeats(*, count: int, seconds: float) -> list[str]:
    """Sends three pings to each of `count` heartbeats, and lets all be silent once."""
    async with default_site({"EVENT_TRIGGER_MAX_TRIGGERS": "0"}) as built:
        await built.start(1)
        lines = await _compare(built, seconds)
        await built.start(REPLICAS - 1)
        wrong, unjudged, took = await _storm(built, count)
    told = f"{3 * count:,} pings and {count:,} silences"
    return [
        *lines,
        f"{told} by {REPLICAS} replicas, of which one was killed four times: {took:.0f} s;"
        f" {unjudged} deadlines fell into a time when none ran",
        at_most(f"wrong states after {told}", wrong, 0),
    ]


async def _compare(built: Site, seconds: float) -> list[str]:
    """Measures calls of a hook, pings of one heartbeat, and the share of updates in their page."""
    served = built.replicas[0].url
    async with connected(built) as database, built.client() as client:
        hook = await make_api(client, details={"hook": {"verify": "none"}})
        [token] = await _plant(database, 1)
        called = await load(
            served, [post(hook["hook_url"], None, b"")], callers=CALLERS, seconds=seconds
        )
        await database.execute("SELECT pg_stat_reset()")
        pinged = await load(
            served, [post(f"{served}/hooks/{token}", None, b"")], callers=CALLERS, seconds=seconds
        )
        await asyncio.sleep(2)  # until the statistics are written
        hot = float(await database.fetchval(_SHARE_HOT))
    rows = {
        name: (f"{one.per_second:,.0f}", f"{one.p50:.1f}", f"{one.p99:.1f}")
        for name, one in {"calls of a hook": called, "pings of a heartbeat": pinged}.items()
    }
    return [
        *table("one replica", ("a second", "p50 ms", "p99 ms"), rows),
        at_least("pings, as a part of calls", ratio(pinged, called, "per_second"), 1),
        at_least("updates of the pinged row in its page", 100 * hot, 90, " %"),
    ]


async def _storm(built: Site, count: int) -> tuple[int, int, float]:
    async with connected(built) as database:
        await database.execute("DELETE FROM triggers WHERE type = 'heartbeat'")
        tokens, began = await _plant(database, count), time.perf_counter()
        for _ in range(2):
            await _ping_all(built, tokens)
        wrong = await database.fetchval(_COUNT_WRONG, [], False)
        await _killing(built, 1, lambda: _silence_all(database, count))
        wrong += await database.fetchval(_COUNT_WRONG, ["silent"], True)
        await _ping_all(built, tokens)
        wrong += await database.fetchval(_COUNT_WRONG, ["silent", "alive"], False)
        unjudged = await database.fetchval(_COUNT_UNJUDGED)
    return wrong, unjudged, time.perf_counter() - began


async def _plant(database: Any, count: int) -> Sequence[str]:
    """Adds heartbeats that wait for their first ping, and returns their tokens."""
    ids = [row["id"] for row in await database.fetch(_PLANT, ADA, count)]
    tokens = [secrets.token_urlsafe(32) for _ in ids]
    await database.execute(_PLANT_HOOKS, [*map(hash_credential, tokens)], ids, ADA)
    await database.execute("VACUUM ANALYZE triggers")
    return tokens


async def _ping_all(built: Site, tokens: Sequence[str]) -> None:
    """Pings each heartbeat at one of the replicas, and at another one if that was killed."""
    await _killing(
        built,
        0,
        lambda: asyncio.gather(
            *(_ping(built, tokens[number::REPLICAS], number) for number in range(REPLICAS))
        ),
    )


async def _ping(built: Site, tokens: Sequence[str], number: int) -> None:
    url = built.replicas[number].url
    requests = [post(f"{url}/hooks/{token}", None, b"") for token in tokens]
    try:
        await paced(url, requests, per_second=_AT_ONCE, count=len(requests), callers=CALLERS)
    except ConnectionError:
        await _ping(built, tokens, (number + 1) % REPLICAS)


async def _killing(built: Site, number: int, work: Callable[[], Awaitable[Any]]) -> None:
    """Kills a replica half a second after the work has begun, and starts another in its place."""
    await asyncio.gather(*map(until_ready, built.replicas))
    running = asyncio.ensure_future(work())
    await asyncio.sleep(0.5)
    built.kill(number)
    await running
    built.restart(number)


async def _silence_all(database: Any, count: int) -> None:
    """Moves the past of all heartbeats back, and waits until all are judged."""
    await forget_outages(database)  # the time before the replicas ran is in the last hour
    await database.execute(_LET_PASS, PERIOD)
    await eventually(
        lambda: database.fetchval(_COUNT_JUDGED),
        lambda judged: bool(judged >= count),
        within=WITHIN,
    )
