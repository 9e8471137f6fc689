"""Gives up deliveries that cannot arrive any more, and purges finished ones, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.db.transactions import after_commit
from event_trigger.models import DeliveryError, DeliveryStatus, NoticeKind, SubjectKind
from event_trigger.notices.changes import Change, Subject, record_changes
from event_trigger.telemetry import DELIVERIES_EXHAUSTED

EXPIRES_AFTER = timedelta(days=7)

_GIVE_UP = """
    WITH given_up AS (
        UPDATE deliveries SET status = :exhausted, error = :error, leased_until = NULL,
            next_attempt_at = NULL, finished_at = statement_timestamp()
        WHERE shard = :shard AND {condition}
        RETURNING id, owner_id, destination_id, subject, hops
    ), requests AS (
        DELETE FROM delivery_requests USING given_up
        WHERE delivery_requests.shard = :shard AND delivery_id = given_up.id
    )
    SELECT owner_id, destination_id, count(*), count(*) FILTER (WHERE subject IS NULL), max(id),
        max(hops)
    FROM given_up GROUP BY owner_id, destination_id
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
_GIVE_UP_UNSENT = text(
    _GIVE_UP.format(
        condition="id = ANY (CAST(:ids AS bigint[]))"
        " AND tries = 0 AND queued_at < now() - CAST(:after AS interval)"
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
    ), requests AS (
        DELETE FROM delivery_requests USING purged
        WHERE delivery_requests.shard = purged.shard AND delivery_id = purged.id
    )
    SELECT count(*) FROM purged
"""
_PURGES = {status: text(_PURGE_FINISHED.format(status=status)) for status in DeliveryStatus}


class _GivenUp(NamedTuple):
    """Deliveries to one destination that were given up; `events` counts those without notices."""

    owner_id: int
    destination_id: int
    number: int
    events: int
    last_id: int
    hops: int

    def news(self, error: DeliveryError) -> Change:
        return Change(
            NoticeKind.DELIVERY_EXHAUSTED,
            self.owner_id,
            Subject(SubjectKind.DESTINATION, self.destination_id),
            self.events,
            self.hops + 1,
            {"delivery_id": self.last_id, "error": error},
        )


@dataclass(frozen=True)
class QueueCleanup:
    """Ends deliveries in batches: a statement that takes too long is cancelled every time.

    With a delivery ends its rendered request: a new round renders another.
    """

    session: ReadSession

    async def give_up_deleted(
        self, shard: int, destination_ids: Sequence[int], *, limit: int
    ) -> int:
        """Gives up deliveries to deleted destinations; counts them."""
        wanted = {"shard": shard, "ids": list(destination_ids), "limit": limit}
        return await self._give_up(_GIVE_UP_DELETED, DeliveryError.DESTINATION_DELETED, wanted)

    async def give_up_expired(self, shard: int, destination_id: int, *, limit: int) -> int:
        """Gives up deliveries that have been due for EXPIRES_AFTER; counts them."""
        wanted = {"shard": shard, "ids": [destination_id], "limit": limit, "after": EXPIRES_AFTER}
        return await self._give_up(_GIVE_UP_EXPIRED, DeliveryError.EXPIRED, wanted)

    async def give_up_unsent(self, shard: int, delivery_ids: Sequence[int]) -> int:
        """Gives up those of these put back deliveries that were queued EXPIRES_AFTER ago.

        They have been due again and again, and never sent: `give_up_expired` does not find them.
        """
        wanted = {"shard": shard, "ids": list(delivery_ids), "after": EXPIRES_AFTER}
        return await self._give_up(_GIVE_UP_UNSENT, DeliveryError.EXPIRED, wanted)

    async def give_up_without_payload(self, shard: int, delivery_ids: Sequence[int]) -> int:
        """Gives up deliveries whose payload is stored nowhere any more; counts them."""
        wanted = {"shard": shard, "ids": list(delivery_ids)}
        return await self._give_up(_GIVE_UP_WITHOUT_PAYLOAD, DeliveryError.PAYLOAD_GONE, wanted)

    async def _give_up(
        self, statement: TextClause, error: DeliveryError, wanted: dict[str, Any]
    ) -> int:
        values = {**wanted, "exhausted": DeliveryStatus.EXHAUSTED, "error": error}
        given_up = [*map(_GivenUp._make, await self.session.execute(statement, values))]
        count = sum(one.number for one in given_up)
        if count:
            after_commit(self.session, lambda: DELIVERIES_EXHAUSTED.inc(count))
        if error is not DeliveryError.DESTINATION_DELETED:  # a person has done that
            news = [one.news(error) for one in given_up if one.events]
            await record_changes(self.session, wanted["shard"], news)
        return count

    async def purge(self, status: DeliveryStatus, *, after: timedelta, limit: int) -> int:
        """Deletes deliveries that finished longer ago than that, with all that is kept of them."""
        count = await self.session.scalar(
            _PURGES[status],
            {"after": after, "limit": limit},
            execution_options={ACROSS_SHARDS: "retention"},
        )
        return int(count or 0)
