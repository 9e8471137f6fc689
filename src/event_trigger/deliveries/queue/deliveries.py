"""Claims deliveries under a lease, records their attempts, recovers leases, gives up and purges."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import CountedMeasure, DeliveryError, DeliveryStatus
from event_trigger.models.minute_count import (
    NO_DURATION,
    OWN_PART,
    add_to_minutes,
    bucket_of,
    minute_of,
)

EXPIRES_AFTER = timedelta(days=7)

# A queue grows and shrinks faster than its statistics, so its statements leave the planner no bad
# choice: a locked row is updated where it lies (by ctid; a row that has moved since is claimed next
# time). now() is written where an index must serve, which clock_timestamp() cannot. A lease adds 2:
# a replica of a version that does not know where payloads are cannot take one (see Delivery).
_CLAIM_DELIVERIES = text("""
    WITH claimed AS MATERIALIZED (
        SELECT fitting.tid
        FROM unnest(CAST(:ids AS bigint[]), CAST(:counts AS int[]), CAST(:sizes AS bigint[]))
            AS claim_limit (destination_id, count, size)
        CROSS JOIN LATERAL (
            SELECT due.tid, sum(due.payload_size) OVER (ORDER BY next_attempt_at, id) AS bytes,
                row_number() OVER (ORDER BY next_attempt_at, id) AS place
            FROM (
                SELECT ctid AS tid, id, payload_size, next_attempt_at FROM deliveries
                WHERE shard = :shard AND destination_id = claim_limit.destination_id
                    AND next_attempt_at <= now()
                ORDER BY next_attempt_at LIMIT claim_limit.count FOR UPDATE SKIP LOCKED
            ) AS due
        ) AS fitting
        WHERE fitting.bytes <= claim_limit.size OR fitting.place = 1
    ), leased AS (
        UPDATE deliveries SET
            lease = lease + 2,
            installation = coalesce(
                installation, CASE WHEN lease = 0 THEN CAST(:installation AS text) ELSE '' END),
            leased_at = statement_timestamp(),
            leased_until = (CAST(:lease_ends AS timestamptz[]))
                [array_position(CAST(:ids AS bigint[]), destination_id)],
            next_attempt_at = (CAST(:lease_ends AS timestamptz[]))
                [array_position(CAST(:ids AS bigint[]), destination_id)]
        WHERE shard = :shard AND ctid = ANY (ARRAY(SELECT tid FROM claimed))
        RETURNING id, destination_id, lease, tries, queued_at, payload_size, trigger_id,
            trigger_name, event_id, event_type, triggered_at, scheduled_for, is_test, replay_of,
            hops, installation, CAST(payload AS text) AS own_payload
    )
    SELECT leased.*, CAST(stored.payload AS text)
    FROM leased LEFT JOIN delivery_payloads AS stored
        ON stored.shard = :shard AND stored.event_id = leased.event_id
""")
# attempts are counted in the transactions that record them
_COUNT_ATTEMPTS = f"""
    SELECT CAST(:shard AS smallint), owner_id, '{CountedMeasure.ATTEMPTS}', minute, outcome,
        destination_id, bucket, {OWN_PART}, count(*), max(duration_ms)
    FROM (
        SELECT owner_id, destination_id, duration_ms, {{outcome}} AS outcome,
            {minute_of("attempted_at")} AS minute,
            CASE WHEN duration_ms IS NULL THEN {NO_DURATION} ELSE {bucket_of("duration_ms")} END
                AS bucket
        FROM attempted
    ) AS attempts
    GROUP BY owner_id, minute, outcome, destination_id, bucket
"""  # noqa: S608
_COUNT_RECORDED = add_to_minutes(
    _COUNT_ATTEMPTS.format(outcome=f"coalesce(error, '{DeliveryStatus.DELIVERED}')")
)
_COUNT_INTERRUPTED = add_to_minutes(
    _COUNT_ATTEMPTS.format(outcome=f"'{DeliveryError.INTERRUPTED}'")
)
# fenced by the lease: after a newer one was taken, or this one was ended, nothing is recorded
_RECORD = text(f"""
    WITH outcomes AS (
        SELECT * FROM unnest(
            CAST(:ids AS bigint[]), CAST(:leases AS bigint[]), CAST(:statuses AS text[]),
            CAST(:next_attempt_ats AS timestamptz[]), CAST(:finished_ats AS timestamptz[]),
            CAST(:attempted_ats AS timestamptz[]), CAST(:durations AS float8[]),
            CAST(:status_codes AS bigint[]), CAST(:errors AS text[]), CAST(:responses AS text[]),
            CAST(:costs AS int[])
        ) AS outcome (id, lease, status, next_attempt_at, finished_at, attempted_at, duration_ms,
            status_code, error, response, cost)
    ), recorded AS (
        UPDATE deliveries SET
            status = outcomes.status, attempt_count = deliveries.attempt_count + 1,
            tries = deliveries.tries + outcomes.cost, leased_until = NULL, error = outcomes.error,
            next_attempt_at = outcomes.next_attempt_at, finished_at = outcomes.finished_at
        FROM outcomes
        WHERE deliveries.shard = :shard AND deliveries.id = ANY (CAST(:ids AS bigint[]))
            AND deliveries.id = outcomes.id AND deliveries.lease = outcomes.lease
            AND deliveries.leased_until IS NOT NULL
        RETURNING deliveries.id, deliveries.owner_id, deliveries.destination_id,
            deliveries.attempt_count
    ), attempted AS MATERIALIZED (
        SELECT recorded.id, owner_id, destination_id, attempt_count, attempted_at, duration_ms,
            status_code, error, response
        FROM recorded JOIN outcomes ON outcomes.id = recorded.id
    ), counted AS ({_COUNT_RECORDED})
    INSERT INTO delivery_attempts
        (shard, delivery_id, number, attempted_at, duration_ms, status_code, error, response)
    SELECT :shard, id, attempt_count, attempted_at, duration_ms, status_code, error, response
    FROM attempted
    RETURNING delivery_id
""")  # noqa: S608
# an interrupted attempt may have arrived or not: it is recorded, and costs none of the tries
_INTERRUPT = f"""
    WITH attempted AS (
        UPDATE deliveries SET leased_until = NULL, next_attempt_at = now(),
            attempt_count = attempt_count + 1
        WHERE shard = :shard AND leased_until IS NOT NULL AND {{condition}}
        RETURNING id, owner_id, destination_id, attempt_count, leased_at AS attempted_at,
            CAST(NULL AS float8) AS duration_ms
    ), counted AS ({_COUNT_INTERRUPTED})
    INSERT INTO delivery_attempts (shard, delivery_id, number, attempted_at, error)
    SELECT :shard, id, attempt_count, attempted_at, :interrupted FROM attempted
"""  # noqa: S608
_RECOVER_LEASES = text(
    _INTERRUPT.format(
        condition="destination_id = ANY (CAST(:ids AS bigint[])) AND leased_until <= now()"
    )
)
_RELEASE_LEASES = text(
    _INTERRUPT.format(
        condition="(id, lease) IN (SELECT * FROM unnest(CAST(:ids AS bigint[]),"
        " CAST(:leases AS bigint[])))"
    )
)
_GIVE_UP = """
    UPDATE deliveries SET status = :exhausted, error = :error, leased_until = NULL,
        next_attempt_at = NULL, finished_at = statement_timestamp()
    WHERE shard = :shard AND {condition}
"""
# a delivery under a valid lease is left out: the lease's holder records its outcome
_OF_DESTINATIONS = """ctid = ANY (ARRAY(
        SELECT ctid FROM deliveries
        WHERE shard = :shard AND destination_id = ANY (CAST(:ids AS bigint[]))
            AND {condition} AND (leased_until IS NULL OR leased_until < now())
        LIMIT :limit FOR UPDATE SKIP LOCKED
    ))"""
_GIVE_UP_DELETED, _GIVE_UP_EXPIRED = (
    text(_GIVE_UP.format(condition=_OF_DESTINATIONS.format(condition=condition)))
    for condition in (
        "next_attempt_at IS NOT NULL",
        "next_attempt_at < now() - CAST(:after AS interval)",
    )
)
_GIVE_UP_WITHOUT_PAYLOAD = text(_GIVE_UP.format(condition="id = ANY (CAST(:ids AS bigint[]))"))
# the status is a literal: a partial index serves only a condition that is known when planning
_PURGE_FINISHED = """
    WITH purged AS (
        DELETE FROM deliveries WHERE (shard, id) IN (
            SELECT shard, id FROM deliveries
            WHERE status = '{status}' AND finished_at < now() - CAST(:after AS interval)
            ORDER BY finished_at LIMIT :limit
        )
        RETURNING shard, id
    ), attempts AS (
        DELETE FROM delivery_attempts USING purged
        WHERE delivery_attempts.shard = purged.shard AND delivery_id = purged.id
    )
    SELECT count(*) FROM purged
"""
_PURGES = {status: text(_PURGE_FINISHED.format(status=status)) for status in DeliveryStatus}


@dataclass(frozen=True, slots=True)
class ClaimLimit:
    """Limits a claim for one destination to `count` deliveries whose payloads have `size` bytes.

    One delivery is claimed whatever its size. Their leases end at `lease_end`.
    """

    destination_id: int
    count: int
    size: int
    lease_end: datetime


class ClaimedDelivery(NamedTuple):
    """A delivery under a new lease, with its payload as JSON text.

    `hops` is the event's. `own_payload` is the payload of a delivery that a version before 0014
    stored, `stored_payload` that of all others.
    """

    id: int
    destination_id: int
    lease: int
    tries: int
    queued_at: datetime
    payload_size: int
    trigger_id: int
    trigger_name: str | None
    event_id: int
    event_type: str
    triggered_at: datetime
    scheduled_for: datetime | None
    is_test: bool
    replay_of: int | None
    hops: int
    installation: str
    own_payload: str | None
    stored_payload: str | None

    @property
    def payload(self) -> str | None:
        return self.stored_payload if self.own_payload is None else self.own_payload


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The result of one attempt, and the delivery's state after it.

    `held_until` is set when the receiver asked for a pause (`Retry-After`). `cost` is the number
    of the delivery's tries that the attempt uses up: 1, or 0.
    """

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
    held_until: datetime | None
    cost: int


@dataclass(frozen=True)
class DeliveryQueue:
    """Returns up and purges in batches: a statement that takes too long is cancelled every time."""

    session: AsyncSession

    async def claim(
        self, shard: int, limits: Sequence[ClaimLimit], *, installation: str
    ) -> list[ClaimedDelivery]:
        """Leases due deliveries, oldest first. When a lease ends unrecorded, they are due again.

        A delivery without an attempt becomes this `installation`'s, which is part of its messages'
        id.
        """
        wanted = {
            "shard": shard,
            "ids": [one.destination_id for one in limits],
            "counts": [one.count for one in limits],
            "sizes": [one.size for one in limits],
            "lease_ends": [one.lease_end for one in limits],
            "installation": installation,
        }
        rows = await self.session.execute(_CLAIM_DELIVERIES, wanted)
        return [*map(ClaimedDelivery._make, rows)]

    async def record(self, shard: int, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        """Records the outcomes whose lease is still valid; gives their deliveries' ids."""
        values = {
            "shard": shard,
            "ids": [one.delivery_id for one in outcomes],
            "leases": [one.lease for one in outcomes],
            "statuses": [one.status for one in outcomes],
            "next_attempt_ats": [one.next_attempt_at for one in outcomes],
            "finished_ats": [one.finished_at for one in outcomes],
            "attempted_ats": [one.attempted_at for one in outcomes],
            "durations": [one.duration_ms for one in outcomes],
            "status_codes": [one.status_code for one in outcomes],
            "errors": [one.error for one in outcomes],
            "responses": [one.response for one in outcomes],
            "costs": [one.cost for one in outcomes],
        }
        return {*await self.session.scalars(_RECORD, values)}

    async def recover_leases(self, shard: int, destination_ids: Sequence[int]) -> None:
        """Ends expired leases: their attempts are recorded as interrupted, the deliveries due."""
        await self._interrupt(_RECOVER_LEASES, {"shard": shard, "ids": list(destination_ids)})

    async def release_leases(self, shard: int, leases: Sequence[tuple[int, int]]) -> None:
        """Ends this process's leases, (delivery id, lease) each, before they expire."""
        ids, numbers = [one for one, _ in leases], [lease for _, lease in leases]
        await self._interrupt(_RELEASE_LEASES, {"shard": shard, "ids": ids, "leases": numbers})

    async def _interrupt(self, statement: TextClause, wanted: dict[str, Any]) -> None:
        await self.session.execute(statement, {**wanted, "interrupted": DeliveryError.INTERRUPTED})

    async def give_up_deleted(
        self, shard: int, destination_ids: Sequence[int], *, limit: int
    ) -> int:
        """Returns up deliveries to deleted destinations; counts them."""
        wanted = {"shard": shard, "ids": list(destination_ids), "limit": limit}
        return await self._give_up(_GIVE_UP_DELETED, DeliveryError.DESTINATION_DELETED, wanted)

    async def give_up_expired(self, shard: int, destination_id: int, *, limit: int) -> int:
        """Returns up deliveries that have been due for EXPIRES_AFTER; counts them."""
        wanted = {"shard": shard, "ids": [destination_id], "limit": limit, "after": EXPIRES_AFTER}
        return await self._give_up(_GIVE_UP_EXPIRED, DeliveryError.EXPIRED, wanted)

    async def give_up_without_payload(self, shard: int, delivery_ids: Sequence[int]) -> int:
        """Returns up deliveries whose payload is stored nowhere any more; counts them."""
        wanted = {"shard": shard, "ids": list(delivery_ids)}
        return await self._give_up(_GIVE_UP_WITHOUT_PAYLOAD, DeliveryError.PAYLOAD_GONE, wanted)

    async def _give_up(
        self, statement: TextClause, error: DeliveryError, wanted: dict[str, Any]
    ) -> int:
        values = {**wanted, "exhausted": DeliveryStatus.EXHAUSTED, "error": error}
        done = await self.session.execute(statement, values)
        return done.rowcount  # type: ignore[attr-defined, no-any-return]

    async def purge(self, status: DeliveryStatus, *, after: timedelta, limit: int) -> int:
        """Deletes deliveries that finished longer ago than that, with their attempts; counts."""
        count = await self.session.scalar(
            _PURGES[status],
            {"after": after, "limit": limit},
            execution_options={ACROSS_SHARDS: "retention"},
        )
        return int(count or 0)
