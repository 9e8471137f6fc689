"""Reads deliveries and their attempts, and queues exhausted deliveries again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from event_trigger.db.keyset import IdRange, Page, fetch_ids, fetch_newest, ids_before
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.deliveries.filters import DeliveryFilter, listing
from event_trigger.deliveries.times import DeliveryTimes
from event_trigger.models import (
    NOT_OF_DELETED_PROJECTS,
    SHARDS,
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    shard_of,
)

_ATTEMPTS_SHOWN = 1000
# the status is a literal: a partial index serves only a condition that is known when planning
_CHOOSE_EXHAUSTED = text("""
    WITH chosen AS MATERIALIZED (
        SELECT id, event_id, triggered_at, payload_size,
            payload IS NOT NULL OR payload_size = 0 AS has_own
        FROM deliveries
        WHERE shard = :shard AND destination_id = :destination_id AND owner_id = :owner_id
            AND status = 'exhausted' AND triggered_at >= :since AND triggered_at < :until
            AND (triggered_at, id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS bigint))
            AND finished_at < :before AND error IS NOT NULL  -- which a cancelled one has not
        ORDER BY triggered_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    SELECT chosen.id, chosen.event_id, chosen.triggered_at, chosen.payload_size,
        has_own OR stored.event_id IS NOT NULL
    FROM chosen LEFT JOIN delivery_payloads AS stored
        ON stored.shard = :shard AND stored.event_id = chosen.event_id
    ORDER BY chosen.triggered_at, chosen.id
""")
_REDELIVER = text("""
    UPDATE deliveries SET
        status = :pending, tries = 0, error = NULL, finished_at = NULL,
        queued_at = statement_timestamp(), next_attempt_at = chosen.due_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS chosen (id, due_at)
    WHERE deliveries.shard = :shard AND deliveries.id = chosen.id
""")
_HAS_OWN_PAYLOAD = text("""
    SELECT payload IS NOT NULL FROM deliveries WHERE shard = :shard AND id = :id
""")


class Exhausted(NamedTuple):
    """An exhausted delivery whose row is locked; `is_stored` says whether its payload is."""

    id: int
    event_id: int
    triggered_at: datetime
    payload_size: int
    is_stored: bool


_WITHOUT_PAYLOAD = defer(Delivery.payload, raiseload=True)


def _one(key: OwnedId) -> Select[Delivery]:
    return (
        select(Delivery)
        .where(Delivery.shard == key.shard, Delivery.owner_id == key.owner_id)
        .where(Delivery.id == key.id)
        .options(_WITHOUT_PAYLOAD)
    )


@dataclass(frozen=True)
class Deliveries:
    session: AsyncSession

    async def get(self, key: OwnedId) -> Delivery | None:
        return (await self.session.scalars(_one(key))).one_or_none()

    async def get_locked(self, key: OwnedId) -> Delivery | None:
        statement = _one(key).with_for_update()
        return (await self.session.scalars(statement)).one_or_none()

    async def get_owner(self, delivery_id: int) -> int | None:
        """Finds the owner of any user's delivery, for admins: one index probe in each shard."""
        statement = select(Delivery.owner_id).where(
            Delivery.shard.in_(range(SHARDS)),
            Delivery.id == delivery_id,
            text(NOT_OF_DELETED_PROJECTS),
        )
        return await self.session.scalar(
            statement, execution_options={ACROSS_SHARDS: "admin reads"}
        )

    async def has(self, owner_id: int | None, delivery_id: int) -> bool:
        """Whether the owner, or any user if `owner_id` is None, has this delivery."""
        if owner_id is None:
            return await self.get_owner(delivery_id) is not None
        return await self.get(OwnedId(owner_id, delivery_id)) is not None

    async def list_by_ids(self, owner_id: int, ids: Collection[int]) -> Sequence[Delivery]:
        """Lists an owner's deliveries among these, in no order, without their payloads."""
        statement = (
            select(Delivery)
            .where(Delivery.shard == shard_of(owner_id), Delivery.owner_id == owner_id)
            .where(Delivery.id.in_(ids))
            .options(_WITHOUT_PAYLOAD)
        )
        return (await self.session.scalars(statement)).all()

    async def list_attempts(self, key: OwnedId) -> Sequence[DeliveryAttempt]:
        """Lists the newest attempts, oldest first."""
        statement = (
            select(DeliveryAttempt)
            .where(DeliveryAttempt.shard == key.shard, DeliveryAttempt.delivery_id == key.id)
            .order_by(DeliveryAttempt.number.desc())
            .limit(_ATTEMPTS_SHOWN)
        )
        return (await self.session.scalars(statement)).all()[::-1]

    async def list_page(
        self, owner_id: int | None, wanted: DeliveryFilter, *, before: int | None, limit: int
    ) -> Page[Delivery]:
        """Lists deliveries newest first; those of all users if `owner_id` is None.

        In a shard their times are about in the order of their ids, so bounds of the time become
        bounds of ids.
        """
        if wanted.kept_statuses == frozenset():
            return Page((), more=False)
        shard = shard_of(owner_id) if owner_id is not None else await self._shard_of(wanted)
        within, ids = await self._ids_within(wanted, shard), ids_before(before)
        ids = IdRange(within.oldest, min(ids.newest, within.newest))
        statement, values = listing(wanted, owner_id=owner_id, shard=shard, ids=ids)
        options = {} if owner_id is not None else {ACROSS_SHARDS: "admin reads"}
        return await fetch_newest(self.session, statement, values, limit=limit, options=options)

    async def _ids_within(self, wanted: DeliveryFilter, shard: int | None) -> IdRange:
        """Returns the ids between `since` and `until`, if a shard is known; else all."""
        if shard is None or wanted.carried_id is not None or not (wanted.since or wanted.until):
            return IdRange()
        return await DeliveryTimes(self.session, shard).ids_between(wanted.since, wanted.until)

    async def select_ids(self, owner_id: int, wanted: DeliveryFilter, *, limit: int) -> list[int]:
        """Returns the ids of the owner's newest deliveries that the filter selects."""
        if wanted.kept_statuses == frozenset():
            return []
        shard = shard_of(owner_id)
        ids = await self._ids_within(wanted, shard)
        query, values = listing(wanted, owner_id=owner_id, shard=shard, ids=ids)
        return await fetch_ids(self.session, query, values, limit=limit)

    async def _shard_of(self, wanted: DeliveryFilter) -> int | None:
        """Returns the only shard that can hold an admin's wanted deliveries, or None for any shard.

        Gives 0 when there are no such deliveries.
        """
        for column, value in (
            (Delivery.event_id, wanted.carried_id),
            (Delivery.trigger_id, wanted.trigger_id),
            (Delivery.destination_id, wanted.destination_id),
        ):
            if value is not None:
                probes = select(Delivery.shard).where(
                    Delivery.shard.in_(range(SHARDS)), column == value
                )
                options = {ACROSS_SHARDS: "admin reads"}
                found = await self.session.scalar(probes.limit(1), execution_options=options)
                return found or 0
        return None

    async def has_own_payload(self, key: OwnedId) -> bool:
        """Whether a version before 0014 stored the payload in the delivery's row."""
        wanted = {"shard": key.shard, "id": key.id}
        return bool(await self.session.scalar(_HAS_OWN_PAYLOAD, wanted))

    async def choose_exhausted(
        self,
        destination: OwnedId,
        *,
        since: datetime,
        until: datetime,
        before: datetime,
        after: Exhausted | None,
        limit: int,
    ) -> list[Exhausted]:
        """Locks exhausted deliveries, oldest event first, from behind `after`.

        Their events were fired in `[since, until)`, and they were exhausted `before` an instant.
        """
        wanted = {
            "shard": destination.shard,
            "owner_id": destination.owner_id,
            "destination_id": destination.id,
            "since": since,
            "until": until,
            "before": before,
            "after_at": since if after is None else after.triggered_at,
            "after_id": 0 if after is None else after.id,
            "limit": limit,
        }
        return [*map(Exhausted._make, await self.session.execute(_CHOOSE_EXHAUSTED, wanted))]

    async def redeliver(
        self, shard: int, ids: Sequence[int], *, start: datetime, pace: timedelta
    ) -> None:
        """Queues deliveries again, in this order: the first at `start`, then one each `pace`."""
        wanted = {
            "shard": shard,
            "ids": ids,
            "times": [start + place * pace for place in range(len(ids))],
            "pending": DeliveryStatus.PENDING,
        }
        await self.session.execute(_REDELIVER, wanted)
