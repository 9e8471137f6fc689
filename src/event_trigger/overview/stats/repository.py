"""Sums up counts by step and by key, from kept counts where there are any and from rows else."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import (
    ALL_PROJECTS,
    EVERY_SHARD,
    NOT_OF_DELETED_PROJECTS,
    CountedMeasure,
    DeliveryStatus,
    EventType,
    shard_of,
)
from event_trigger.models.minute_count import NO_DURATION, middle_of
from event_trigger.overview.stats.steps import SparseCounts, Steps

MOST_SERIES = 20
MOST_EVENTS_READ = 500_000
MOST_SECONDS = 10  # of a statement, which then fails with QUERY_CANCELED

_OWNED = "shard = :shard AND owner_id = :owner_id"
_OF_ALL = f"{EVERY_SHARD} AND {NOT_OF_DELETED_PROJECTS}"
_WITHIN = "{at} >= :since AND {at} < :until"
# the indexes have the kind before the time, and are used only if the kind is given
_EVENT_TYPES = ", ".join(f"'{one}'" for one in EventType)
_OF_ANY_KIND = f"type IN ({_EVENT_TYPES}) AND is_test IN (false, true) AND id > 0"


class Measure(StrEnum):
    EVENTS = "events"
    UNFIRED = "unfired"
    DELIVERIES = "deliveries"
    ATTEMPTS = "attempts"
    LAG = "lag_ms"
    DURATION = "duration_ms"


class By(StrEnum):
    """The field whose values get a series each."""

    TYPE = "type"
    TRIGGER = "trigger"
    REASON = "reason"
    STATUS = "status"
    OUTCOME = "outcome"
    DESTINATION = "destination"


def _minutes(measure: CountedMeasure, key: str, *, more: str = "") -> str:
    return f"""
        SELECT {key} AS key, minute AS at, count FROM minute_counts
        WHERE {{whose}} AND measure = '{measure}' AND {_WITHIN.format(at="minute")} {more}
    """  # noqa: S608


def _deliveries(delivered: str, key: str) -> str:
    """Returns SQL of the deliveries that were delivered, counted, and of those exhausted."""
    is_delivered = f"AND series = '{DeliveryStatus.DELIVERED}'"
    return f"""
        {_minutes(CountedMeasure.ATTEMPTS, delivered, more=is_delivered)}
        UNION ALL
        SELECT {key}, finished_at, 1 FROM deliveries
        WHERE {{whose}} AND status = 'exhausted' AND {_WITHIN.format(at="finished_at")}
    """  # noqa: S608


_ALL = "CAST('all' AS text)"
_TRIGGER = "CAST(trigger_id AS text)"
_EVENTS_OF_TRIGGERS = f"""
    SELECT {_TRIGGER} AS key, triggered_at AS at, 1 AS count FROM events
    WHERE {{whose}} AND {_OF_ANY_KIND} AND {_WITHIN.format(at="triggered_at")}
"""  # noqa: S608
_DESTINATION = "CAST(destination_id AS text)"
_SOURCES = {
    (Measure.EVENTS, None): _minutes(CountedMeasure.EVENTS, _ALL),
    (Measure.EVENTS, By.TYPE): _minutes(CountedMeasure.EVENTS, "series"),
    (Measure.EVENTS, By.TRIGGER): _EVENTS_OF_TRIGGERS,
    (Measure.UNFIRED, None): _minutes(CountedMeasure.UNFIRED, _ALL),
    (Measure.UNFIRED, By.REASON): _minutes(CountedMeasure.UNFIRED, "series"),
    (Measure.DELIVERIES, None): _deliveries(_ALL, _ALL),
    (Measure.DELIVERIES, By.STATUS): _deliveries("series", "status"),
    (Measure.DELIVERIES, By.DESTINATION): _deliveries(_DESTINATION, _DESTINATION),
    (Measure.ATTEMPTS, None): _minutes(CountedMeasure.ATTEMPTS, _ALL),
    (Measure.ATTEMPTS, By.OUTCOME): _minutes(CountedMeasure.ATTEMPTS, "series"),
    (Measure.ATTEMPTS, By.DESTINATION): _minutes(CountedMeasure.ATTEMPTS, _DESTINATION),
}
ALLOWED_BY = {
    measure: [by for source, by in _SOURCES if source is measure and by is not None]
    for measure in Measure
}
# of one trigger, from its events; the owner is hidden from the planner, for the trigger's index
_OF_TRIGGER = "shard = :shard AND trigger_id = :about AND owner_id IS NOT DISTINCT FROM :owner_id"
_OF_DESTINATION = f"{_OWNED} AND destination_id = :about"
_EVENTS_BY = {None: _ALL, By.TYPE: "type"}
_PLACE = """GREATEST(0, CAST(floor(
    extract(epoch FROM at - CAST(:start AS timestamptz)) / CAST(:seconds AS int)) AS int))"""
_SUM = f"""
    WITH counted AS MATERIALIZED (
        SELECT key, {_PLACE} AS place, sum(count) AS count FROM ({{source}}) AS found
        GROUP BY key, place
    ), ranked AS (
        SELECT key, row_number() OVER (ORDER BY sum(count) DESC, key) AS rank
        FROM counted GROUP BY key
    ), named AS (
        SELECT CASE WHEN rank <= {MOST_SERIES} THEN key END AS key, min(rank) AS rank, place,
            sum(count) AS count
        FROM counted JOIN ranked USING (key) GROUP BY 1, place
    )
    SELECT key, array_agg(place), array_agg(CAST(count AS bigint))
    FROM named GROUP BY key ORDER BY min(rank)
"""  # noqa: S608
_DURATIONS = f"""
    WITH counted AS MATERIALIZED (
        SELECT {_PLACE} AS place, bucket, sum(count) AS count, max(longest_ms) AS longest_ms
        FROM (
            SELECT minute AS at, bucket, count, longest_ms FROM minute_counts
            WHERE {{whose}} AND measure = :kept AND bucket <> {NO_DURATION}
                AND {_WITHIN.format(at="minute")}
        ) AS found
        GROUP BY place, bucket
    ), summed AS (
        SELECT place, bucket, longest_ms, sum(count) OVER (PARTITION BY place ORDER BY bucket)
            AS up_to, sum(count) OVER (PARTITION BY place) AS total
        FROM counted
    )
    SELECT place, min(bucket) FILTER (WHERE up_to >= 0.5 * total),
        min(bucket) FILTER (WHERE up_to >= 0.95 * total), max(longest_ms)
    FROM summed GROUP BY place
"""  # noqa: S608
_LAGS = f"""
    SELECT {_PLACE} AS place, percentile_disc(0.5) WITHIN GROUP (ORDER BY lag_ms),
        percentile_disc(0.95) WITHIN GROUP (ORDER BY lag_ms), max(lag_ms)
    FROM (
        SELECT triggered_at AS at, GREATEST(0, CAST(
            extract(epoch FROM triggered_at - scheduled_for) * 1000 AS float8)) AS lag_ms
        FROM events WHERE {_OF_TRIGGER} AND type = '{EventType.SCHEDULED}' AND is_test = false
            AND {_WITHIN.format(at="triggered_at")}
    ) AS found GROUP BY place
"""  # noqa: S608
# a generic plan would not prune partitions
_BEGIN = text(f"""
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
        set_config('statement_timeout', '{MOST_SECONDS}s', true)
""")


class Durations(NamedTuple):
    """The durations of one step, in milliseconds: two percentiles, within 9 %, and the longest."""

    place: int
    p50: float
    p95: float
    longest: float


class Subject(StrEnum):
    """The parameter that names the one trigger or destination that is counted."""

    TRIGGER = "trigger_id"
    DESTINATION = "destination_id"


MEASURES_OF = {
    Subject.TRIGGER: (Measure.EVENTS, Measure.LAG),
    Subject.DESTINATION: (Measure.DELIVERIES, Measure.ATTEMPTS, Measure.DURATION),
}


class About(NamedTuple):
    """One trigger or destination of a project, to count what is about it alone."""

    subject: Subject
    owner_id: int
    id: int


@dataclass(frozen=True)
class Stats:
    """Reads about one project, or about all if `project_id` is None."""

    session: AsyncSession
    project_id: int | None

    async def count(self, measure: Measure, by: By | None, steps: Steps) -> list[SparseCounts]:
        """Returns the largest 20 series, and one of all others if there are any."""
        query = _SUM.format(source=_SOURCES[measure, by])
        are_summed = measure is Measure.EVENTS and by is not By.TRIGGER
        rows = await self._run(query, steps, are_summed=are_summed)
        return [SparseCounts(key, places, counts) for key, places, counts in rows]

    async def count_events(self, steps: Steps) -> int:
        """Counts the events that `count` by trigger would read."""
        rows = await self.count(Measure.EVENTS, None, steps)
        return sum(sum(one.counts) for one in rows)

    async def count_about(
        self, about: About, measure: Measure, by: By | None, steps: Steps
    ) -> list[SparseCounts]:
        """Returns the series of one trigger, from its events, or of one destination."""
        source = _SOURCES[measure, by]
        if about.subject is Subject.TRIGGER:
            source = _EVENTS_OF_TRIGGERS.replace(_TRIGGER, _EVENTS_BY[by])
        rows = await self._run_about(about, _SUM.format(source=source), steps)
        return [SparseCounts(key, places, counts) for key, places, counts in rows]

    async def durations_about(self, about: About, steps: Steps) -> list[Durations]:
        """Returns the lags of one trigger, from its events, or the durations of one destination."""
        if about.subject is Subject.TRIGGER:
            return [Durations(*row) for row in await self._run_about(about, _LAGS, steps)]
        rows = await self._run_about(about, _DURATIONS, steps, kept=CountedMeasure.ATTEMPTS)
        return _from_buckets(rows)

    async def _run_about(self, about: About, query: str, steps: Steps, **values: Any) -> list[Any]:
        await self.session.execute(_BEGIN)
        whose = _OF_TRIGGER if about.subject is Subject.TRIGGER else _OF_DESTINATION
        values |= {"shard": shard_of(about.owner_id), "owner_id": about.owner_id, "about": about.id}
        statement = text(query.format(whose=whose))
        return [*await self.session.execute(statement, values | _bounds(steps))]

    async def durations(self, measure: Measure, steps: Steps) -> list[Durations]:
        is_lag = measure is Measure.LAG
        kept = CountedMeasure.LAG if is_lag else CountedMeasure.ATTEMPTS
        return _from_buckets(await self._run(_DURATIONS, steps, are_summed=is_lag, kept=kept))

    async def _run(self, query: str, steps: Steps, *, are_summed: bool, **values: Any) -> list[Any]:
        """Runs a query; `are_summed` says that project 0 has the sums of all projects."""
        await self.session.execute(_BEGIN)
        owner_id = ALL_PROJECTS if self.project_id is None and are_summed else self.project_id
        whose, options = _OF_ALL, {ACROSS_SHARDS: "admin reads"}
        if owner_id is not None:
            whose, options = _OWNED, {}
            values |= {"shard": shard_of(owner_id), "owner_id": owner_id}
        statement = text(query.format(whose=whose))
        found = await self.session.execute(
            statement, values | _bounds(steps), execution_options=options
        )
        return [*found]


def _bounds(steps: Steps) -> dict[str, Any]:
    return {
        "start": steps.start,
        "seconds": int(steps.width.total_seconds()),
        "since": steps.since,
        "until": steps.until,
    }


def _from_buckets(rows: list[Any]) -> list[Durations]:
    return [
        Durations(place, min(middle_of(p50), longest), min(middle_of(p95), longest), longest)
        for place, p50, p95, longest in rows
    ]
