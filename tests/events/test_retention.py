"""Events are archived, counted and purged: to the second for readers, by partition on disk."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.config import Settings
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.events.counts import count_by_trigger
from event_trigger.events.filters import EventFilter
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import (
    archive,
    count,
    make_partitions,
    purge,
    sum_blocks,
    sweep,
)
from event_trigger.events.window import TimeWindow
from tests.support.databases import connect, now_of
from tests.support.one_server import one_server
from tests.support.plans import plans_of, tables_scanned
from tests.support.planting import plant_event, plant_triggers
from tests.support.reading import read_all
from tests.support.services import ADA, BOB, idle_service, make_settings, running_service
from tests.support.waiting import eventually

HOUR = timedelta(hours=1)
ACTIVE_FOR, KEEP_FOR = timedelta(seconds=1.5), timedelta(seconds=5)
SECONDS = {
    "active_for": ACTIVE_FOR,
    "keep_for": KEEP_FOR,
    "retention_interval": timedelta(seconds=0.5),
}
# partitions of a second each: ten a second, as above, pile up where dropping them is slow
WIDER = SECONDS | {"keep_for": timedelta(seconds=48)}
RETENTION_LOCK = 0x6576_7273


@pytest.fixture
async def short_lived(unpartitioned_url: str) -> AsyncIterator[Any]:
    connection = await connect(unpartitioned_url)
    yield connection
    await connection.close()


@pytest.fixture
async def seconds_url(unpartitioned_url: str, short_lived: Any) -> AsyncIterator[str]:
    """A database with a partition for each second that WIDER keeps, whose oldest ones go soon."""
    engine = create_engine(unpartitioned_url)
    sessions = create_sessions(engine)
    await make_partitions(sessions, make_settings(unpartitioned_url, **WIDER))
    await plant_past(short_lived, await make_past(sessions, 47, width=timedelta(seconds=1)))
    yield unpartitioned_url
    await engine.dispose()


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()


async def api_trigger(client: httpx.AsyncClient) -> int:
    answer = await client.post("/triggers", json={"type": "api"})
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


async def fire(client: httpx.AsyncClient, trigger_id: int, how: str = "trigger") -> str:
    answer = await client.post(f"/triggers/{trigger_id}/{how}")
    assert answer.status_code == 200, answer.text
    return answer.headers["Location"]


async def partitions_of(database: Any) -> list[dict[str, Any]]:
    rows = await database.fetch("SELECT * FROM event_partitions ORDER BY starts_at")
    return [dict(row) for row in rows]


async def tables_of(database: Any) -> set[str]:
    rows = await database.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'events'::regclass"
    )
    return {row["name"] for row in rows}


async def make_past(sessions: Sessions, count: int, *, width: timedelta = HOUR) -> list[Partition]:
    """Adds partitions before those that exist, hours by default; gives them, oldest first."""
    async with sessions.begin() as session:
        first = min(await Partitions(session).list_all()).starts_at
        past = [Partition(first - n * width, first - (n - 1) * width) for n in range(count, 0, -1)]
        for partition in past:
            await Partitions(session).add(partition)
    return past


async def plant_past(database: Any, partitions: list[Partition], *, each: int = 10) -> None:
    chance = random.Random(48)
    for partition in partitions:
        width = partition.ends_at - partition.starts_at
        for _ in range(each):
            await plant_event(
                database,
                owner_id=chance.choice((ADA, BOB)),
                trigger_id=chance.randint(1, 4),
                triggered_at=partition.starts_at + chance.random() * width,
                kind=chance.choice(("api", "scheduled")),
                is_test=chance.random() < 0.3,
            )


async def plant_blocks(
    database: Any, sessions: Sessions, settings: Settings, *, hours: int
) -> None:
    await plant_past(database, await make_past(sessions, hours))
    await archive(sessions, settings)
    await sum_blocks(sessions, settings)


async def counted(client: httpx.AsyncClient, **filters: Any) -> Counter[int]:
    answer = await client.get("/events", params={"aggregate": "true", **filters})
    assert answer.status_code == 200, answer.text
    return Counter({one["trigger_id"]: one["count"] for one in answer.json()})


def rows_counted(events: list[dict[str, Any]]) -> Counter[int]:
    return Counter(one["trigger_id"] for one in events)


async def agree(client: httpx.AsyncClient, **filters: Any) -> bool:
    """Compares counts with rows; False if the rows changed during it, which proves nothing."""
    before = await read_all(client, "/events", **filters)
    counts = await counted(client, **filters)
    after = await read_all(client, "/events", **filters)
    if [one["id"] for one in before] != [one["id"] for one in after]:
        return False
    assert counts == rows_counted(before), filters
    return True


def some_filters(chance: random.Random, *, start: datetime, end: datetime) -> dict[str, Any]:
    def instant() -> str:
        return (start + chance.random() * (end - start)).isoformat()

    since, until = sorted((instant(), instant()))
    possible = {
        "type": chance.choice(("api", "scheduled")),
        "is_test": chance.choice(("true", "false")),
        "trigger_id": chance.randint(1, 4),
        "since": since,
        "until": until,
        "state": chance.choice(("active", "archived")),
    }
    return {name: value for name, value in possible.items() if chance.random() < 0.4}


async def test_an_event_is_active_then_archived_then_gone_to_the_second(
    unpartitioned_url: str, short_lived: Any
) -> None:
    seen = set()
    async with running_service(unpartitioned_url, **SECONDS) as service:
        ada = service.client(ADA)
        location = await fire(ada, await api_trigger(ada))
        triggered_at = datetime.fromisoformat((await ada.get(location)).json()["triggered_at"])

        def states_within(start: datetime, end: datetime) -> set[str]:
            ages = {"active": timedelta(0), "archived": ACTIVE_FOR, "gone": KEEP_FOR}
            ends = [*ages.values(), timedelta.max]
            return {
                state
                for number, (state, age) in enumerate(ages.items())
                if end - triggered_at >= age and start - triggered_at < ends[number + 1]
            }

        while "gone" not in seen:
            before = await now_of(short_lived)
            read, listed, counts = await asyncio.gather(
                ada.get(location), read_all(ada, "/events"), counted(ada)
            )
            possible = states_within(before, await now_of(short_lived))
            state = read.json()["state"] if read.status_code == 200 else "gone"
            assert state in possible
            assert (listed[0]["state"] if listed else "gone") in possible
            assert counts.total() == 1 or "gone" in possible
            assert counts.total() == 0 or possible != {"gone"}
            seen.add(state)
            await asyncio.sleep(0.02)

    assert seen == {"active", "archived", "gone"}


async def test_counts_agree_with_the_rows_while_partitions_close_and_go(
    seconds_url: str, short_lived: Any
) -> None:
    chance = random.Random(2)
    keep_for, oldest = WIDER["keep_for"], sorted(await tables_of(short_lived))[:3]
    compared, closed = 0, False
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(running_service(seconds_url, **WIDER)) for _ in range(2)
        ]
        ada = first.client(ADA)
        triggers = [await api_trigger(ada) for _ in range(2)]
        details = {"interval": "PT1S", "recurring": True}
        await ada.post("/triggers", json={"type": "scheduled", "details": details})

        async def fire_on() -> None:
            while True:
                await fire(ada, chance.choice(triggers), chance.choice(("trigger", "test")))
                await asyncio.sleep(0.05)

        async def late() -> int:
            query = "SELECT count(*) FROM event_partitions WHERE ends_at < now() - $1::interval"
            number: int = await short_lived.fetchval(query, keep_for + KEEP_FOR)
            return number

        firing = asyncio.create_task(fire_on())
        reader = second.client(ADA)
        while compared < 20 or not closed or {*oldest} & await tables_of(short_lived):
            now = await now_of(short_lived)
            filters = some_filters(chance, start=now - keep_for, end=now)
            if chance.random() < 0.5:  # half of the windows lose no row while they are read
                filters |= {"since": (now - keep_for / 2).isoformat(), "until": now.isoformat()}
            compared += await agree(reader, **filters)
            closed |= await short_lived.fetchval("SELECT EXISTS (SELECT 1 FROM event_counts)")
            await eventually(late, lambda number: number == 0)  # or slow reads keep them all
            await asyncio.sleep(0.1)  # time has to pass, and reading faster does not make it
        firing.cancel()


async def test_counts_of_closed_partitions_answer_every_filter_as_the_rows_do(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    chance = random.Random(3)
    await plant_past(database, await make_past(sessions, 50))
    await archive(sessions, make_settings(database_url))

    async with running_service(database_url) as service:
        ada = service.client(ADA)
        now = datetime.now(UTC)
        agreed = [
            await agree(ada, **some_filters(chance, start=now - 50 * HOUR, end=now))
            for _ in range(60)
        ]
        everything = await counted(service.client(1, project="*"))

    assert all(agreed)
    assert everything.total() == await database.fetchval(
        "SELECT count(*) FROM events WHERE triggered_at > now() - interval '48 hours'"
    )
    assert await database.fetchval("SELECT count(DISTINCT shard) FROM event_counts") == 2


async def test_counts_agree_with_the_rows_however_far_open_partitions_are_counted(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    chance = random.Random(4)
    past = await make_past(sessions, 6)
    agreed = []

    async def count_some() -> None:
        async with sessions.begin() as session:
            for partition in chance.sample(past, k=4):
                await Partitions(session).count(partition)

    async def read_back(ada: httpx.AsyncClient) -> None:
        now = datetime.now(UTC)
        filters = [some_filters(chance, start=now - 7 * HOUR, end=now) for _ in range(15)]
        agreed.extend([await agree(ada, **one) for one in filters])

    async with idle_service(database_url) as service:
        ada = service.client(ADA)
        for _ in range(3):
            await plant_past(database, past)
            await count_some()
            await read_back(ada)
        await plant_past(database, past)
        await archive(sessions, make_settings(database_url))
        await read_back(ada)
        counted = await database.fetchval("SELECT count(DISTINCT below) FROM slot_counts")

    assert all(agreed)
    assert counted == 3


async def test_closed_partitions_are_summed_in_blocks_that_answer_every_filter(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    chance = random.Random(5)
    settings = make_settings(database_url)
    await plant_past(database, await make_past(sessions, 50))
    await archive(sessions, settings)

    await sum_blocks(sessions, settings)
    blocks = await database.fetch(
        "SELECT starts_at, sum(count) FROM block_counts GROUP BY starts_at ORDER BY starts_at"
    )
    parts = await database.fetch(
        "SELECT partition_starts_at, sum(count) FROM event_counts GROUP BY partition_starts_at"
    )
    in_blocks = (
        "SELECT starts_at FROM event_partitions WHERE block_starts_at > now() - $1::interval"
    )
    async with idle_service(database_url) as service:
        ada, now = service.client(ADA), datetime.now(UTC)
        filters = [some_filters(chance, start=now - 50 * HOUR, end=now) for _ in range(40)]
        agreed = [await agree(ada, **one) for one in [{}, *filters]]
        # blocks that lie wholly in the window are read alone
        starts = [row["starts_at"] for row in await database.fetch(in_blocks, 48 * HOUR)]
        await database.execute(
            "DELETE FROM event_counts WHERE partition_starts_at = ANY ($1)", starts
        )
        without_parts = await agree(ada)

    assert [one["starts_at"] - blocks[0]["starts_at"] for one in blocks] == [
        number * 6 * HOUR for number in range(8)
    ]
    for start, total in blocks:
        within = [count for at, count in parts if start <= at < start + 6 * HOUR]
        assert total == sum(within) > 0
    assert (all(agreed), without_parts) == (True, True)


async def test_a_block_is_purged_with_its_first_partition_and_the_others_count_singly(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    await plant_blocks(database, sessions, make_settings(database_url), hours=50)

    shorter = make_settings(database_url, keep_for=40 * HOUR)
    await sweep(sessions, shorter)

    now = await now_of(database)
    oldest = min(one["starts_at"] for one in await partitions_of(database))
    kept = await database.fetchval("SELECT min(starts_at) FROM block_counts")
    assert now - 41 * HOUR <= oldest < kept <= oldest + 6 * HOUR
    async with idle_service(
        database_url
    ) as service:  # with the default of 48 hours, which shows all
        assert await agree(service.client(ADA))


async def test_counting_reads_no_row_of_a_closed_partition(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    await plant_blocks(database, sessions, make_settings(database_url), hours=22)
    engine, now = create_engine(database_url), await now_of(database)

    async def count_all(session: AsyncSession) -> None:
        await count_by_trigger(session, EventFilter(ADA, TimeWindow(now - 48 * HOUR, None)))

    plan = (await plans_of(engine, count_all))[-1]

    await engine.dispose()
    partitions = await partitions_of(database)
    open_ones = [one for one in partitions if one["closed_at"] is None]
    tables = {Partition(one["starts_at"], one["ends_at"]).table for one in open_ones}
    assert len(open_ones) < len(partitions)
    assert {"event_counts", "block_counts"} < tables_scanned(plan)
    assert tables_scanned(plan) <= tables | {"event_counts", "block_counts"}


@pytest.mark.parametrize("below", ["1::bigint << 40", "pg_current_xact_id()::text::bigint"])
async def test_a_dump_from_another_server_is_counted_again(
    database_url: str, database: Any, sessions: Sessions, below: str
) -> None:
    """The other server's numbers may be larger than this one's, or smaller."""
    [past] = await make_past(sessions, 1)
    await plant_past(database, [past])
    async with sessions.begin() as session:
        await Partitions(session).count(past)
    await plant_past(database, [past])
    await database.execute(
        f"UPDATE event_partitions SET counted_below = {below} WHERE counted_below IS NOT NULL"
    )
    await database.execute(
        "UPDATE slot_counts SET below = (SELECT max(counted_below) FROM event_partitions)"
    )

    async with idle_service(database_url) as service:
        ada = service.client(ADA)
        before = await agree(ada)
        await count(sessions, make_settings(database_url))
        afterwards = await agree(ada)

    assert (before, afterwards) == (True, True)
    assert await database.fetchval("SELECT count(DISTINCT below) FROM slot_counts") == 1


async def test_events_stored_during_a_count_count_once(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    [past] = await make_past(sessions, 1)
    await plant_past(database, [past])
    agreed = []

    async def count_on(ada: httpx.AsyncClient) -> None:
        async with sessions.begin() as session:
            await Partitions(session).count(past)
        agreed.append(await agree(ada))

    async with idle_service(database_url) as service:
        ada = service.client(ADA)
        async with database.transaction():
            await plant_past(database, [past])
            await count_on(ada)
        agreed.append(await agree(ada))
        await count_on(ada)
        await count_on(ada)

    assert agreed == [True] * 4


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("slot_counts", marks=one_server("a cluster does not count open hours ahead")),
        "block_counts",
    ],
)
async def test_a_failed_count_does_not_stop_the_sweep(
    database_url: str,
    database: Any,
    sessions: Sessions,
    capsys: pytest.CaptureFixture[str],
    table: str,
) -> None:
    await plant_past(database, await make_past(sessions, 10))
    await database.execute(f"ALTER TABLE {table} DROP COLUMN count")

    await sweep(sessions, make_settings(database_url))

    assert capsys.readouterr().out.count("count_failed") == 1


async def test_a_closed_partition_takes_no_more_events(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    [*_, old, young, _, _] = await make_past(sessions, 5)

    await archive(sessions, make_settings(database_url))

    with pytest.raises(asyncpg.CheckViolationError):
        await plant_event(database, trigger_id=1, triggered_at=old.starts_at)
    await plant_event(database, trigger_id=1, triggered_at=young.starts_at + 2.5 * HOUR)


async def test_archiving_closes_exactly_the_partitions_outside_the_active_window(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    await make_past(sessions, 10)

    await archive(sessions, make_settings(database_url))

    now = await now_of(database)
    for one in await partitions_of(database):
        assert (one["closed_at"] is not None) == (one["ends_at"] <= now - 2 * HOUR)


async def test_several_replicas_sweep_at_once_and_leave_kept_partitions_with_their_final_counts(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    past = await make_past(sessions, 60)
    await plant_past(database, past, each=3)
    settings = make_settings(database_url)

    works = make_partitions, sweep
    await asyncio.gather(*(work(sessions, settings) for work in works for _ in range(5)))

    now = await now_of(database)
    kept = await partitions_of(database)
    assert all(one["ends_at"] > now - 48 * HOUR for one in kept)
    assert await tables_of(database) == {
        Partition(one["starts_at"], one["ends_at"]).table for one in kept
    }
    rolled_up = await database.fetch(
        "SELECT partition_starts_at, trigger_id, type, is_test, owner_id, count FROM event_counts"
    )
    rows = await database.fetch(
        """
        SELECT starts_at, trigger_id, type, is_test, owner_id, count(*)
        FROM events JOIN event_partitions ON triggered_at >= starts_at AND triggered_at < ends_at
        WHERE closed_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5
        """
    )
    assert len(rolled_up) > 100
    assert {tuple(one) for one in rolled_up} == {tuple(one) for one in rows}


async def test_a_long_reader_delays_purging_and_nothing_else(
    seconds_url: str, short_lived: Any
) -> None:
    reader = await connect(seconds_url)
    async with running_service(seconds_url, **WIDER) as service:
        ada = service.client(ADA)
        trigger_id = await api_trigger(ada)
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetch("SELECT FROM events")
        held = await partitions_of(short_lived)
        details = {"interval": "PT1S", "recurring": True, "max_fires": 3}
        clock = (await ada.post("/triggers", json={"type": "scheduled", "details": details})).json()

        async def next_() -> Any:
            await fire(ada, trigger_id)
            return (await ada.get(f"/triggers/{clock['id']}")).json()["status"]

        async def made() -> datetime:
            end: datetime = await short_lived.fetchval("SELECT max(ends_at) FROM event_partitions")
            return end

        async def due() -> int:
            query = "SELECT count(*) FROM event_partitions WHERE ends_at < now() - $1::interval"
            number: int = await short_lived.fetchval(query, WIDER["keep_for"])
            return number

        await eventually(next_, lambda status: status == "completed")
        await eventually(made, lambda end: end > held[-1]["ends_at"])
        await eventually(due, lambda number: number > 2)
        still_there = await partitions_of(short_lived)
        await eventually(lambda: ada.get("/readyz"), lambda one: one.status_code == 200)
        await transaction.rollback()
        past = {one["starts_at"] for one in held[:3]}
        await eventually(
            lambda: partitions_of(short_lived),
            lambda kept: not past & {one["starts_at"] for one in kept},
        )
        events = await short_lived.fetch(
            "SELECT FROM events WHERE trigger_id = $1 AND scheduled_for IS NOT NULL", clock["id"]
        )
    await reader.close()

    starts = [one["starts_at"] for one in still_there]
    assert [one["starts_at"] for one in held] == starts[: len(held)]
    assert len(events) == 3


async def test_a_busy_partition_keeps_younger_ones_open_so_that_the_closed_are_one_stretch(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    past = await make_past(sessions, 8)
    settings = make_settings(database_url, retention_interval=timedelta(seconds=4))
    reader = await connect(database_url)
    async with reader.transaction():
        await reader.execute(f"SELECT FROM {past[2].table}")
        await archive(sessions, settings)
        closed_during = [one["closed_at"] is not None for one in await partitions_of(database)]
    await reader.close()

    await archive(sessions, make_settings(database_url))
    afterwards = [one["closed_at"] is not None for one in await partitions_of(database)]

    assert closed_during[:8] == [True, True, *[False] * 6]
    assert afterwards[:6] == [True] * 6


async def test_purging_drops_partitions_that_were_never_archived(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    await make_past(sessions, 55)

    await purge(sessions, make_settings(database_url))

    oldest = (await partitions_of(database))[0]
    now = await now_of(database)
    assert now - 48 * HOUR < oldest["ends_at"] <= now - 47 * HOUR


async def test_a_changed_keep_for_leaves_no_gap(unpartitioned_url: str, short_lived: Any) -> None:
    for seconds in (6, 40, 9, 48 * 3600, 6):
        changed = SECONDS | {"keep_for": timedelta(seconds=seconds)}
        async with running_service(unpartitioned_url, **changed) as service:
            ada = service.client(ADA)
            location = await fire(ada, await api_trigger(ada))
            assert (await ada.get(location)).status_code == 200

    kept = await partitions_of(short_lived)
    ends = [one["ends_at"] for one in kept]
    assert [one["starts_at"] for one in kept][1:] == ends[:-1]
    assert max(ends) > await now_of(short_lived)


async def test_partitions_are_hours_of_the_clock_by_default(
    unpartitioned_url: str, short_lived: Any
) -> None:
    async with running_service(unpartitioned_url):
        kept = await partitions_of(short_lived)

    now = await now_of(short_lived)
    assert [one["ends_at"] - one["starts_at"] for one in kept] == [HOUR] * len(kept)
    assert all(
        one["starts_at"].replace(minute=0, second=0, microsecond=0) == one["starts_at"]
        for one in kept
    )
    assert kept[0]["starts_at"] <= now < kept[0]["ends_at"] + HOUR
    assert kept[-1]["ends_at"] > now + 8 * HOUR - timedelta(minutes=1)


async def test_a_replica_starts_while_another_archives(
    database_url: str, database: Any, sessions: Sessions
) -> None:
    await make_partitions(sessions, make_settings(database_url))
    await database.execute("SELECT pg_advisory_lock($1)", RETENTION_LOCK)

    async with running_service(database_url) as service:
        ready = await eventually(
            lambda: service.client().get("/readyz"), lambda answer: answer.status_code == 200
        )
        await database.execute("SELECT pg_advisory_unlock($1)", RETENTION_LOCK)

    assert ready.json() == {"status": "ready"}


async def test_old_answers_and_expired_logins_are_purged(database_url: str, database: Any) -> None:
    [trigger_id] = await plant_triggers(database)
    for hours in (47, 49):
        await database.execute(
            "INSERT INTO idempotency_keys VALUES (2, $1, false, $2, '', 1, now() - $3::interval)",
            trigger_id,
            f"{hours} hours ago",
            hours * HOUR,
        )
    await database.execute("UPDATE logins SET expires_at = now() WHERE user_id = $1", BOB)
    await database.execute(
        "INSERT INTO refresh_tokens (login_id, token_hash) SELECT id, id::text::bytea FROM logins"
    )

    async with running_service(database_url):
        await eventually(
            lambda: database.fetch("SELECT user_id FROM logins ORDER BY 1"),
            lambda rows: [row["user_id"] for row in rows] == [1, ADA],
        )

    keys = await database.fetch("SELECT key FROM idempotency_keys")
    assert [row["key"] for row in keys] == ["47 hours ago"]
    assert await database.fetchval("SELECT count(*) FROM refresh_tokens") == 2


async def test_many_expired_answers_and_unfired_ranges_are_purged_and_young_ones_stay(
    database_url: str, database: Any
) -> None:
    await database.execute(
        """
        INSERT INTO idempotency_keys
            (shard, trigger_id, is_test, key, body_hash, event_id, created_at)
        SELECT number % 64, 1, false, number::text, '', number, now() - interval '47 h'
            - (number > 3) :: int * interval '1 h 1 min'
        FROM generate_series(1, 12003) AS number
        """
    )
    await database.execute(
        """
        INSERT INTO unfired_ranges
            (shard, owner_id, trigger_id, version, first_at, last_at, count, reason, recorded_at)
        SELECT number % 64, 2, number, 1, at, at, 1, 'missed', at
        FROM generate_series(1, 12003) AS number, LATERAL (SELECT now() - interval '47 h'
            - (number > 3) :: int * interval '1 h 1 min') AS planned (at)
        """
    )

    async with running_service(database_url):
        left = await eventually(
            lambda: database.fetchrow(
                "SELECT (SELECT count(*) FROM idempotency_keys),"
                " (SELECT count(*) FROM unfired_ranges)"
            ),
            lambda counts: max(counts) <= 3,
        )

    assert tuple(left) == (3, 3)
