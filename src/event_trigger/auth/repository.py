"""Reads and writes users, logins, refresh tokens and API keys in the database."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.origin import UNKNOWN_ORIGIN, Origin
from event_trigger.clock import utc_now
from event_trigger.db.keyset import Page, fetch_rows
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.models import ApiKey, Login, RefreshToken, Role, Trigger, User, shard_of

_LAST_USED_PRECISION = timedelta(minutes=1)
_IS_LIVE = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())


@dataclass(frozen=True)
class Users:
    session: AsyncSession

    async def exist(self) -> bool:
        return (await self.session.scalar(select(User.id).limit(1))) is not None

    async def get_one(self, user_id: int) -> User:
        return (await self.session.scalars(select(User).where(User.id == user_id))).one()

    async def get_by_email(self, *spellings: str) -> User | None:
        """Returns the user under the first of these spellings that has an account."""
        statement = select(User).where(User.email.in_(spellings))
        found = {one.email: one for one in (await self.session.scalars(statement)).all()}
        return next((found[one] for one in spellings if one in found), None)

    async def lock_unchanged(self, user: User) -> bool:
        """Locks the user; returns False if it was disabled or has a new password by now."""
        statement = (
            select(User.id)
            .where(User.id == user.id, User.password_hash == user.password_hash)
            .where(User.disabled_at.is_(None))
            .with_for_update(read=True)
        )
        return await self.session.scalar(statement) is not None

    async def add(self, *, email: str, password_hash: str, role: Role) -> User | None:
        """Adds a user; returns None if the address is taken."""
        row = insert(User).values(email=email, password_hash=password_hash, role=role)
        statement = row.on_conflict_do_nothing(index_elements=[User.email]).returning(User)
        return (await self.session.scalars(statement)).one_or_none()

    async def get_locked(self, user_id: int) -> User | None:
        statement = select(User).where(User.id == user_id).with_for_update()
        return (await self.session.scalars(statement)).one_or_none()

    async def lock_admins(self) -> Sequence[User]:
        """Locks and returns all enabled admins, so that two cannot demote each other at once."""
        statement = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
        return (await self.session.scalars(statement.order_by(User.id).with_for_update())).all()

    async def list_page(self, *, before: int | None, limit: int) -> Page[User]:
        """Returns users newest first."""
        statement = select(User).order_by(User.id.desc())
        if before is not None:
            statement = statement.where(User.id < before)
        return await fetch_rows(self.session, statement, limit=limit)


@dataclass(frozen=True)
class Logins:
    session: AsyncSession

    async def add(
        self,
        login_id: UUID,
        user_id: int,
        lifetime: timedelta,
        *,
        scopes: Iterable[str] | None = None,
        origin: Origin = UNKNOWN_ORIGIN,
    ) -> None:
        self.session.add(
            Login(
                id=login_id,
                user_id=user_id,
                expires_at=func.now() + lifetime,
                scopes=None if scopes is None else sorted(scopes),
                address=origin.address,
                user_agent=origin.user_agent,
                last_used_at=func.now(),
            )
        )
        await self.session.flush()

    async def get_with_user(self, login_id: UUID, user_id: int) -> tuple[Login, User] | None:
        """Returns a login that is neither expired nor revoked, with its user if that is enabled."""
        statement = (
            select(Login, User)
            .join(User, Login.user_id == User.id)
            .where(Login.id == login_id, User.id == user_id)
            .where(Login.revoked_at.is_(None), Login.expires_at > func.now())
            .where(User.disabled_at.is_(None))
        )
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def note_used(self, login: Login) -> None:
        """Updates `last_used_at` at most once a minute, so that a busy login is not a busy row."""
        if _was_just_used(login):
            return
        stale = or_(
            Login.last_used_at.is_(None), Login.last_used_at < func.now() - _LAST_USED_PRECISION
        )
        statement = update(Login).where(Login.id == login.id, stale)
        await self.session.execute(
            statement.values(last_used_at=func.now()),
            execution_options={"synchronize_session": False},
        )

    async def note_refreshed(self, login_id: UUID, origin: Origin) -> None:
        """Stores where a login is used from now, and that it is used."""
        statement = update(Login).where(Login.id == login_id)
        await self.session.execute(
            statement.values(
                address=origin.address, user_agent=origin.user_agent, last_used_at=func.now()
            ),
            execution_options={"synchronize_session": False},
        )

    async def revoke(self, login_id: UUID) -> int | None:
        """Revokes a login; returns its user's id, or None if it was revoked before."""
        statement = (
            update(Login)
            .where(Login.id == login_id, Login.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(Login.user_id)
        )
        user_id = await self.session.scalar(statement)
        if user_id is not None:
            await notify(self.session, CREDENTIALS_CHANGED, str(user_id))
        return user_id

    async def revoke_all_of(self, user_id: int) -> None:
        await self.session.execute(
            update(Login)
            .where(Login.user_id == user_id, Login.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        await notify(self.session, CREDENTIALS_CHANGED, str(user_id))

    async def add_token(self, login_id: UUID, token_hash: bytes) -> None:
        self.session.add(RefreshToken(login_id=login_id, token_hash=token_hash))
        await self.session.flush()

    async def claim_token(self, token_hash: bytes) -> RefreshToken | None:
        """Locks a refresh token, so that of two parallel uses the second is seen as a reuse."""
        statement = (
            select(RefreshToken).where(RefreshToken.token_hash == token_hash).with_for_update()
        )
        return (await self.session.scalars(statement)).one_or_none()

    async def record_used(self, token_id: int) -> None:
        await self.session.execute(
            update(RefreshToken).where(RefreshToken.id == token_id).values(used_at=func.now())
        )

    async def get_of_token(self, token: RefreshToken) -> tuple[Login, User] | None:
        login_id = token.login_id
        user_id = await self.session.scalar(select(Login.user_id).where(Login.id == login_id))
        return None if user_id is None else await self.get_with_user(login_id, user_id)

    async def purge_expired(self) -> None:
        await self.session.execute(delete(Login).where(Login.expires_at < func.now()))


def _was_just_used(row: ApiKey | Login) -> bool:
    """Spares most calls the statement; it goes by this process's clock, which may be off."""
    return row.last_used_at is not None and utc_now() - row.last_used_at < _LAST_USED_PRECISION


@dataclass(frozen=True, slots=True)
class VisibleKeys:
    """Selects keys of a project and of a user, without scopes beyond `scopes`; None means any."""

    project_id: int | None
    user_id: int | None
    scopes: Iterable[str] | None

    def conditions(self) -> list[ColumnElement[bool]]:
        project_id = func.coalesce(ApiKey.project_id, ApiKey.user_id)
        conditions = []
        if self.project_id is not None:
            conditions.append(project_id == self.project_id)
        if self.user_id is not None:
            conditions.append(ApiKey.user_id == self.user_id)
        if self.scopes is not None:
            conditions.append(ApiKey.scopes.contained_by(sorted(self.scopes)))
        return conditions


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

    async def list_expiring(
        self, conditions: Iterable[ColumnElement[bool]], *, within: timedelta, limit: int
    ) -> Sequence[ApiKey]:
        """Returns the keys that are live now and expire `within` a time, the first one first."""
        statement = (
            select(ApiKey)
            .where(*conditions, ApiKey.expires_at.between(func.now(), func.now() + within))
            .order_by(ApiKey.expires_at, ApiKey.id)
            .limit(limit)
        )
        return (await self.session.scalars(statement)).all()

    async def get_with_user(self, key_hash: bytes) -> tuple[ApiKey, User] | None:
        """Returns a key that has not expired, with its user if that is enabled."""
        statement = (
            select(ApiKey, User)
            .join(User, ApiKey.user_id == User.id)
            .where(ApiKey.key_hash == key_hash, User.disabled_at.is_(None))
            .where(_IS_LIVE)
        )
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def note_used(self, key: ApiKey) -> None:
        """Updates `last_used_at` at most once a minute, so that a busy key is not a busy row."""
        if _was_just_used(key):
            return
        stale = or_(
            ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - _LAST_USED_PRECISION
        )
        statement = update(ApiKey).where(ApiKey.id == key.id, stale)
        await self.session.execute(
            statement.values(last_used_at=func.now()),
            execution_options={"synchronize_session": False},
        )

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
