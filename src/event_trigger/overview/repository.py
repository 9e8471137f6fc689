"""Reads what the overview shows: kept counts, and a bounded number of rows beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
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
from event_trigger.overview.verdict import LATE_AFTER, MOST_ITEMS, Due

_MOST_READ = 10_000  # due triggers
_FEW_TRIGGERS = 2_000  # so many are read one by one for the next instant
_MOST_COUNTED = 1_000  # of what has one cause

_OWNED = "shard = :shard AND owner_id = :owner_id"
_READ_PASS = text("""
    SELECT clock_timestamp(), (SELECT counted_at FROM count_passes WHERE id = 1)
""")
_READ_STATES = """
    SELECT state, CAST(sum(number) AS bigint), min(since) FROM project_counts
    WHERE {whose} GROUP BY state
"""
_COUNT_EVENTS = text(f"""
    SELECT coalesce(sum(count) FILTER (WHERE minute >= :hour), 0), coalesce(sum(count), 0)
    FROM minute_counts
    WHERE {_OWNED} AND measure = '{CountedMeasure.EVENTS}' AND minute >= :day
""")  # noqa: S608
_COUNT_UNFIRED = f"""
    SELECT series, CAST(sum(count) AS bigint), min(minute) FROM minute_counts
    WHERE {{whose}} AND measure = '{CountedMeasure.UNFIRED}' AND minute >= :day
    GROUP BY series
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
_LIST_SET_ASIDE = f"""
    SELECT error, max(id), (array_agg(coalesce(name, key) ORDER BY id DESC))[1],
        min(updated_at), count(*)
    FROM (
        SELECT id, name, key, error, updated_at FROM triggers
        WHERE {{whose}} AND error IS NOT NULL LIMIT {_MOST_COUNTED}
    ) AS set_aside
    GROUP BY error ORDER BY count(*) DESC, error LIMIT {MOST_ITEMS}
"""  # noqa: S608
_HOST = "substring(destinations.url FROM '//(?:[^/?#@]*@)?([^/?#]+)')"
_NAME = f"coalesce(destinations.key, destinations.description, {_HOST})"
_WAITING = """
    deliveries.shard = destinations.shard AND deliveries.destination_id = destinations.id
        AND deliveries.status"""
_LIST_FAILING_DESTINATIONS = f"""
    SELECT id, {_NAME}, disabled_reason IS NOT NULL,
        (SELECT count(*) FROM (SELECT FROM deliveries
            WHERE {_WAITING} IN ('pending', 'retrying') LIMIT {_MOST_COUNTED}) AS waiting),
        LEAST(
            (SELECT queued_at FROM deliveries WHERE {_WAITING} = 'pending' ORDER BY id LIMIT 1),
            (SELECT queued_at FROM deliveries WHERE {_WAITING} = 'retrying' ORDER BY id LIMIT 1))
    FROM (
        SELECT * FROM destinations
        WHERE {{whose}} AND deleted_at IS NULL
            AND ("window" IS NOT NULL OR disabled_reason IS NOT NULL)
            AND (disabled_reason = '{DisabledReason.GONE}'
                OR (disabled_reason IS NULL AND failures > 0))
        ORDER BY id LIMIT {MOST_ITEMS}
    ) AS destinations
"""  # noqa: S608
_LIST_EXHAUSTED = f"""
    SELECT destination_id, min({_NAME}), exhausted.number, exhausted.since
    FROM (
        SELECT shard, destination_id, count(*) AS number, min(finished_at) AS since FROM (
            SELECT shard, destination_id, finished_at FROM deliveries
            WHERE {{whose}} AND status = 'exhausted'
                AND finished_at > now() - CAST('1 day' AS interval)
            ORDER BY finished_at DESC LIMIT {_MOST_COUNTED}
        ) AS newest
        GROUP BY shard, destination_id ORDER BY count(*) DESC, destination_id LIMIT {MOST_ITEMS}
    ) AS exhausted LEFT JOIN destinations
        ON destinations.shard = exhausted.shard AND destinations.id = exhausted.destination_id
    GROUP BY destination_id, exhausted.number, exhausted.since
"""  # noqa: S608


class Kept(NamedTuple):
    """A kept count, and since when the oldest of it is there, if that is kept too."""

    number: int
    since: datetime | None


class SetAside(NamedTuple):
    """The triggers that were set aside with one error: the newest of them, and their number."""

    error: str
    id: int
    name: str | None
    since: datetime
    number: int


class FailingDestination(NamedTuple):
    """A destination that fails, or is gone, with the deliveries that wait for it."""

    id: int
    name: str | None
    is_gone: bool
    waiting: int
    since: datetime | None


class ExhaustedAtDestination(NamedTuple):
    """The exhausted deliveries of a destination in the last 24 hours."""

    id: int
    name: str | None
    number: int
    since: datetime


@dataclass(frozen=True, slots=True)
class _Query:
    """One query in two forms: for the rows of one project, and for those of all."""

    of_one: TextClause
    of_all: TextClause

    @classmethod
    def of(
        cls, query: str, *, of_all: str = f"{EVERY_SHARD} AND {NOT_OF_DELETED_PROJECTS}"
    ) -> "_Query":
        return cls(text(query.format(whose=_OWNED)), text(query.format(whose=of_all)))


_STATES = _Query.of(_READ_STATES, of_all=f"{EVERY_SHARD} AND owner_id = {ALL_PROJECTS}")
_UNFIRED, _SET_ASIDE = _Query.of(_COUNT_UNFIRED), _Query.of(_LIST_SET_ASIDE)
_FAILING, _EXHAUSTED = _Query.of(_LIST_FAILING_DESTINATIONS), _Query.of(_LIST_EXHAUSTED)
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

    session: AsyncSession
    project_id: int | None

    async def read_pass(self) -> tuple[datetime, datetime | None]:
        """Returns the database's time, and the time before which all is counted."""
        now, counted_at = (await self.session.execute(_READ_PASS)).one()
        return now, counted_at

    async def read_states(self) -> dict[str, Kept]:
        rows = await self._run(_STATES)
        return {state: Kept(number, since) for state, number, since in rows}

    async def count_events(self, *, hour: datetime, day: datetime) -> tuple[int, int]:
        """Counts the events of the minutes since `hour`, and of those since `day`."""
        owner_id = ALL_PROJECTS if self.project_id is None else self.project_id
        wanted = {"shard": shard_of(owner_id), "owner_id": owner_id, "hour": hour, "day": day}
        last_hour, last_day = (await self.session.execute(_COUNT_EVENTS, wanted)).one()
        return int(last_hour), int(last_day)

    async def count_unfired(self, *, day: datetime) -> dict[str, Kept]:
        """Counts by reason the instants that were recorded as unfired since `day`."""
        rows = await self._run(_UNFIRED, day=day)
        return {reason: Kept(number, since) for reason, number, since in rows}

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
        is_few = active <= _FEW_TRIGGERS
        query, most = (_NEXT_OF_FEW, 2 * _FEW_TRIGGERS) if is_few else (_NEXT_IN_SHARD, _MOST_READ)
        found = await self.session.scalar(query, {**self._owned(), "most": most})
        return cast("datetime | None", found)

    async def list_set_aside(self) -> list[SetAside]:
        return [*map(SetAside._make, await self._run(_SET_ASIDE))]

    async def list_failing_destinations(self) -> list[FailingDestination]:
        return [*map(FailingDestination._make, await self._run(_FAILING))]

    async def list_exhausted(self) -> list[ExhaustedAtDestination]:
        """Lists destinations with exhausted deliveries; counts the newest 1,000."""
        return [*map(ExhaustedAtDestination._make, await self._run(_EXHAUSTED))]

    async def _run(self, query: _Query, **values: Any) -> Sequence[Any]:
        if self.project_id is not None:
            return (await self.session.execute(query.of_one, {**self._owned(), **values})).all()
        options = {ACROSS_SHARDS: "admin reads"}
        rows = await self.session.execute(query.of_all, values, execution_options=options)
        return rows.all()

    def _owned(self) -> dict[str, int]:
        assert self.project_id is not None
        return {"shard": shard_of(self.project_id), "owner_id": self.project_id}
