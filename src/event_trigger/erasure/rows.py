"""Deletes the rows of a deleted project in batches, from every table that has rows of projects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.transactions import BATCH_ROWS
from event_trigger.events.partitions import Partition
from event_trigger.models import (
    Base,
    Delivery,
    DeliveryAttempt,
    Event,
    IdempotencyKey,
    Project,
    Trigger,
    shard_of,
)

SETTLED_AFTER = timedelta(minutes=5)  # no request that began before can be writing any more
_OF_DELIVERIES, _OF_TRIGGERS = DeliveryAttempt.__tablename__, IdempotencyKey.__tablename__
_WITHOUT_SYNC = {"synchronize_session": False}


class UnknownOwner(ValueError):
    def __init__(self, table: str) -> None:
        super().__init__(
            f"Rows of the table {table} have a shard and no owner_id: say in erasure/rows.py how"
            " those of a deleted project are found."
        )


def owned_tables() -> list[Table]:
    """Returns every table with rows of projects; raises UnknownOwner if one cannot be erased."""
    tables = Base.metadata.sorted_tables
    owned = [one for one in tables if "owner_id" in one.columns or "shard" in one.columns]
    for one in owned:
        if "owner_id" not in one.columns and one.name not in {_OF_DELIVERIES, _OF_TRIGGERS}:
            raise UnknownOwner(one.name)
    return owned


def tables_by_owner() -> list[Table]:
    """Returns the tables whose rows are deleted by their owner alone."""
    apart = {Event.__tablename__, Delivery.__tablename__, _OF_DELIVERIES, _OF_TRIGGERS}
    return [one for one in owned_tables() if one.name not in apart]


class DeletedProject(NamedTuple):
    """A deleted project; `is_settled` once no request from before the deletion can be running."""

    id: int
    is_settled: bool


@dataclass(frozen=True)
class DeletedProjects:
    session: AsyncSession

    async def list_all(self) -> Sequence[DeletedProject]:
        """Lists deleted projects that still have a row, the oldest first."""
        is_settled = Project.deleted_at < func.now() - SETTLED_AFTER
        statement = select(Project.id, is_settled).where(Project.deleted_at.is_not(None))
        rows = await self.session.execute(statement.order_by(Project.id))
        return [*map(DeletedProject._make, rows)]

    async def lock(self, project_id: int, *, wait: bool = False) -> Project | None:
        """Locks a deleted project; None if it is gone, or another replica works on it.

        With `wait`, it waits for the other replica's batch.
        """
        statement = select(Project).where(Project.id == project_id, Project.deleted_at.is_not(None))
        locked = statement.with_for_update(skip_locked=not wait)
        return (await self.session.scalars(locked)).one_or_none()

    async def delete(self, project_id: int) -> None:
        statement = delete(Project).where(Project.id == project_id)
        await self.session.execute(statement, execution_options=_WITHOUT_SYNC)


@dataclass(frozen=True)
class ProjectRows:
    """The rows of one deleted project. A batch skips rows that another transaction has locked."""

    session: AsyncSession
    project_id: int

    async def delete_events(self, partition: Partition) -> int:
        """Deletes a batch of the events of one partition, so that the others are not looked at."""
        when = Event.triggered_at >= partition.starts_at, Event.triggered_at < partition.ends_at
        found = self._batch(Event.__table__, Event.id).where(*when)
        statement = delete(Event).where(*self._owned(Event.__table__), *when)
        return await self._run(statement.where(Event.id.in_(found)))

    async def delete_deliveries(self) -> int:
        """Deletes a batch of deliveries, and then their attempts.

        No worker can add an attempt in between: it records nothing of a deleted delivery.
        """
        found = self._batch(Delivery.__table__, Delivery.id)
        statement = delete(Delivery).where(*self._owned(Delivery.__table__))
        gone = await self.session.scalars(
            statement.where(Delivery.id.in_(found)).returning(Delivery.id),
            execution_options=_WITHOUT_SYNC,
        )
        ids = gone.all()
        attempts = delete(DeliveryAttempt).where(
            DeliveryAttempt.shard == shard_of(self.project_id),
            DeliveryAttempt.delivery_id.in_(ids),
        )
        await self._run(attempts)
        return len(ids)

    async def delete_answers(self) -> int:
        """Deletes a batch of idempotency keys of triggers that are gone; nobody can use them."""
        key = IdempotencyKey.trigger_id, IdempotencyKey.is_test, IdempotencyKey.key
        found = select(*key).where(self._is_lost_answer()).limit(BATCH_ROWS)
        statement = delete(IdempotencyKey).where(
            IdempotencyKey.shard == shard_of(self.project_id),
            tuple_(*key).in_(found.with_for_update(skip_locked=True, of=IdempotencyKey)),
        )
        return await self._run(statement)

    async def delete_from(self, table: Table) -> int:
        """Deletes a batch of the rows of any other table."""
        key = [*table.primary_key.columns]
        found = self._batch(table, *key)
        chosen = tuple_(*key).in_(found) if len(key) > 1 else key[0].in_(found)
        return await self._run(delete(table).where(*self._owned(table), chosen))

    async def exist(self) -> bool:
        """Tells whether any row is left, in one statement: rows may lead to each other."""
        left = [
            exists().where(*self._owned(one)) for one in owned_tables() if "owner_id" in one.columns
        ]
        answers = exists().where(self._is_lost_answer())
        return bool(await self.session.scalar(select(or_(*left, answers))))

    def _owned(self, table: Any) -> list[ColumnElement[bool]]:
        conditions = [table.c.owner_id == self.project_id]
        if "shard" in table.c:
            conditions.append(table.c.shard == shard_of(self.project_id))
        return conditions

    def _batch(self, table: Any, *columns: Any) -> Select[Any]:
        found = select(*columns).where(*self._owned(table)).limit(BATCH_ROWS)
        return found.with_for_update(skip_locked=True)

    def _is_lost_answer(self) -> ColumnElement[bool]:
        shard = shard_of(self.project_id)
        trigger = exists().where(Trigger.shard == shard, Trigger.id == IdempotencyKey.trigger_id)
        return and_(IdempotencyKey.shard == shard, ~trigger)

    async def _run(self, statement: Delete) -> int:
        done = await self.session.execute(statement, execution_options=_WITHOUT_SYNC)
        return int(done.rowcount)  # type: ignore[attr-defined]
