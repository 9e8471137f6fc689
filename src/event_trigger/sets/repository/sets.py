"""Reads and writes sets, counts their members, and reads and locks their calendars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Text, any_, delete, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_newest_of
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.models import NOT_OF_DELETED_PROJECTS, Calendar, OwnedSet, shard_of
from event_trigger.sets.repository.members import MemberTable, is_kept

_LISTED_SETS = ListedTable(OwnedSet, order="id DESC")


@dataclass(frozen=True)
class SetCalendars:
    session: AsyncSession
    owner_id: int

    async def size_of(self, name: str, keys: Sequence[str]) -> int:
        """Adds up the bytes that dates and files of the set, and of these keys, take."""
        date_bytes = func.octet_length(func.array_to_string(Calendar.dates, ","))
        file_bytes = func.coalesce(func.octet_length(Calendar.ics), 0)
        statement = select(func.coalesce(func.sum(date_bytes + file_bytes), 0))
        return int(await self.session.scalar(statement.where(*self._members(name, keys))) or 0)

    async def list_members(self, name: str, keys: Sequence[str]) -> Sequence[Calendar]:
        """Lists the calendars of a set, and others with these keys, by id."""
        return await self._list(select(Calendar).where(*self._members(name, keys)))

    async def lock(self, ids: Sequence[int]) -> dict[int, Calendar]:
        """Locks calendars in the order of their ids; leaves out those that are gone."""
        statement = select(Calendar).where(*self._owned(), Calendar.id.in_(ids))
        found = await self._list(statement.with_for_update(key_share=True))
        return {one.id: one for one in found}

    async def lock_all_of(self, name: str) -> Sequence[Calendar]:
        """Locks the calendars of a set in the order of their ids."""
        statement = select(Calendar).where(*self._owned(), Calendar.set_name == name)
        return await self._list(statement.with_for_update(key_share=True))

    async def _list(self, statement: Select[Calendar]) -> Sequence[Calendar]:
        fresh = statement.order_by(Calendar.id).execution_options(populate_existing=True)
        return (await self.session.scalars(fresh)).all()

    def _owned(self) -> list[ColumnElement[bool]]:
        return [Calendar.shard == shard_of(self.owner_id), Calendar.owner_id == self.owner_id]

    def _members(self, name: str, keys: Sequence[str]) -> list[ColumnElement[bool]]:
        named: Any = any_(literal([*keys], ARRAY(Text)))
        return [*self._owned(), or_(Calendar.set_name == name, Calendar.key == named)]


class MemberCount(NamedTuple):
    owner_id: int
    set_name: str | None
    members: int


@dataclass(frozen=True)
class Sets:
    session: AsyncSession

    async def get(self, owner_id: int, name: str) -> OwnedSet | None:
        statement = select(OwnedSet).where(
            OwnedSet.shard == shard_of(owner_id),
            OwnedSet.owner_id == owner_id,
            OwnedSet.name == name,
        )
        return (await self.session.scalars(statement)).one_or_none()

    async def put(self, owner_id: int, name: str, *, at: datetime) -> int:
        """Makes the set, or dates its change; returns its id."""
        new = {"shard": shard_of(owner_id), "owner_id": owner_id, "name": name}
        statement = insert(OwnedSet).values(**new, created_at=at, updated_at=at)
        kept = statement.on_conflict_do_update(
            index_elements=[OwnedSet.shard, OwnedSet.owner_id, OwnedSet.name],
            set_={"updated_at": statement.excluded.updated_at},
        )
        return (await self.session.execute(kept.returning(OwnedSet.id))).scalar_one()

    async def delete(self, key: OwnedId) -> None:
        await self.session.execute(
            delete(OwnedSet).where(
                OwnedSet.shard == key.shard,
                OwnedSet.owner_id == key.owner_id,
                OwnedSet.id == key.id,
            ),
            execution_options={"synchronize_session": False},
        )

    async def list_page(
        self, owner_id: int | None, *, before: int | None, limit: int
    ) -> Page[OwnedSet]:
        """Lists sets, newest first; those of all projects if `owner_id` is None."""
        return await fetch_newest_of(
            self.session,
            _LISTED_SETS,
            owner_id,
            before=before,
            limit=limit,
            of_all=(NOT_OF_DELETED_PROJECTS,),
        )

    async def count_members(self, kind: MemberTable, sets: Sequence[OwnedSet]) -> list[MemberCount]:
        """Counts the members of one kind of these sets, which may be of several projects."""
        shards = {one.shard for one in sets}
        owners = [(one.shard, one.owner_id, one.name) for one in sets]
        of_sets = tuple_(kind.shard, kind.owner_id, kind.set_name).in_(owners)
        statement = (
            select(kind.owner_id, kind.set_name, func.count())
            .where(kind.shard.in_(shards), of_sets, kind.set_name.is_not(None), is_kept(kind))
            .group_by(kind.owner_id, kind.set_name)
        )
        options = {ACROSS_SHARDS: "admin reads"} if len(shards) > 1 else {}
        rows = await self.session.execute(statement, execution_options=options)
        return [MemberCount(*row) for row in rows]
