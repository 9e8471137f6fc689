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
    SELECT outcome.*, place.tid FROM unnest(
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
    WHERE deliveries.ctid = outcomes.tid AND deliveries.lease = outcomes.lease
        AND num_nulls(deliveries.leased_until) = 0
    RETURNING deliveries.shard, deliveries.id, deliveries.owner_id, deliveries.destination_id,
        deliveries.attempt_count
"""
_MEASURED = "attempted_at, duration_ms, status_code, error, response, reason, location"
_RETURNED = ", ".join(f"outcomes.{one}" for one in _MEASURED.split(", "))
# the rows are read where they lie: for a new queue, the planner takes another index for ids, and
# reads the whole shard in it, and so it does for `leased_until IS NOT NULL`, with all leases that
# have ended. Nothing is joined by ids, since the planner expects few rows, and compares all pairs.
# A row that another transaction has locked, or has moved since this statement began, is left out.
_RECORD = text(f"""
    WITH outcomes AS MATERIALIZED (
        {_OUTCOMES} CROSS JOIN LATERAL (
            SELECT ctid AS tid FROM deliveries WHERE shard = outcome.shard AND id = outcome.id
            OFFSET 0 FOR NO KEY UPDATE SKIP LOCKED
        ) AS place
    ), attempted AS MATERIALIZED (
        {_UPDATE}, {_RETURNED}
    ), counted AS ({count_attempts(_OUTCOME, shard=_EACH_SHARD)}),
    stored AS (
        INSERT INTO delivery_attempts (shard, delivery_id, number, {_MEASURED})
        SELECT shard, id, attempt_count, {_MEASURED} FROM attempted
    )
    SELECT array_agg(id),
        pg_notify('{DELIVERIES_ATTEMPTED}', owner_id || ':' || string_agg(CAST(id AS text), ','))
    FROM (
        SELECT owner_id, id, row_number() OVER (PARTITION BY owner_id) / {IDS_PER_NOTIFICATION}
            AS part
        FROM attempted
    ) AS named
    GROUP BY owner_id, part
""")  # noqa: S608
_LOCK = text("""
    SELECT place.id
    FROM unnest(CAST(:shards AS smallint[]), CAST(:ids AS bigint[])) AS wanted (shard, id)
    CROSS JOIN LATERAL (
        SELECT id FROM deliveries WHERE shard = wanted.shard AND id = wanted.id
        OFFSET 0 FOR NO KEY UPDATE SKIP LOCKED
    ) AS place
""").execution_options(**{ACROSS_SHARDS: ONE_SERVER})
_LOCK_IN_CLUSTER = text("""
    SELECT id FROM deliveries WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
    FOR NO KEY UPDATE SKIP LOCKED
""")
_LIST_LEASES = text("""
    SELECT id, CASE WHEN num_nulls(leased_until) = 0 THEN lease END FROM deliveries
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
""")


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

    async def lock(self, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        """Locks the deliveries of outcomes; gives the ids of those that have to wait.

        Another transaction has locked these, and their lease is not over. In a cluster all outcomes
        must be of one shard.
        """
        statement = _LOCK_IN_CLUSTER if await is_in_cluster(self.session) else _LOCK
        wanted = {
            "shard": outcomes[0].shard,
            "shards": [one.shard for one in outcomes],
            "ids": [one.delivery_id for one in outcomes],
        }
        locked = {row[0] for row in await self.session.execute(statement, wanted)}
        leases = {one.delivery_id: one.lease for one in outcomes}
        has_to_wait = set[int]()
        missing = (one for one in outcomes if one.delivery_id not in locked)
        for shard, some in by_shard(missing).items():
            ids = {"shard": shard, "ids": [one.delivery_id for one in some]}
            rows = await self.session.execute(_LIST_LEASES, ids)
            has_to_wait |= {row[0] for row in rows if row[1] == leases[row[0]]}
        return has_to_wait

    async def record(self, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        """Records the outcomes whose lease is still valid; gives their deliveries' ids.

        Leaves out those that another transaction has locked. The commit names the others to every
        replica. In a cluster all outcomes must be of one shard, and locked.
        """
        if await is_in_cluster(self.session):
            recorded = await in_cluster.record(self.session, outcomes[0].shard, outcomes)
            await self._tell(outcomes, recorded)
            return recorded
        rows = await self.session.execute(
            _RECORD, _columns(outcomes), execution_options={ACROSS_SHARDS: ONE_SERVER}
        )
        return {one for row in rows for one in row[0]}

    async def _tell(self, outcomes: Sequence[AttemptOutcome], recorded: set[int]) -> None:
        named = [(one.owner_id, one.delivery_id) for one in outcomes]
        told = [one for one in named if one[1] in recorded]
        await notify_rows(self.session, DELIVERIES_ATTEMPTED, told)


def _columns(outcomes: Collection[AttemptOutcome]) -> dict[str, Iterable[object]]:
    columns = dict(zip(AttemptOutcome._fields, zip(*outcomes, strict=True), strict=True))
    return {"shards": columns.pop("shard"), **columns}
