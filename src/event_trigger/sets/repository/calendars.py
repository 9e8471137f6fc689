"""Reads and locks the calendars of one project for a set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, any_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import Calendar, shard_of


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
