"""Reads, writes and ends API keys."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_rows
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.db.plain_session import ReadSession
from event_trigger.models import ApiKey, Trigger, shard_of

_IS_LIVE = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
_EXPIRING = text("""
    SELECT id, name, expires_at FROM api_keys
    WHERE expires_at BETWEEN now() AND now() + CAST(:within AS interval)
        AND id = coalesce(CAST(:key_id AS bigint), id)
        AND coalesce(project_id, user_id)
            = coalesce(CAST(:project_id AS bigint), project_id, user_id)
        AND user_id = coalesce(CAST(:user_id AS bigint), user_id)
        AND scopes <@ coalesce(CAST(:scopes AS text[]), scopes)
    ORDER BY expires_at, id LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class VisibleKeys:
    """Selects keys of a project and of a user, without scopes beyond `scopes`; None means any."""

    project_id: int | None
    user_id: int | None
    scopes: Iterable[str] | None
    key_id: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        project_id = func.coalesce(ApiKey.project_id, ApiKey.user_id)
        conditions = [] if self.key_id is None else [ApiKey.id == self.key_id]
        if self.project_id is not None:
            conditions.append(project_id == self.project_id)
        if self.user_id is not None:
            conditions.append(ApiKey.user_id == self.user_id)
        if self.scopes is not None:
            conditions.append(ApiKey.scopes.contained_by(sorted(self.scopes)))
        return conditions


class ExpiringKey(NamedTuple):
    """A live key, and the time at which it expires."""

    id: int
    name: str
    expires_at: datetime


async def list_expiring(
    session: ReadSession, visible: VisibleKeys, *, within: timedelta, limit: int
) -> list[ExpiringKey]:
    """Returns the keys that are live now and expire `within` a time, the first one first."""
    values = {
        "key_id": visible.key_id,
        "project_id": visible.project_id,
        "user_id": visible.user_id,
        "scopes": None if visible.scopes is None else sorted(visible.scopes),
        "within": within,
        "most": limit,
    }
    return [ExpiringKey(*one) for one in await session.execute(_EXPIRING, values)]


@dataclass(frozen=True)
class ApiKeys:
    session: AsyncSession

    async def list_known_triggers(self, owner_id: int, ids: Collection[int]) -> set[int]:
        """Returns those of the ids that are triggers of the project."""
        statement = select(Trigger.id).where(
            Trigger.shard == shard_of(owner_id), Trigger.owner_id == owner_id, Trigger.id.in_(ids)
        )
        return set((await self.session.scalars(statement)).all())

    async def add(self, key: ApiKey) -> None:
        self.session.add(key)
        await self.session.flush()

    async def count_of(self, user_id: int) -> int:
        statement = select(func.count()).where(ApiKey.user_id == user_id)
        return int(await self.session.scalar(statement) or 0)

    async def count_live_of(self, user_id: int) -> int:
        """Counts the user's keys that have not expired, in all projects."""
        statement = select(func.count()).where(ApiKey.user_id == user_id, _IS_LIVE)
        return int(await self.session.scalar(statement) or 0)

    async def forget_ended(self, user_id: int, *, keep: int) -> None:
        """Deletes the user's expired keys but the newest, so that they do not pile up."""
        ended = select(ApiKey.id).where(ApiKey.user_id == user_id, ~_IS_LIVE)
        oldest = ended.order_by(ApiKey.id.desc()).offset(keep)
        await self.session.execute(
            delete(ApiKey).where(ApiKey.id.in_(oldest)),
            execution_options={"synchronize_session": False},
        )

    async def get(self, visible: VisibleKeys, key_id: int) -> ApiKey | None:
        statement = select(ApiKey).where(ApiKey.id == key_id, *visible.conditions())
        return (await self.session.scalars(statement)).one_or_none()

    async def get_locked(self, visible: VisibleKeys, key_id: int) -> ApiKey | None:
        statement = select(ApiKey).where(ApiKey.id == key_id, *visible.conditions())
        return (await self.session.scalars(statement.with_for_update())).one_or_none()

    async def list_page(
        self, visible: VisibleKeys, *, before: int | None, limit: int
    ) -> Page[ApiKey]:
        """Returns keys newest first."""
        statement = select(ApiKey).where(*visible.conditions()).order_by(ApiKey.id.desc())
        if before is not None:
            statement = statement.where(ApiKey.id < before)
        return await fetch_rows(self.session, statement, limit=limit)

    async def end_all_of(self, user_id: int) -> int:
        """Lets the user's keys expire now; returns their number."""
        statement = update(ApiKey).where(ApiKey.user_id == user_id, _IS_LIVE)
        ended = await self.session.scalars(
            statement.values(expires_at=func.now()).returning(ApiKey.id),
            execution_options={"synchronize_session": False},
        )
        return len(ended.all())

    async def end_in_project(self, project_id: int, *, user_id: int | None = None) -> int:
        """Deletes the keys of a project, or a user's keys there; returns their number."""
        visible = VisibleKeys(project_id, user_id, None)
        ended = await self.session.scalars(
            delete(ApiKey).where(*visible.conditions()).returning(ApiKey.id),
            execution_options={"synchronize_session": False},
        )
        return len(ended.all())

    async def store(self, key: ApiKey) -> None:
        await self.session.flush()
        await notify(self.session, CREDENTIALS_CHANGED, str(key.user_id))

    async def delete(self, key: ApiKey) -> None:
        await self.session.delete(key)
        await self.session.flush()
        await notify(self.session, CREDENTIALS_CHANGED, str(key.user_id))
