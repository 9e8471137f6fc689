"""Reads what the overview shows: kept counts, and a bounded number of rows beside them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import TextClause, text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import (
    ALL_PROJECTS,
    EVERY_SHARD,
    NOT_OF_DELETED_PROJECTS,
    SHARDS,
    CountedMeasure,
    DisabledReason,
    shard_of,
)
from event_trigger.overview.verdict import LATE_AFTER, MOST_ITEMS, Cause, Due

_FIRST_READ, _MOST_READ = 100, 10_000  # due triggers
_FEW_TRIGGERS = 2_000  # so many are read one by one for the next instant
_MOST_COUNTED = 1_000  # rows with one cause

_OWNED = "shard = :shard AND owner_id = :owner_id"
_OF_ALL = f"{EVERY_SHARD} AND {NOT_OF_DELETED_PROJECTS}"
_READ_PASS = text("""
    SELECT clock_timestamp(), (SELECT counted_at FROM count_passes WHERE id = 1)
""")
# each source of numbers is a part, since a round trip takes longer than reading all of them
_READ_COUNTS = f"""
    SELECT 'states' AS source, state AS name, CAST(sum(number) AS bigint), min(since)
    FROM project_counts WHERE {{whose_states}} GROUP BY state
    UNION ALL
    SELECT '{CountedMeasure.UNFIRED}', series, CAST(sum(count) AS bigint), min(minute)
    FROM minute_counts
    WHERE {{whose}} AND measure = '{CountedMeasure.UNFIRED}' AND minute >= :day GROUP BY series
    UNION ALL
    SELECT '{CountedMeasure.EVENTS}', part.name, part.number, NULL
    FROM (
        SELECT sum(count) FILTER (WHERE minute >= :hour) AS last_hour, sum(count) AS last_day
        FROM minute_counts
        WHERE {{whose_events}} AND measure = '{CountedMeasure.EVENTS}' AND minute >= :day
    ) AS fired CROSS JOIN LATERAL (
        VALUES ('last_hour', CAST(last_hour AS bigint)), ('last_day', CAST(last_day AS bigint))
    ) AS part (name, number)
"""  # noqa: S608
# LIMIT is inside: nothing keeps the rows of other projects in the shard from being many
_READ_DUE = """
    SELECT count(*) FILTER (WHERE is_own AND next_fire_at < now() - CAST(:late AS interval)),
        min(next_fire_at) FILTER (WHERE is_own), count(*)
    FROM (
        SELECT next_fire_at, {is_own} AS is_own FROM triggers
        WHERE {shards} AND next_fire_at <= now() {in_order} LIMIT :most
    ) AS due
"""
_NEXT_OF_FEW = text(f"""
    SELECT min(next_fire_at) FROM (
        SELECT next_fire_at FROM triggers WHERE {_OWNED} AND status = 'active' LIMIT :most
    ) AS active
""")  # noqa: S608
_NEXT_IN_SHARD = text("""
    SELECT min(next_fire_at) FROM (
        SELECT next_fire_at, owner_id FROM triggers
        WHERE shard = :shard AND next_fire_at > now() ORDER BY next_fire_at LIMIT :most
    ) AS coming WHERE owner_id = :owner_id
""")
_NEXT_OF_ALL = text(f"""
    SELECT min(first.next_fire_at)
    FROM generate_series(0, {SHARDS - 1}) AS every (shard) CROSS JOIN LATERAL (
        SELECT next_fire_at FROM triggers
        WHERE triggers.shard = every.shard AND next_fire_at > now()
        ORDER BY next_fire_at LIMIT 1
    ) AS first
""")  # noqa: S608
# Citus cannot probe an index once for each shard
_NEXT_IN_CLUSTER = text(
    f"SELECT min(next_fire_at) FROM triggers WHERE {EVERY_SHARD} AND next_fire_at > now()"  # noqa: S608
)
_HOST = "substring(destinations.url FROM '//(?:[^/?#@]*@)?([^/?#]+)')"
_NAME = f"coalesce(destinations.key, destinations.description, {_HOST})"
_SET_ASIDE = f"""
    SELECT '{Cause.TRIGGER_SET_ASIDE}' AS cause, max(id) AS id,
        (array_agg(coalesce(name, key) ORDER BY id DESC))[1] AS name, min(updated_at) AS since,
        count(*) AS number, error
    FROM (
        SELECT id, name, key, error, updated_at FROM triggers
        WHERE {{whose}} AND error IS NOT NULL LIMIT {_MOST_COUNTED}
    ) AS set_aside
    GROUP BY error ORDER BY count(*) DESC, error LIMIT {MOST_ITEMS}
"""  # noqa: S608
_SILENT = f"""
    SELECT '{Cause.HEARTBEAT_SILENT}' AS cause, max(id) AS id,
        (array_agg(coalesce(name, key) ORDER BY silent_since DESC))[1] AS name,
        min(silent_since) AS since, count(*) AS number, NULL AS error FROM (
        SELECT id, name, key, silent_since FROM triggers
        WHERE {{whose}} AND silent_since IS NOT NULL AND status = 'active' LIMIT {_MOST_COUNTED}
    ) AS silent
    HAVING count(*) > 0
"""  # noqa: S608
_WAITING = """
    deliveries.shard = {shard} AND deliveries.destination_id = destinations.id
        AND deliveries.status"""
_UNHEALTHY = f"""
    deleted_at IS NULL AND ("window" IS NOT NULL OR disabled_reason IS NOT NULL)
    AND (disabled_reason = '{DisabledReason.GONE}' OR (disabled_reason IS NULL AND failures > 0))"""
_FAILING = f"""
    SELECT CASE WHEN disabled_reason IS NULL THEN '{Cause.DESTINATION_OPEN}'
        ELSE '{Cause.DESTINATION_GONE}' END AS cause, id, {_NAME} AS name,
        LEAST(
            (SELECT queued_at FROM deliveries WHERE {_WAITING} = 'pending' ORDER BY id LIMIT 1),
            (SELECT queued_at FROM deliveries WHERE {_WAITING} = 'retrying' ORDER BY id LIMIT 1)
        ) AS since,
        (SELECT count(*) FROM (SELECT FROM deliveries
            WHERE {_WAITING} IN ('pending', 'retrying') LIMIT {_MOST_COUNTED}) AS waiting
        ) AS number, NULL AS error
    FROM (
        SELECT * FROM destinations
        WHERE {{whose}} AND {_UNHEALTHY} ORDER BY id LIMIT {MOST_ITEMS}
    ) AS destinations
"""  # noqa: S608
_EXHAUSTED = f"""
    SELECT '{Cause.DELIVERIES_EXHAUSTED}' AS cause, destination_id AS id, min({_NAME}) AS name,
        exhausted.since, exhausted.number, NULL AS error
    FROM (
        SELECT shard, destination_id, count(*) AS number, min(finished_at) AS since FROM (
            SELECT shard, destination_id, finished_at FROM deliveries
            WHERE {{whose}} AND status = 'exhausted' AND error IS NOT NULL
                AND finished_at > now() - CAST('1 day' AS interval)
            ORDER BY finished_at DESC LIMIT {_MOST_COUNTED}
        ) AS newest
        GROUP BY shard, destination_id ORDER BY count(*) DESC, destination_id LIMIT {MOST_ITEMS}
    ) AS exhausted LEFT JOIN destinations
        ON destinations.shard = exhausted.shard AND destinations.id = exhausted.destination_id
    GROUP BY destination_id, exhausted.number, exhausted.since
"""  # noqa: S608


def _union(*parts: str) -> str:
    return " UNION ALL ".join(f"({one})" for one in parts)


_LIST_FAILURES = _union(_SET_ASIDE, _SILENT, _FAILING, _EXHAUSTED)
# Citus cannot look up deliveries of a few destinations in all shards at once
_LIST_FAILURES_IN_CLUSTER = text(_union(_SET_ASIDE, _SILENT, _EXHAUSTED).format(whose=_OF_ALL))
_LIST_FAILING_OF_SHARD = text(
    _FAILING.format(whose=f"shard = :shard AND {NOT_OF_DELETED_PROJECTS}", shard=":shard")
)
_LIST_UNHEALTHY_SHARDS = text(
    f"SELECT DISTINCT shard FROM destinations WHERE {EVERY_SHARD} AND {_UNHEALTHY}"  # noqa: S608
)


class Kept(NamedTuple):
    """A kept count, and since when the oldest of it is there, if that is kept too."""

    number: int
    since: datetime | None


class Counts(NamedTuple):
    """The kept counts by state, unfired instants by reason, and events."""

    states: dict[str, Kept]
    unfired: dict[str, Kept]
    last_hour: int
    last_day: int


class Failure(NamedTuple):
    """One cause: `number` triggers with one error, or the deliveries of one destination.

    `id` is the newest trigger's, or the destination's. Numbers end at 1,000.
    """

    cause: Cause
    id: int
    name: str | None
    since: datetime | None
    number: int
    error: str | None


@dataclass(frozen=True, slots=True)
class _Query:
    """One query in two forms: for the rows of one project, and for those of all."""

    of_one: TextClause
    of_all: TextClause


_COUNTS = _Query(
    text(_READ_COUNTS.format(whose=_OWNED, whose_states=_OWNED, whose_events=_OWNED)),
    text(
        _READ_COUNTS.format(
            whose=_OF_ALL,
            whose_states=f"{EVERY_SHARD} AND owner_id = {ALL_PROJECTS}",
            whose_events=f"shard = 0 AND owner_id = {ALL_PROJECTS}",
        )
    ),
)
_FAILURES = _Query(
    text(_LIST_FAILURES.format(whose=_OWNED, shard=":shard")),
    text(_LIST_FAILURES.format(whose=_OF_ALL, shard="destinations.shard")),
)
_DUE = _Query(
    text(
        _READ_DUE.format(
            is_own="owner_id = :owner_id", shards="shard = :shard", in_order="ORDER BY next_fire_at"
        )
    ),
    text(_READ_DUE.format(is_own=NOT_OF_DELETED_PROJECTS, shards=EVERY_SHARD, in_order="")),
)


@dataclass(frozen=True)
class Overviews:
    """Reads about one project, or about all if `project_id` is None."""

    session: ReadSession
    project_id: int | None

    async def read_pass(self) -> tuple[datetime, datetime | None]:
        """Returns the database's time, and the time before which all is counted."""
        now, counted_at = (await self.session.execute(_READ_PASS)).one()
        return now, counted_at

    async def read_counts(self, *, hour: datetime, day: datetime) -> Counts:
        """Reads all kept counts: of minutes, those since `hour` or `day`."""
        found = defaultdict[str, dict[str, Kept]](dict)
        for source, name, number, since in await self._run(_COUNTS, hour=hour, day=day):
            found[source][name] = Kept(number or 0, since)
        events = found[CountedMeasure.EVENTS]
        return Counts(
            found["states"],
            found[CountedMeasure.UNFIRED],
            events["last_hour"].number,
            events["last_day"].number,
        )

    async def read_due(self) -> Due:
        """Reads the triggers that are due; the first 10,000, of the shard or of all."""
        [(late, oldest_at, read)] = await self._run(_DUE, late=LATE_AFTER, most=_MOST_READ)
        return Due(late, oldest_at, read == _MOST_READ)

    async def next_at(self, *, active: int) -> datetime | None:
        """Returns the next instant; None if there is none.

        For a project with more than 2,000 `active` triggers, also None if it is none of the next
        10,000 of its shard.
        """
        if self.project_id is None:
            in_cluster = await is_in_cluster(self.session)
            query = _NEXT_IN_CLUSTER if in_cluster else _NEXT_OF_ALL
            options = {ACROSS_SHARDS: "due shards"}
            found = await self.session.scalar(query, execution_options=options)
            return cast("datetime | None", found)
        if active <= _FEW_TRIGGERS:
            return await self._next(_NEXT_OF_FEW, most=2 * _FEW_TRIGGERS)
        return await self._next(_NEXT_IN_SHARD, most=_FIRST_READ) or await self._next(
            _NEXT_IN_SHARD, most=_MOST_READ
        )

    async def list_failures(self) -> list[Failure]:
        """Lists errors of triggers, and destinations that fail or had deliveries exhausted."""
        if self.project_id is None and await is_in_cluster(self.session):
            rows = await self._list_failures_in_cluster()
        else:
            rows = await self._run(_FAILURES)
        return [Failure(Cause(cause), *others) for cause, *others in rows]

    async def _list_failures_in_cluster(self) -> Sequence[Any]:
        options = {ACROSS_SHARDS: "admin reads"}
        session = self.session
        rows = await session.execute(_LIST_FAILURES_IN_CLUSTER, execution_options=options)
        shards = await session.execute(_LIST_UNHEALTHY_SHARDS, execution_options=options)
        failing: list[Any] = []
        for (shard,) in shards.all():
            failing += await session.execute(_LIST_FAILING_OF_SHARD, {"shard": shard})
        failing.sort(key=lambda row: row.id)
        return [*rows, *failing[:MOST_ITEMS]]

    async def _next(self, query: TextClause, *, most: int) -> datetime | None:
        found = await self.session.scalar(query, {**self._owned(), "most": most})
        return cast("datetime | None", found)

    async def _run(self, query: _Query, **values: Any) -> Sequence[Any]:
        if self.project_id is not None:
            return (await self.session.execute(query.of_one, {**self._owned(), **values})).all()
        options = {ACROSS_SHARDS: "admin reads"}
        rows = await self.session.execute(query.of_all, values, execution_options=options)
        return rows.all()

    def _owned(self) -> dict[str, int]:
        assert self.project_id is not None
        return {"shard": shard_of(self.project_id), "owner_id": self.project_id}
