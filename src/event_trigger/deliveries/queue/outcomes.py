"""Records the outcomes of attempts, and counts attempts by minute."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.notify import DELIVERIES_ATTEMPTED, IDS_PER_NOTIFICATION, notify_rows
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER, by_shard
from event_trigger.deliveries.queue import in_cluster
from event_trigger.models import CountedMeasure, DeliveryError, DeliveryStatus
from event_trigger.models.minute_count import (
    NO_DURATION,
    OWN_PART,
    add_to_minutes,
    bucket_of,
    minute_of,
)

_ONE_SHARD, _EACH_SHARD = "CAST(:shard AS smallint)", "min(shard)"


def count_attempts(outcome: str, *, shard: str = _ONE_SHARD) -> str:
    """Returns SQL that counts the attempts of a query named `attempted`.

    They are counted in the transactions that record them.
    """
    return add_to_minutes(f"""
        SELECT {shard}, owner_id, '{CountedMeasure.ATTEMPTS}', minute, outcome,
            destination_id, bucket, {OWN_PART}, count(*), max(duration_ms)
        FROM (
            SELECT *, {outcome} AS outcome,
                {minute_of("attempted_at")} AS minute,
                CASE WHEN duration_ms IS NULL THEN {NO_DURATION} ELSE {bucket_of("duration_ms")} END
                    AS bucket
            FROM attempted
        ) AS attempts
        GROUP BY owner_id, minute, outcome, destination_id, bucket
    """)  # noqa: S608


_OUTCOME = f"coalesce(error, '{DeliveryStatus.DELIVERED}')"
_OUTCOMES = """
    SELECT {places} FROM unnest(
        CAST(:shards AS smallint[]), CAST(:delivery_id AS bigint[]), CAST(:lease AS bigint[]),
        CAST(:status AS text[]), CAST(:next_attempt_at AS timestamptz[]),
        CAST(:finished_at AS timestamptz[]), CAST(:attempted_at AS timestamptz[]),
        CAST(:duration_ms AS float8[]), CAST(:status_code AS bigint[]), CAST(:error AS text[]),
        CAST(:response AS text[]), CAST(:reason AS text[]), CAST(:location AS text[]),
        CAST(:cost AS int[])
    ) AS outcome (shard, id, lease, status, next_attempt_at, finished_at, attempted_at,
        duration_ms, status_code, error, response, reason, location, cost)
"""
# fenced by the lease: after a newer one was taken, or this one was ended, nothing is recorded
_UPDATE = """
    UPDATE deliveries SET
        status = outcomes.status, attempt_count = deliveries.attempt_count + 1,
        tries = deliveries.tries + outcomes.cost, leased_until = NULL, error = outcomes.error,
        next_attempt_at = outcomes.next_attempt_at, finished_at = outcomes.finished_at
    FROM outcomes
    WHERE {found} AND deliveries.lease = outcomes.lease
        AND num_nulls(deliveries.leased_until) = 0
    RETURNING deliveries.shard, deliveries.id, deliveries.owner_id, deliveries.destination_id,
        deliveries.attempt_count
"""
_MEASURED = "attempted_at, duration_ms, status_code, error, response, reason, location"
_RETURNED = ", ".join(f"outcomes.{one}" for one in _MEASURED.split(", "))
_INSERT_ATTEMPTS = f"""
    INSERT INTO delivery_attempts (shard, delivery_id, number, {_MEASURED})
    SELECT {{shard}}, id, attempt_count, {_MEASURED} FROM attempted
"""  # noqa: S608
# the rows are read where they lie: for a new queue, the planner takes another index for ids, and
# reads the whole shard in it, and so it does for `leased_until IS NOT NULL`, with all leases that
# have ended. Nothing is joined by ids, since the planner expects few rows, and compares all pairs.
_RECORD_IN_PLACE = text(f"""
    WITH outcomes AS MATERIALIZED (
        {_OUTCOMES.format(places="outcome.*, place.tid")} CROSS JOIN LATERAL (
            SELECT ctid AS tid FROM deliveries WHERE shard = outcome.shard AND id = outcome.id
            OFFSET 0
        ) AS place
    ), attempted AS MATERIALIZED (
        {_UPDATE.format(found="deliveries.ctid = outcomes.tid")}, {_RETURNED}
    ), counted AS ({count_attempts(_OUTCOME, shard=_EACH_SHARD)}),
    stored AS ({_INSERT_ATTEMPTS.format(shard="shard")})
    SELECT array_agg(id),
        pg_notify('{DELIVERIES_ATTEMPTED}', owner_id || ':' || string_agg(CAST(id AS text), ','))
    FROM (
        SELECT owner_id, id, row_number() OVER (PARTITION BY owner_id) / {IDS_PER_NOTIFICATION}
            AS part
        FROM attempted
    ) AS named
    GROUP BY owner_id, part
""")  # noqa: S608
_BY_ID = """deliveries.shard = :shard AND deliveries.id = ANY (CAST(:delivery_id AS bigint[]))
        AND deliveries.id = outcomes.id"""
_RECORD_MOVED = text(f"""
    WITH outcomes AS ({_OUTCOMES.format(places="*")}),
    recorded AS ({_UPDATE.format(found=_BY_ID)}),
    attempted AS MATERIALIZED (
        SELECT recorded.id, owner_id, destination_id, attempt_count, {_MEASURED}
        FROM recorded JOIN outcomes ON outcomes.id = recorded.id
    ), counted AS ({count_attempts(_OUTCOME)})
    {_INSERT_ATTEMPTS.format(shard=":shard")}
    RETURNING delivery_id
""")  # noqa: S608


class AttemptOutcome(NamedTuple):
    """The result of one attempt, and the delivery's state after it.

    `held_until` is set when the receiver asked for a pause (`Retry-After`). `cost` is the number
    of the delivery's tries that the attempt uses up: 1, or 0.
    """

    shard: int
    owner_id: int
    delivery_id: int
    lease: int
    status: DeliveryStatus
    next_attempt_at: datetime | None
    finished_at: datetime | None
    attempted_at: datetime
    duration_ms: float
    status_code: int | None
    error: DeliveryError | None
    response: str | None
    reason: str | None
    location: str | None
    held_until: datetime | None
    cost: int


@dataclass(frozen=True)
class DeliveryOutcomes:
    session: ReadSession

    async def record(self, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        """Records the outcomes whose lease is still valid; gives their deliveries' ids.

        The commit names these to every replica. In a cluster all outcomes must be of one shard.
        """
        if await is_in_cluster(self.session):
            recorded = await in_cluster.record(self.session, outcomes[0].shard, outcomes)
            await self._tell(outcomes, recorded)
            return recorded
        recorded = await self._record_in_place(outcomes)
        missing = [one for one in outcomes if one.delivery_id not in recorded]
        for shard, group in by_shard(missing).items():
            recorded |= await self._record_moved(shard, group)  # or their lease is over
        return recorded

    async def _record_in_place(self, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        rows = await self.session.execute(
            _RECORD_IN_PLACE, _columns(outcomes), execution_options={ACROSS_SHARDS: ONE_SERVER}
        )
        return {one for row in rows for one in row[0]}

    async def _record_moved(self, shard: int, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        values = {"shard": shard, **_columns(outcomes)}
        recorded = {row[0] for row in await self.session.execute(_RECORD_MOVED, values)}
        await self._tell(outcomes, recorded)
        return recorded

    async def _tell(self, outcomes: Sequence[AttemptOutcome], recorded: set[int]) -> None:
        named = [(one.owner_id, one.delivery_id) for one in outcomes]
        told = [one for one in named if one[1] in recorded]
        await notify_rows(self.session, DELIVERIES_ATTEMPTED, told)


def _columns(outcomes: Collection[AttemptOutcome]) -> dict[str, Iterable[object]]:
    columns = dict(zip(AttemptOutcome._fields, zip(*outcomes, strict=True), strict=True))
    return {"shards": columns.pop("shard"), **columns}
