"""What waits to be sent: claimed with a lease, recorded only by whoever holds the newest one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.destinations.circuit_breaker import CircuitBreaker
from event_trigger.destinations.token_bucket import TokenBucket
from event_trigger.models import DeliveryError, DeliveryStatus

# A queue grows and shrinks faster than its statistics, so its statements leave the planner no bad
# choice: what was locked is updated where it lies (by ctid; what has moved since is claimed next
# time). now() is said where an index must serve, which clock_timestamp() cannot. A lease adds 2:
# a replica of a version that does not know where payloads are cannot take one (see Delivery).
_LOCK_DESTINATIONS = """
    SELECT id, owner_id, url, timeout, rate_limit, max_concurrency, sealed, key_id,
        deleted_at, failures, "window", probe_at, held_until, tokens, tokens_at,
        clock_timestamp() AS now,
        leases.in_flight, leases.abandoned
    FROM destinations CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE leased_until > now()) AS in_flight,
            count(*) FILTER (WHERE leased_until <= now()) AS abandoned
        FROM deliveries
        WHERE deliveries.shard = :shard AND deliveries.destination_id = destinations.id
            AND leased_until IS NOT NULL
    ) AS leases
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[])) AND disabled_reason IS NULL
    ORDER BY id
    FOR NO KEY UPDATE OF destinations
"""
_LOCK_FREE_DESTINATIONS = text(_LOCK_DESTINATIONS + " SKIP LOCKED")
_LOCK_ALL_DESTINATIONS = text(_LOCK_DESTINATIONS.replace("AND disabled_reason IS NULL", ""))
_CLAIM = text("""
    WITH claimed AS MATERIALIZED (
        SELECT small.tid
        FROM unnest(CAST(:ids AS bigint[]), CAST(:counts AS int[]), CAST(:sizes AS bigint[]))
            AS granted (destination_id, count, size)
        CROSS JOIN LATERAL (
            SELECT due.tid, sum(due.payload_size) OVER (ORDER BY next_attempt_at, id) AS bytes,
                row_number() OVER (ORDER BY next_attempt_at, id) AS place
            FROM (
                SELECT ctid AS tid, id, payload_size, next_attempt_at FROM deliveries
                WHERE shard = :shard AND destination_id = granted.destination_id
                    AND next_attempt_at <= now()
                ORDER BY next_attempt_at LIMIT granted.count FOR UPDATE SKIP LOCKED
            ) AS due
        ) AS small
        WHERE small.bytes <= granted.size OR small.place = 1
    ), leased AS (
        UPDATE deliveries SET
            lease = lease + 2,
            installation = coalesce(
                installation, CASE WHEN lease = 0 THEN CAST(:installation AS text) ELSE '' END),
            leased_at = statement_timestamp(),
            leased_until = (CAST(:untils AS timestamptz[]))
                [array_position(CAST(:ids AS bigint[]), destination_id)],
            next_attempt_at = (CAST(:untils AS timestamptz[]))
                [array_position(CAST(:ids AS bigint[]), destination_id)]
        WHERE shard = :shard AND ctid = ANY (ARRAY(SELECT tid FROM claimed))
        RETURNING id, destination_id, lease, tries, queued_at, payload_size, trigger_id,
            trigger_name, event_id, event_type, triggered_at, scheduled_for, is_test, replay_of,
            hops, installation, CAST(payload AS text) AS own_payload
    )
    SELECT leased.*, coalesce(own_payload, CAST(stored.payload AS text)) AS payload
    FROM leased LEFT JOIN delivery_payloads AS stored
        ON stored.shard = :shard AND stored.event_id = leased.event_id
""")
_RECORD = text("""
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
        RETURNING deliveries.id, deliveries.attempt_count
    )
    INSERT INTO delivery_attempts
        (shard, delivery_id, number, attempted_at, duration_ms, status_code, error, response)
    SELECT :shard, recorded.id, recorded.attempt_count, attempted_at, duration_ms, status_code,
        error, response
    FROM recorded JOIN outcomes ON outcomes.id = recorded.id
    RETURNING delivery_id
""")
_LIST_RESTLESS = text("""
    SELECT id FROM destinations WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
        AND (failures > 0 OR "window" IS NOT NULL)
""")
_SAVE_BREAKERS = text("""
    UPDATE destinations SET failures = saved.failures, "window" = saved.window,
        probe_at = saved.probe_at, held_until = saved.held_until,
        disabled_reason = coalesce(destinations.disabled_reason, saved.disabled_reason)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:failures AS bigint[]), CAST(:windows AS bigint[]),
        CAST(:probe_ats AS timestamptz[]), CAST(:held_untils AS timestamptz[]),
        CAST(:disabled_reasons AS text[])
    ) AS saved (id, failures, "window", probe_at, held_until, disabled_reason)
    WHERE destinations.shard = :shard AND destinations.id = saved.id
""")
_SAVE_BUCKETS = text("""
    UPDATE destinations SET tokens = saved.tokens, tokens_at = saved.tokens_at
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:tokens AS float8[]), CAST(:tokens_ats AS timestamptz[])
    ) AS saved (id, tokens, tokens_at)
    WHERE destinations.shard = :shard AND destinations.id = saved.id
""")


@dataclass(frozen=True, slots=True)
class Granted:
    """How many deliveries may be claimed for a destination, of how many bytes, until when.

    One may be, whatever its size.
    """

    destination_id: int
    count: int
    size: int
    until: datetime


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What came of one attempt, and what becomes of its delivery.

    `held_until` is there when the receiver asked not to be called before; `cost` is how many of the
    delivery's tries it takes: 1, or 0.
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


@dataclass(frozen=True, slots=True)
class DestinationHealth:
    """What a destination's breaker has come to, and why it is disabled, if it is to be."""

    destination_id: int
    breaker: CircuitBreaker
    held_until: datetime | None
    disabled_reason: str | None


Claimed = Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class Queue:
    session: AsyncSession

    async def lock_destinations(
        self, shard: int, ids: Sequence[int], *, wait: bool
    ) -> Sequence[Claimed]:
        """Locks them, in order, and counts what is in flight to each, and what was abandoned.

        Without `wait`, those that are disabled or in somebody else's hands are passed over.
        """
        statement = _LOCK_ALL_DESTINATIONS if wait else _LOCK_FREE_DESTINATIONS
        return (await self.session.execute(statement, {"shard": shard, "ids": list(ids)})).all()

    async def claim(
        self, shard: int, granted: Sequence[Granted], *, installation: str
    ) -> Sequence[Claimed]:
        """Takes what has been due for longest; unless it is recorded, it is due again later.

        Whatever has not been attempted yet is the `installation`'s from now on.
        """
        wanted = {
            "shard": shard,
            "ids": [one.destination_id for one in granted],
            "counts": [one.count for one in granted],
            "sizes": [one.size for one in granted],
            "untils": [one.until for one in granted],
            "installation": installation,
        }
        return (await self.session.execute(_CLAIM, wanted)).all()

    async def save_buckets(self, shard: int, buckets: Sequence[tuple[int, TokenBucket]]) -> None:
        saved = {
            "shard": shard,
            "ids": [one for one, _ in buckets],
            "tokens": [bucket.tokens for _, bucket in buckets],
            "tokens_ats": [bucket.at for _, bucket in buckets],
        }
        await self.session.execute(_SAVE_BUCKETS, saved)

    async def record(self, shard: int, outcomes: Sequence[AttemptOutcome]) -> set[int]:
        """Records what the newest lease has come to, and gives the ids of those that had it."""
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
        return set((await self.session.scalars(_RECORD, values)).all())

    async def list_restless(self, shard: int, ids: Sequence[int]) -> set[int]:
        """Those of them whose last attempts failed, which a success changes."""
        return set((await self.session.scalars(_LIST_RESTLESS, {"shard": shard, "ids": ids})).all())

    async def save_breakers(self, shard: int, health: Sequence[DestinationHealth]) -> None:
        saved = {
            "shard": shard,
            "ids": [one.destination_id for one in health],
            "failures": [one.breaker.failures for one in health],
            "windows": [one.breaker.window for one in health],
            "probe_ats": [one.breaker.probe_at for one in health],
            "held_untils": [one.held_until for one in health],
            "disabled_reasons": [one.disabled_reason for one in health],
        }
        await self.session.execute(_SAVE_BREAKERS, saved)
