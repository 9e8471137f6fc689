"""Reads, locks and deletes the members of sets; a statement is about one project."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    all_,
    any_,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlalchemy.types import TypeEngine

from event_trigger.models import (
    Calendar,
    Destination,
    FinishedMember,
    Trigger,
    TriggerTag,
    shard_of,
)
from event_trigger.triggers.list_tables import forget_triggers

ROWS_PER_STATEMENT = 1000
MemberTable = type[Trigger] | type[Destination] | type[Calendar]
_WITHOUT_SYNC = {"synchronize_session": False}


class TriggerState(NamedTuple):
    """The columns of a trigger that a plan depends on."""

    id: int
    key: str | None
    set_name: str | None
    type: str
    name: str | None
    details: dict[str, Any]
    payload: dict[str, Any] | None
    tags: list[str]
    destinations: list[int]
    status: str
    on_completion: str | None


class FinishedState(NamedTuple):
    """A trigger that is done and gone, with its schedule."""

    key: str
    details: dict[str, Any]


@dataclass(frozen=True)
class SetRows:
    """Reads and locks triggers and destinations of one project for a set."""

    session: AsyncSession
    owner_id: int

    async def list_finished(self, name: str, *, after: str) -> list[FinishedState]:
        """Lists triggers of a set that are done and gone, by key; a batch of them."""
        statement = (
            select(FinishedMember.key, FinishedMember.details)
            .where(*_finished_of(self.owner_id, name), FinishedMember.key > after)
            .order_by(FinishedMember.key)
            .limit(ROWS_PER_STATEMENT)
        )
        return [FinishedState(*row) for row in await self.session.execute(statement)]

    async def forget_finished(self, name: str, keys: Sequence[str] | None = None) -> None:
        """Forgets that triggers with these keys are done, or that any of the set is."""
        statement = delete(FinishedMember).where(*_finished_of(self.owner_id, name))
        if keys is not None:
            statement = statement.where(_among(FinishedMember.key, keys))
        await self.session.execute(statement, execution_options=_WITHOUT_SYNC)

    async def rename_finished(self, name: str, before: str, after: str) -> None:
        """Gives a trigger that is done and gone the key that the file has for it now."""
        statement = (
            update(FinishedMember)
            .where(*_finished_of(self.owner_id, name), FinishedMember.key == before)
            .values(key=after)
        )
        await self.session.execute(statement, execution_options=_WITHOUT_SYNC)

    async def size_of(self, name: str, keys: Sequence[str]) -> int:
        """Adds up the bytes that details and payloads of the set, and of these keys, take."""
        sizes = [
            func.coalesce(func.octet_length(cast(column, Text)), 0)
            for column in (Trigger.details, Trigger.payload)
        ]
        statement = select(func.coalesce(func.sum(sizes[0] + sizes[1]), 0)).where(
            *_owned(Trigger, self.owner_id),
            or_(Trigger.set_name == name, _among(Trigger.key, keys)),
        )
        return int(await self.session.scalar(statement) or 0)

    async def list_triggers(self, name: str, *, after: int) -> list[TriggerState]:
        """Lists triggers of a set by id, in the index `ix_triggers_set`; a batch of them."""
        statement = self._of_set(Trigger, _trigger_columns(), name, after)
        return await self._read_states(statement)

    async def list_other_triggers(self, name: str, keys: Sequence[str]) -> list[TriggerState]:
        """Lists triggers with these keys that the set does not own."""
        statement = _trigger_columns().where(
            *_owned(Trigger, self.owner_id),
            _among(Trigger.key, keys),
            Trigger.set_name.is_distinct_from(name),
        )
        return await self._read_states(statement)

    async def _read_states(self, statement: Select[Any]) -> list[TriggerState]:
        return [TriggerState(*row) for row in await self.session.execute(statement)]

    async def list_destinations(self, name: str, *, after: int) -> Sequence[Destination]:
        """Lists destinations of a set by id, in the index `ix_destinations_set`; a batch."""
        statement = self._of_set(Destination, select(Destination), name, after)
        return (await self.session.scalars(_fresh(statement))).all()

    async def list_other_destinations(
        self, name: str, keys: Sequence[str]
    ) -> Sequence[Destination]:
        """Lists destinations with these keys that the set does not own."""
        statement = select(Destination).where(
            *_owned(Destination, self.owner_id),
            Destination.deleted_at.is_(None),
            _among(Destination.key, keys),
            Destination.set_name.is_distinct_from(name),
        )
        return (await self.session.scalars(_fresh(statement))).all()

    async def list_named(
        self, ids: Sequence[int], keys: Sequence[str]
    ) -> list[tuple[int, str | None]]:
        """Lists the ids and keys of destinations that triggers name."""
        statement = select(Destination.id, Destination.key).where(
            *_owned(Destination, self.owner_id),
            Destination.deleted_at.is_(None),
            or_(_among(Destination.id, ids), _among(Destination.key, keys)),
        )
        return [(row_id, key) for row_id, key in await self.session.execute(statement)]

    async def list_users_of(
        self, destination_ids: Sequence[int], *, but: Sequence[int], limit: int
    ) -> Sequence[int]:
        """Lists the ids of other triggers that name one of these destinations."""
        statement = (
            select(Trigger.id)
            .where(*_owned(Trigger, self.owner_id), Trigger.id != all_(_array(but, BigInteger())))
            .where(Trigger.destinations.overlap(destination_ids))
            .order_by(Trigger.id)
            .limit(limit)
        )
        return (await self.session.scalars(statement)).all()

    async def get_triggers(self, ids: Sequence[int]) -> dict[int, Trigger]:
        statement = select(Trigger).where(*_owned(Trigger, self.owner_id), _among(Trigger.id, ids))
        return {one.id: one for one in await self.session.scalars(statement)}

    async def read_detached(self, ids: Sequence[int]) -> Sequence[Trigger]:
        """Reads triggers without their payloads; changing them stores nothing."""
        statement = (
            select(Trigger)
            .where(*_owned(Trigger, self.owner_id), _among(Trigger.id, ids))
            .order_by(Trigger.id)
            .options(defer(Trigger.payload, raiseload=True))
        )
        found = (await self.session.scalars(_fresh(statement))).all()
        for one in found:
            self.session.expunge(one)
        return found

    async def delete_triggers(self, ids: Sequence[int]) -> None:
        statement = delete(Trigger).where(*_owned(Trigger, self.owner_id), _among(Trigger.id, ids))
        await self.session.execute(statement, execution_options=_WITHOUT_SYNC)
        await forget_triggers(self.session, self.owner_id, ids)

    async def delete_tags(self, ids: Sequence[int], tags: Sequence[str]) -> None:
        """Deletes these triggers' rows in `trigger_tags`; `tags` has all of them."""
        statement = delete(TriggerTag).where(
            TriggerTag.shard == shard_of(self.owner_id),
            TriggerTag.owner_id == self.owner_id,
            _among(TriggerTag.tag, tags),
            _among(TriggerTag.trigger_id, ids),
        )
        if tags:
            await self.session.execute(statement, execution_options=_WITHOUT_SYNC)

    async def lock_destinations(self, ids: Sequence[int]) -> dict[int, Destination]:
        """Locks destinations in the order of their ids; leaves out those that are gone."""
        statement = select(Destination).where(
            *_owned(Destination, self.owner_id),
            _among(Destination.id, ids),
            Destination.deleted_at.is_(None),
        )
        locked = statement.order_by(Destination.id).with_for_update(key_share=True)
        return {one.id: one for one in await self.session.scalars(_fresh(locked))}

    async def lock_destinations_of(self, name: str) -> Sequence[Destination]:
        """Locks the destinations of a set in the order of their ids."""
        statement = select(Destination).where(
            *_owned(Destination, self.owner_id),
            Destination.deleted_at.is_(None),
            Destination.set_name == name,
        )
        locked = statement.order_by(Destination.id).with_for_update(key_share=True)
        return (await self.session.scalars(_fresh(locked))).all()

    async def lock_trigger_ids(self, name: str) -> Sequence[int]:
        """Locks the triggers of a set in the order of their ids, without reading them."""
        statement = select(Trigger.id).where(
            *_owned(Trigger, self.owner_id), Trigger.set_name == name
        )
        locked = statement.order_by(Trigger.id).with_for_update(key_share=True)
        return (await self.session.scalars(locked)).all()

    async def lock_triggers(self, ids: Sequence[int]) -> dict[int, Trigger]:
        """Locks triggers in the order of their ids; leaves out those that are gone."""
        statement = select(Trigger).where(*_owned(Trigger, self.owner_id), _among(Trigger.id, ids))
        locked = statement.order_by(Trigger.id).with_for_update(key_share=True)
        return {one.id: one for one in await self.session.scalars(_fresh(locked))}

    def _of_set(
        self, kind: type[Trigger] | type[Destination], rows: Select[Any], name: str, after: int
    ) -> Select[Any]:
        return (
            rows.where(*_owned(kind, self.owner_id), kind.set_name == name, kind.id > after)
            .where(is_kept(kind))
            .order_by(kind.id)
            .limit(ROWS_PER_STATEMENT)
        )


def is_kept(kind: MemberTable) -> ColumnElement[bool]:
    """Leaves out destinations that are deleted, and wait for their last deliveries."""
    return Destination.deleted_at.is_(None) if kind is Destination else kind.id > 0


def _owned(kind: type[Trigger] | type[Destination], owner_id: int) -> list[ColumnElement[bool]]:
    return [kind.shard == shard_of(owner_id), kind.owner_id == owner_id]


def _finished_of(owner_id: int, name: str) -> list[ColumnElement[bool]]:
    return [
        FinishedMember.shard == shard_of(owner_id),
        FinishedMember.owner_id == owner_id,
        FinishedMember.set_name == name,
    ]


def _among(column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """Compares with one array: its length makes no other statement, and has no limit."""
    return column == any_(_array(values, column.type))  # type: ignore[no-any-return]


def _array(values: Sequence[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    return literal([*values], ARRAY(kind))


def _trigger_columns() -> Select[Any]:
    return select(*(getattr(Trigger, name) for name in TriggerState._fields))


def _fresh(statement: Select[Any]) -> Select[Any]:
    return statement.execution_options(populate_existing=True)
