"""Claims deliveries under a lease, records their attempts, and recovers leases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.plain_session import ReadSession
from event_trigger.models import CountedMeasure, DeliveryError, DeliveryStatus
from event_trigger.models.minute_count import (
    NO_DURATION,
    OWN_PART,
    add_to_minutes,
    bucket_of,
    minute_of,
)

# A queue grows and shrinks faster than its statistics, so its statements leave the planner no bad
# choice: a locked row is updated where it lies (by ctid; a row that has moved since is claimed next
# time). now() is written where an index must serve, which clock_timestamp() cannot. A lease adds 2,
# or 4 for a notice: a replica of a version that does not know where payloads are, or what a notice
# is, cannot take one (see Delivery).
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
            lease = lease + CASE WHEN subject IS NULL THEN 2 ELSE 4 END,
            installation = coalesce(
                installation, CASE WHEN lease = 0 THEN CAST(:installation AS text) ELSE '' END),
            leased_at = statement_timestamp(),
            leased_until = lease_end.at, next_attempt_at = lease_end.at
        FROM unnest(CAST(:ids AS bigint[]), CAST(:lease_ends AS timestamptz[]))
            AS lease_end (of_destination_id, at)
        WHERE shard = :shard AND ctid = ANY (ARRAY(SELECT tid FROM claimed))
            AND destination_id = lease_end.of_destination_id
        RETURNING id, destination_id, lease, tries, queued_at, payload_size, trigger_id,
            trigger_key, trigger_name, event_id, event_type, triggered_at, scheduled_for, is_test,
            replay_of, hops, source_kind, subject, installation, trace_context,
            CAST(payload AS text) AS own_payload
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
_RECORD = f"""
    WITH outcomes AS (
        SELECT * FROM unnest(
            CAST(:delivery_id AS bigint[]), CAST(:lease AS bigint[]), CAST(:status AS text[]),
            CAST(:next_attempt_at AS timestamptz[]), CAST(:finished_at AS timestamptz[]),
            CAST(:attempted_at AS timestamptz[]), CAST(:duration_ms AS float8[]),
            CAST(:status_code AS bigint[]), CAST(:error AS text[]), CAST(:response AS text[]),
            CAST(:reason AS text[]), CAST(:location AS text[]), CAST(:cost AS int[])
        ) AS outcome (id, lease, status, next_attempt_at, finished_at, attempted_at, duration_ms,
            status_code, error, response, reason, location, cost)
    ), recorded AS (
        UPDATE deliveries SET
            status = outcomes.status, attempt_count = deliveries.attempt_count + 1,
            tries = deliveries.tries + outcomes.cost, leased_until = NULL, error = outcomes.error,
            next_attempt_at = outcomes.next_attempt_at, finished_at = outcomes.finished_at
        FROM outcomes
        WHERE deliveries.shard = :shard AND {{found}}
            AND deliveries.id = outcomes.id AND deliveries.lease = outcomes.lease
            AND num_nulls(deliveries.leased_until) = 0
        RETURNING deliveries.id, deliveries.owner_id, deliveries.destination_id,
            deliveries.attempt_count
    ), attempted AS MATERIALIZED (
        SELECT recorded.id, owner_id, destination_id, attempt_count, attempted_at, duration_ms,
            status_code, error, response, reason, location
        FROM recorded JOIN outcomes ON outcomes.id = recorded.id
    ), counted AS ({_COUNT_RECORDED})
    INSERT INTO delivery_attempts
        (shard, delivery_id, number, attempted_at, duration_ms, status_code, error, response,
        reason, location)
    SELECT :shard, id, attempt_count, attempted_at, duration_ms, status_code, error, response,
        reason, location
    FROM attempted
    RETURNING delivery_id
"""  # noqa: S608
# for a new queue, the planner takes another index for ids, and reads the whole shard in it, and so
# it does for `leased_until IS NOT NULL`, with all leases that have ended
_RECORD_IN_PLACE, _RECORD_MOVED = (
    text(_RECORD.format(found=found))
    for found in (
        """deliveries.ctid = ANY (ARRAY(
            SELECT place.tid FROM outcomes CROSS JOIN LATERAL (
                SELECT ctid AS tid FROM deliveries WHERE shard = :shard AND id = outcomes.id
                OFFSET 0
            ) AS place))""",
        "deliveries.id = ANY (CAST(:delivery_id AS bigint[]))",
    )
)
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
_PUT_BACK = text("""
    UPDATE deliveries SET leased_until = NULL,
        next_attempt_at = now() + CAST(:after AS interval)
    WHERE shard = :shard AND leased_until IS NOT NULL AND (id, lease) IN (
        SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS bigint[]))
    )
    RETURNING id, destination_id
""")
FIRST_LEASE = 2  # see Delivery


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

    Of a notice, `subject` is what it is about, and `event_id` its own id. `hops` is the event's,
    and `trace_context` that of its span. `own_payload` is the payload of a delivery that a version
    before 0014 stored, `stored_payload` that of all others.
    """

    id: int
    destination_id: int
    lease: int
    tries: int
    queued_at: datetime
    payload_size: int
    trigger_id: int
    trigger_key: str | None
    trigger_name: str | None
    event_id: int
    event_type: str
    triggered_at: datetime
    scheduled_for: datetime | None
    is_test: bool
    replay_of: int | None
    hops: int
    source_kind: str | None
    subject: str | None
    installation: str
    trace_context: str | None
    own_payload: str | None
    stored_payload: str | None

    @property
    def payload(self) -> str | None:
        return self.stored_payload if self.own_payload is None else self.own_payload


class PutBack(NamedTuple):
    """A delivery whose lease was ended because nothing was sent."""

    id: int
    destination_id: int


class AttemptOutcome(NamedTuple):
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
    reason: str | None
    location: str | None
    held_until: datetime | None
    cost: int


@dataclass(frozen=True)
class DeliveryQueue:
    session: ReadSession

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
        return [*map(ClaimedDelivery._make, await self.session.execute(_CLAIM_DELIVERIES, wanted))]

    async def record(self, shard: int, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        """Records the outcomes whose lease is still valid; gives their deliveries' ids."""
        has_places = not await is_in_cluster(self.session)  # by which Citus finds no rows
        recorded = await self._record(_RECORD_IN_PLACE, shard, outcomes) if has_places else set()
        if missing := [one for one in outcomes if one.delivery_id not in recorded]:
            recorded |= await self._record(_RECORD_MOVED, shard, missing)  # or their lease is over
        return recorded

    async def _record(
        self, statement: TextClause, shard: int, outcomes: Sequence[AttemptOutcome]
    ) -> set[int]:
        columns = dict(zip(AttemptOutcome._fields, zip(*outcomes, strict=True), strict=True))
        rows = await self.session.execute(statement, {"shard": shard, **columns})
        return {row[0] for row in rows}

    async def recover_leases(self, shard: int, destination_ids: Sequence[int]) -> None:
        """Ends expired leases: their attempts are recorded as interrupted, the deliveries due."""
        await self._interrupt(_RECOVER_LEASES, {"shard": shard, "ids": list(destination_ids)})

    async def release_leases(self, shard: int, leases: Sequence[tuple[int, int]]) -> None:
        """Ends this process's leases, (delivery id, lease) each, before they expire."""
        ids, numbers = [one for one, _ in leases], [lease for _, lease in leases]
        await self._interrupt(_RELEASE_LEASES, {"shard": shard, "ids": ids, "leases": numbers})

    async def put_back(
        self, shard: int, leases: Sequence[tuple[int, int]], *, after: timedelta
    ) -> list[PutBack]:
        """Ends this process's leases, (delivery id, lease) each, of which nothing was sent.

        The deliveries are due again `after` that time. No attempt is recorded.
        """
        ids, numbers = [one for one, _ in leases], [lease for _, lease in leases]
        values = {"shard": shard, "ids": ids, "leases": numbers, "after": after}
        return [*map(PutBack._make, await self.session.execute(_PUT_BACK, values))]

    async def _interrupt(self, statement: TextClause, wanted: dict[str, Any]) -> None:
        await self.session.execute(statement, {**wanted, "interrupted": DeliveryError.INTERRUPTED})
