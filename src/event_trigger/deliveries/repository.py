"""Deliveries in the database, as they are read and sent again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from event_trigger.db.engine import ACROSS_SHARDS
from event_trigger.models import (
    SHARDS,
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    shard_of,
)
from event_trigger.triggers.repository import OwnedId
from event_trigger.web.pagination import Page, fetch_rows

_ATTEMPTS_SHOWN = 1000
# statuses are written out, because a partial index serves only what is known when planning
_REDELIVER = text("""
    UPDATE deliveries SET
        status = :pending, tries = 0, error = NULL, finished_at = NULL,
        queued_at = clock_timestamp(), next_attempt_at = chosen.at
    FROM (
        SELECT id, CAST(:start AS timestamptz)
            + (row_number() OVER (ORDER BY triggered_at, id) - 1) * CAST(:pace AS interval) AS at
        FROM (
            SELECT id, triggered_at FROM deliveries
            WHERE shard = :shard AND destination_id = :destination_id AND owner_id = :owner_id
                AND status = 'exhausted' AND triggered_at >= :since AND triggered_at < :until
                AND finished_at < :before
            ORDER BY triggered_at LIMIT :limit FOR UPDATE SKIP LOCKED
        ) AS oldest
    ) AS chosen
    WHERE deliveries.shard = :shard AND deliveries.id = chosen.id
""")
_UNDELIVERED = text("status <> 'delivered'")


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    event_id: int | None = None
    trigger_id: int | None = None
    destination_id: int | None = None
    status: DeliveryStatus | None = None
    trigger_ids: Collection[int] | None = None


_WITHOUT_PAYLOAD = defer(Delivery.payload, raiseload=True)  # up to 2 MiB, and shown nowhere


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
        """For admins, who may name anybody's: one probe of the key in each shard."""
        statement = select(Delivery.owner_id).where(
            Delivery.shard.in_(range(SHARDS)), Delivery.id == delivery_id
        )
        return await self.session.scalar(
            statement, execution_options={ACROSS_SHARDS: "admin reads"}
        )

    async def has(self, owner_id: int | None, delivery_id: int) -> bool:
        """Whether it is there: among the owner's, or anybody's if `owner_id` is None."""
        if owner_id is None:
            return await self.get_owner(delivery_id) is not None
        return await self.get(OwnedId(owner_id, delivery_id)) is not None

    async def list_attempts(self, key: OwnedId) -> Sequence[DeliveryAttempt]:
        """The newest attempts, in their order."""
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
        """Newest first; everybody's if `owner_id` is None."""
        statement = select(Delivery).order_by(Delivery.id.desc())
        if owner_id is None:
            statement = statement.where(Delivery.shard.in_(range(SHARDS)))
        else:
            statement = statement.where(
                Delivery.shard == shard_of(owner_id), Delivery.owner_id == owner_id
            )
        if wanted.status not in {None, DeliveryStatus.DELIVERED}:
            statement = statement.where(_UNDELIVERED)
        for column, value in (
            (Delivery.event_id, wanted.event_id),
            (Delivery.trigger_id, wanted.trigger_id),
            (Delivery.destination_id, wanted.destination_id),
            (Delivery.status, wanted.status),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if wanted.trigger_ids is not None:
            statement = statement.where(Delivery.trigger_id.in_(wanted.trigger_ids))
        if before is not None:
            statement = statement.where(Delivery.id < before)
        options = {} if owner_id is not None else {ACROSS_SHARDS: "admin reads"}
        statement = statement.options(_WITHOUT_PAYLOAD)
        return await fetch_rows(self.session, statement, limit=limit, options=options)

    async def redeliver_exhausted(
        self,
        destination: OwnedId,
        *,
        since: datetime,
        until: datetime,
        before: datetime,
        start: datetime,
        pace: timedelta,
        limit: int,
    ) -> int:
        """Puts into the queue again some of what was given up, oldest first, one each `pace`.

        `since`, inclusive, and `until`, exclusive, are about when the events were fired; only
        what was given up `before` an instant is taken.
        """
        wanted = {
            "shard": destination.shard,
            "owner_id": destination.owner_id,
            "destination_id": destination.id,
            "since": since,
            "until": until,
            "before": before,
            "start": start,
            "pace": pace,
            "pending": DeliveryStatus.PENDING,
            "limit": limit,
        }
        done = await self.session.execute(_REDELIVER, wanted)
        return done.rowcount  # type: ignore[attr-defined, no-any-return]
