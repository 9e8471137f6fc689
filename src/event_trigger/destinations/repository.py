"""Reads and writes destinations; a statement for one owner reads that owner's shard only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_newest_of, given_filters
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.destinations.circuit_breaker import BreakerState
from event_trigger.models import (
    SHARDS,
    Delivery,
    Destination,
    DestinationFormat,
    DestinationMethod,
    DestinationStatus,
    shard_of,
)
from event_trigger.web.keys import refusing_taken_key

_LISTED_DESTINATIONS = ListedTable(
    Destination, order="id DESC", large=("sealed", "url", "template")
)
_FENCE = text(f"""
    UPDATE destinations SET max_concurrency = -max_concurrency
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[])) AND (max_concurrency > 0) <> (
        format = '{DestinationFormat.CLOUDEVENTS}' AND method = '{DestinationMethod.POST}'
        AND position('{{{{' IN url) = 0 AND url NOT ILIKE 'mailto:%'
    )
""")  # noqa: S608

_STATES = {
    BreakerState.CLOSED: '"window" IS NULL',
    BreakerState.OPEN: '"window" IS NOT NULL AND failures > 0',
    BreakerState.RECOVERING: '"window" IS NOT NULL AND failures = 0',
}
_STATUSES = {
    DestinationStatus.ENABLED: "disabled_reason IS NULL",
    DestinationStatus.DISABLED: "disabled_reason IS NOT NULL",
}


@dataclass(frozen=True, slots=True)
class DestinationFilter:
    """Narrows a list of destinations; `state` is that of the circuit breaker."""

    key: str | None = None
    status: DestinationStatus | None = None
    state: BreakerState | None = None


def _conditions(wanted: DestinationFilter) -> tuple[tuple[str, ...], dict[str, Any]]:
    # IS NOT DISTINCT FROM: the list is read along its own index, in its order
    conditions, values = given_filters(("key IS NOT DISTINCT FROM :key", "key", wanted.key))
    if wanted.status is not None:
        conditions += (_STATUSES[wanted.status],)
    if wanted.state is not None:
        conditions += (_STATES[wanted.state],)
    return conditions, values


def _one(key: OwnedId) -> Select[Destination]:
    return select(Destination).where(
        Destination.shard == key.shard,
        Destination.owner_id == key.owner_id,
        Destination.id == key.id,
        Destination.deleted_at.is_(None),
    )


def _with_key(owner_id: int, key: str) -> Select[Destination]:
    return select(Destination).where(
        Destination.shard == shard_of(owner_id),
        Destination.owner_id == owner_id,
        Destination.key == key,
        Destination.deleted_at.is_(None),
    )


@dataclass(frozen=True)
class Destinations:
    session: AsyncSession

    async def get(self, key: OwnedId) -> Destination | None:
        return (await self.session.scalars(_one(key))).one_or_none()

    async def get_locked(self, key: OwnedId) -> Destination | None:
        """Locks the row, so that nothing is claimed or recorded for it until the commit."""
        statement = _one(key).with_for_update(key_share=True)
        fresh = statement.execution_options(populate_existing=True)
        return (await self.session.scalars(fresh)).one_or_none()

    async def get_by_key(self, owner_id: int, key: str) -> Destination | None:
        """Finds the destination with a key, in the index `ix_destinations_key`."""
        return (await self.session.scalars(_with_key(owner_id, key))).one_or_none()

    async def get_by_key_locked(self, owner_id: int, key: str) -> Destination | None:
        """Locks the destination with a key, as `get_locked` does."""
        statement = _with_key(owner_id, key).with_for_update(key_share=True)
        fresh = statement.execution_options(populate_existing=True)
        return (await self.session.scalars(fresh)).one_or_none()

    async def get_owner(self, destination_id: int) -> int | None:
        """Finds the owner of any user's destination, for admins: one index probe in each shard."""
        statement = select(Destination.owner_id).where(
            Destination.shard.in_(range(SHARDS)), Destination.id == destination_id
        )
        return await self.session.scalar(
            statement, execution_options={ACROSS_SHARDS: "admin reads"}
        )

    async def count_of(self, owner_id: int) -> int:
        """Counts a project's destinations, in the index `ix_destinations_listed` alone."""
        statement = (
            select(func.count())
            .select_from(Destination)
            .where(Destination.shard == shard_of(owner_id), Destination.owner_id == owner_id)
            .where(Destination.deleted_at.is_(None))
        )
        return int(await self.session.scalar(statement) or 0)

    async def add(self, destination: Destination) -> None:
        """Raises KeyTaken if another destination of the project has its key."""
        self.session.add(destination)
        with refusing_taken_key(destination.key):
            await self.session.flush()
        await self.fence(destination.owner_id, [destination.id])

    async def fence(self, owner_id: int, ids: Sequence[int]) -> None:
        """Sets the sign of `max_concurrency`, from which older versions see what to leave alone."""
        await self.session.execute(_FENCE, {"shard": shard_of(owner_id), "ids": ids})

    async def list_page(
        self,
        owner_id: int | None,
        wanted: DestinationFilter,
        *,
        before: int | None,
        limit: int,
    ) -> Page[Destination]:
        """Lists destinations newest first; those of all users if `owner_id` is None.

        A project has few destinations, so filters are compared row by row.
        """
        conditions, values = _conditions(wanted)
        return await fetch_newest_of(
            self.session,
            _LISTED_DESTINATIONS,
            owner_id,
            before=before,
            limit=limit,
            filters=((*conditions, "deleted_at IS NULL"), values),
        )

    async def list_under_other_keys(
        self, shard: int, key_id: str, *, after: int, limit: int
    ) -> Sequence[Destination]:
        """Locks destinations with larger ids than `after` that are sealed under other keys."""
        statement = (
            select(Destination)
            .where(Destination.shard == shard, Destination.key_id != key_id)
            .where(Destination.id > after, Destination.deleted_at.is_(None))
            .order_by(Destination.id)
            .limit(limit)
            .with_for_update()
        )
        return (await self.session.scalars(statement)).all()

    async def purge_deleted_before(self, instant: datetime) -> None:
        """Deletes the rows of destinations deleted before `instant` without any deliveries."""
        referenced = exists().where(
            Delivery.shard == Destination.shard, Delivery.destination_id == Destination.id
        )
        await self.session.execute(
            delete(Destination).where(Destination.deleted_at < instant, ~referenced),
            execution_options={ACROSS_SHARDS: "retention"},
        )
