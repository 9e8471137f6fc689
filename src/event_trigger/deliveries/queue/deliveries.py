"""Claims deliveries under a lease, and ends leases whose attempts were not recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ShardedStatement
from event_trigger.deliveries.queue import in_cluster
from event_trigger.deliveries.queue.in_cluster import interrupting
from event_trigger.deliveries.queue.outcomes import count_attempts
from event_trigger.models import DeliveryError

# A queue grows and shrinks faster than its statistics, so its statements leave the planner no bad
# choice: a locked row is updated where it lies (by ctid; a row that has moved since is claimed next
# time). now() is written where an index must serve, which clock_timestamp() cannot. A lease adds 2,
# or 4 for a notice: a replica of a version that does not know where payloads are, or what a notice
# is, cannot take one (see Delivery).
_CLAIM = """
    WITH claimed AS MATERIALIZED (
        SELECT fitting.tid
        FROM unnest(
            {shards}CAST(:ids AS bigint[]), CAST(:counts AS int[]), CAST(:sizes AS bigint[])
        ) AS claim_limit ({limit_names}destination_id, count, size)
        CROSS JOIN LATERAL (
            SELECT due.tid, sum(due.payload_size) OVER (ORDER BY next_attempt_at, id) AS bytes,
                row_number() OVER (ORDER BY next_attempt_at, id) AS place
            FROM (
                SELECT ctid AS tid, id, payload_size, next_attempt_at FROM deliveries
                WHERE shard = {limit_shard} AND destination_id = claim_limit.destination_id
                    AND next_attempt_at <= now() AND leased_until IS NULL
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
        FROM unnest({shards}CAST(:ids AS bigint[]), CAST(:lease_ends AS timestamptz[]))
            AS lease_end ({end_names}of_destination_id, at)
        WHERE deliveries.shard = {end_shard} AND ctid = ANY (ARRAY(SELECT tid FROM claimed))
            AND destination_id = lease_end.of_destination_id
        RETURNING deliveries.shard, id, destination_id, lease, tries, queued_at, payload_size,
            trigger_id, trigger_key, trigger_name, event_id, event_type, triggered_at,
            scheduled_for, is_test, replay_of, hops, source_kind, subject, installation,
            trace_context, CAST(payload AS text) AS own_payload
    )
    SELECT leased.*, CAST(stored.payload AS text)
    FROM leased LEFT JOIN delivery_payloads AS stored
        ON stored.shard = {leased_shard} AND stored.event_id = leased.event_id
"""
_CLAIM_IN_SHARD = _CLAIM.format(
    **dict.fromkeys(("shards", "limit_names", "end_names"), ""),
    **dict.fromkeys(("limit_shard", "end_shard", "leased_shard"), ":shard"),
)
_CLAIM_IN_SHARDS = _CLAIM.format(
    shards="CAST(:shards AS smallint[]), ",
    limit_names="shard, ",
    end_names="of_shard, ",
    limit_shard="claim_limit.shard",
    end_shard="lease_end.of_shard",
    leased_shard="leased.shard",
)
_CLAIM_DELIVERIES = ShardedStatement(text(_CLAIM_IN_SHARD), text(_CLAIM_IN_SHARDS))
_LOCK_EXPIRED = text("""
    SELECT id, lease FROM deliveries
    WHERE shard = :shard AND destination_id = ANY (CAST(:ids AS bigint[])) AND leased_until <= now()
    FOR NO KEY UPDATE SKIP LOCKED
""")
_OF_LEASES = """(id, lease) IN (
    SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS bigint[])))"""
_COUNT_INTERRUPTED = count_attempts(f"'{DeliveryError.INTERRUPTED}'")
# an interrupted attempt may have arrived or not: it is recorded, and costs none of the tries
_INTERRUPT = text(f"""
    WITH attempted AS (
        {interrupting(_OF_LEASES)}, CAST(NULL AS float8) AS duration_ms
    ), counted AS ({_COUNT_INTERRUPTED})
    INSERT INTO delivery_attempts (shard, delivery_id, number, attempted_at, error)
    SELECT :shard, id, attempt_count, attempted_at, :interrupted FROM attempted
""")  # noqa: S608
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

    shard: int
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

    shard: int
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


@dataclass(frozen=True)
class DeliveryQueue:
    session: ReadSession

    async def claim(
        self, limits: Sequence[ClaimLimit], *, installation: str
    ) -> list[ClaimedDelivery]:
        """Leases due deliveries, oldest first. When a lease ends unrecorded, they are due again.

        A delivery without an attempt becomes this `installation`'s, which is part of its messages'
        id. In a cluster all limits must be of one shard.
        """
        statement, shards = _CLAIM_DELIVERIES.on([one.shard for one in limits])
        wanted = {
            **shards,
            "ids": [one.destination_id for one in limits],
            "counts": [one.count for one in limits],
            "sizes": [one.size for one in limits],
            "lease_ends": [one.lease_end for one in limits],
            "installation": installation,
        }
        return [*map(ClaimedDelivery._make, await self.session.execute(statement, wanted))]

    async def recover_leases(self, shard: int, destination_ids: Sequence[int]) -> None:
        """Ends expired leases: their attempts are recorded as interrupted, the deliveries due.

        Skips those that another transaction has locked; a claim after this one recovers them.
        """
        wanted = {"shard": shard, "ids": list(destination_ids)}
        expired = await self.session.execute(_LOCK_EXPIRED, wanted)
        await self.release_leases(shard, [(row[0], row[1]) for row in expired])

    async def release_leases(self, shard: int, leases: Sequence[tuple[int, int]]) -> None:
        """Ends leases, (delivery id, lease) each: their attempts are recorded as interrupted."""
        ids, numbers = [one for one, _ in leases], [lease for _, lease in leases]
        wanted = {"ids": ids, "leases": numbers}
        if await is_in_cluster(self.session):
            await in_cluster.interrupt(self.session, shard, _OF_LEASES, wanted)
            return
        values = {**wanted, "shard": shard, "interrupted": DeliveryError.INTERRUPTED}
        await self.session.execute(_INTERRUPT, values)

    async def put_back(
        self, shard: int, leases: Sequence[tuple[int, int]], *, after: timedelta
    ) -> list[PutBack]:
        """Ends this process's leases, (delivery id, lease) each, of which nothing was sent.

        The deliveries are due again `after` that time. No attempt is recorded.
        """
        ids, numbers = [one for one, _ in leases], [lease for _, lease in leases]
        values = {"shard": shard, "ids": ids, "leases": numbers, "after": after}
        return [*map(PutBack._make, await self.session.execute(_PUT_BACK, values))]
