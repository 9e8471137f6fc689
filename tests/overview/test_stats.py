"""Counts by time step add up to what the lists show, in whole steps, as far as it is kept."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from event_trigger.overview.stats.steps import SparseCounts, StatsStep, cut
from tests.support.counting import count_now, read_overview, read_stats, until_counted
from tests.support.databases import connect, now_of
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.downtime import set_back, until_caught_up
from tests.support.event_bytes import plant_old_events, purge_old_events
from tests.support.planting import plant_event
from tests.support.problems import places_of, problem_of
from tests.support.receiver import Receiver
from tests.support.services import ADA, ADMIN, BOB, Service, idle_service
from tests.support.triggers import instant, make_api, make_scheduled
from tests.support.waiting import eventually

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
OLDEST = NOON - timedelta(hours=48)


@pytest.mark.parametrize(
    ("step", "since", "until", "start", "number"),
    [
        (StatsStep.HOUR, None, None, NOON - timedelta(hours=23), 24),
        (StatsStep.MINUTE, NOON - timedelta(seconds=90), NOON, NOON - timedelta(minutes=2), 2),
        (StatsStep.FIVE_MINUTES, NOON, NOON + timedelta(days=1), NOON, 6),
        (StatsStep.HOUR, NOON - timedelta(days=9), NOON, OLDEST, 48),
        (StatsStep.HOUR, NOON, NOON - timedelta(hours=2), NOON, 0),
    ],
)
def test_steps_are_whole_and_within_what_is_kept(
    step: StatsStep, since: datetime | None, until: datetime | None, start: datetime, number: int
) -> None:
    now = NOON + timedelta(minutes=26)

    steps = cut(step, since=since, until=until, oldest=OLDEST, now=now)

    assert (steps.start, steps.number) == (start, number)
    assert steps.since >= OLDEST


def test_a_minute_that_retention_cuts_is_left_out() -> None:
    oldest = NOON + timedelta(seconds=1)

    steps = cut(
        StatsStep.HOUR, since=OLDEST, until=None, oldest=oldest, now=NOON + timedelta(hours=1)
    )

    assert (steps.start, steps.since) == (NOON, NOON + timedelta(minutes=1))
    assert steps.filled(SparseCounts("all", [0], [7])) == [7]


async def test_every_measure_adds_up_to_what_happened(
    service: Service, ada: httpx.AsyncClient, database: Any, receiver: Receiver
) -> None:
    good = await make_destination(ada, receiver.url)
    api = await make_api(ada, destinations=[good["id"]])
    planned = await make_scheduled(ada, {"interval": "PT1H", "recurring": True})
    await set_back(database, planned["id"], timedelta(hours=10, minutes=30))
    await until_caught_up(database, planned["id"])
    for how in ("trigger", "trigger", "test"):
        await fire(ada, api, how)
    await until_finished(ada, 3)
    await until_counted(ada, database, service.database_url)

    async def sums(measure: str, **query: Any) -> dict[str, int]:
        found = await read_stats(ada, measure, step="PT1M", **query)
        return {key: sum(values) for key, values in found.items()}

    assert await sums("events") == {"all": 4}
    assert await sums("events", by="type") == {"api": 3, "scheduled": 1}
    by_trigger = {str(api["id"]): 3, str(planned["id"]): 1}
    assert await sums("events", by="trigger") == by_trigger
    overview = await read_overview(ada)
    missed = overview["unfired"]["coalesced"]
    assert missed > 5
    assert await sums("unfired", by="reason") == {"coalesced": missed}
    assert await sums("deliveries", by="status") == {"delivered": 3}
    assert await sums("deliveries", by="destination") == {str(good["id"]): 3}
    assert await sums("attempts", by="outcome") == {"delivered": 3}
    lags = await read_stats(ada, "lag_ms")
    assert lags.keys() == {"p50", "p95", "max"}
    [p50], [p95], [longest] = (list(filter(None, lags[key])) for key in ("p50", "p95", "max"))
    assert 0 < p50 <= p95 <= longest < 36_000_000
    durations = await read_stats(ada, "duration_ms")
    assert any(durations["max"])
    overseer = service.client(ADMIN, project="*")
    assert await read_stats(overseer, "events", by="type") == await read_stats(
        ada, "events", by="type"
    )
    assert await read_stats(service.client(BOB), "attempts") == {}


async def test_what_is_about_one_trigger_or_destination_is_counted_alone(
    service: Service, ada: httpx.AsyncClient, database: Any, receiver: Receiver
) -> None:
    receiver.answers["/bad"] = 422
    good = (await make_destination(ada, f"{receiver.url}/good"))["id"]
    bad = (await make_destination(ada, f"{receiver.url}/bad"))["id"]
    api, other = [await make_api(ada, destinations=[good, bad]), await make_api(ada)]
    planned = (await make_scheduled(ada, {"interval": "PT1H", "recurring": True}))["id"]
    await set_back(database, planned, timedelta(hours=4, minutes=30))
    await until_caught_up(database, planned)
    for one in (api, api, other):
        await fire(ada, one, "trigger")
    await fire(ada, api, "test")
    await until_finished(ada, 6)

    async def sums(client: httpx.AsyncClient, measure: str, **query: Any) -> dict[str, int]:
        found = await read_stats(client, measure, step="PT1M", **query)
        return {key: sum(values) for key, values in found.items()}

    assert await sums(ada, "events", trigger_id=api["id"]) == {"all": 3}
    assert await sums(ada, "events", trigger_id=planned, by="type") == {"scheduled": 1}
    lags = await read_stats(ada, "lag_ms", trigger_id=planned)
    [longest] = filter(None, lags["max"])
    assert 1_500_000 < longest < 1_900_000  # ms: half an hour
    assert await read_stats(ada, "lag_ms", trigger_id=api["id"]) == {}
    attempts = await sums(ada, "attempts", destination_id=bad, by="outcome")
    assert attempts.keys() == {"rejected"}
    assert await sums(ada, "deliveries", destination_id=good, by="status") == {"delivered": 3}
    assert any((await read_stats(ada, "duration_ms", destination_id=good))["p95"])
    bob = service.client(BOB)
    assert await sums(bob, "events", trigger_id=api["id"]) == {}
    assert await sums(bob, "attempts", destination_id=good) == {}


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"measure": "attempts", "trigger_id": 1}, "measure"),
        ({"measure": "events", "destination_id": 1}, "measure"),
        ({"measure": "events", "trigger_id": 1, "destination_id": 1}, "destination_id"),
        ({"measure": "events", "trigger_id": 1, "by": "trigger"}, "by"),
    ],
)
async def test_a_count_of_one_that_makes_no_sense_says_what_to_write(
    ada: httpx.AsyncClient, query: dict[str, Any], place: str
) -> None:
    assert places_of(await ada.get("/stats", params=query)) == [place]


async def test_the_smaller_series_are_added_up(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    now = await now_of(database)
    for trigger_id in range(1, 24):
        for _ in range(2 if trigger_id <= 20 else 1):
            await plant_event(database, trigger_id=trigger_id, triggered_at=now)
    await until_counted(ada, database, service.database_url)

    found = await read_stats(ada, "events", by="trigger", step="PT1H")

    assert [*found] == [*sorted(map(str, range(1, 21))), "other"]
    assert sum(found["other"]) == 3


async def test_events_of_before_an_upgrade_are_counted_and_go_with_their_partition(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    old = await plant_old_events(database, service.database_url, owner_id=ADA, count=3599)
    span = {"since": old.starts_at.isoformat(), "until": old.ends_at.isoformat()}
    await until_counted(ada, database, service.database_url)
    counted = await read_stats(ada, "events", step="PT5M", **span)
    await purge_old_events(service.database_url)
    await count_now(service.database_url)

    await until_counted(ada, database, service.database_url)

    assert sum(counted["all"]) == 3599
    assert max(counted["all"]) == 300
    assert await read_stats(ada, "events", step="PT5M", **span) == {}


async def test_a_question_that_cannot_be_answered_says_what_to_ask(ada: httpx.AsyncClient) -> None:
    since = (datetime.now(UTC) - timedelta(hours=47)).isoformat()

    refused = {
        "by": await ada.get("/stats", params={"measure": "lag_ms", "by": "type"}),
        "step": await ada.get(
            "/stats", params={"measure": "events", "step": "PT1M", "since": since}
        ),
        "measure": await ada.get("/stats", params={"measure": "bytes"}),
        "until": await ada.get(
            "/stats", params={"measure": "events", "since": since, "until": "2026-01-01T00:00:00Z"}
        ),
    }

    for parameter, answer in refused.items():
        assert places_of(answer) == [parameter]
    start = (await ada.get("/stats", params={"measure": "events"})).json()["start"]
    assert instant(start).minute == 0


async def test_parts_of_past_minutes_are_added_up(database_url: str, database: Any) -> None:
    await count_now(database_url)
    plant = """
        INSERT INTO minute_counts (shard, owner_id, measure, minute, series, destination_id, bucket,
            part, count, longest_ms)
        SELECT $1::bigint % 64, $1, measure, date_trunc('minute', now() - age), 'delivered', 7, 12,
            part, 4, part
        FROM unnest($2::int[]) AS part, unnest('{attempts,unfired}'::text[]) AS measure,
            unnest('{0 min,5 min}'::interval[]) AS age
    """

    async with idle_service(database_url) as idle:
        seen = []
        for parts in ([1, 2, 3], [4]):
            await database.execute(plant, ADA, parts)
            await database.execute("UPDATE count_passes SET passed_at = now() - interval '10 min'")
            for _ in range(2):
                seen.append(await read_stats(idle.client(ADA), "duration_ms", step="PT5M"))
                await count_now(database_url)
        attempts = await read_stats(idle.client(ADA), "attempts")

    stored = await database.fetch(
        "SELECT part, count, longest_ms FROM minute_counts WHERE measure = 'attempts'"
        " ORDER BY minute, part"
    )
    assert [tuple(row) for row in stored] == [
        (0, 16, 4),
        *((part, 4, part) for part in range(1, 5)),
    ]
    assert sum(attempts["all"]) == 32
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]


async def test_what_takes_too_long_to_count_says_to_narrow_the_span(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    holder = await connect(service.database_url)
    cancel = """
        SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'ranked'
    """

    async with holder.transaction():
        await holder.execute("LOCK TABLE minute_counts")
        asked = asyncio.create_task(ada.get("/stats", params={"measure": "attempts"}))
        await eventually(lambda: database.fetchval(cancel), lambda number: number == 1)
        answer = await asked
    await holder.close()

    assert places_of(answer) == ["since"]
    assert "Narrow the span" in problem_of(answer, 422)["detail"]
