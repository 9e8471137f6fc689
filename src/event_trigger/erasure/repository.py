"""Ends what a project does, in the transaction that deletes it: triggers, hooks, deliveries, keys.

Rows are locked in the order of their ids, and destinations before triggers, as everywhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Executable, delete, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import (
    ApiKey,
    Destination,
    Hook,
    Invitation,
    Login,
    Project,
    ProjectMember,
    RefreshToken,
    Trigger,
    User,
    shard_of,
)

# one statement for all triggers: deleting a row writes to no index, unlike pausing it
_DELETE_OWNED = """
    DELETE FROM {table} WHERE shard = :shard AND id IN (
        SELECT id FROM {table} WHERE shard = :shard AND owner_id = :owner_id ORDER BY id FOR UPDATE
    )
"""
_DELETE_DESTINATIONS = text(_DELETE_OWNED.format(table=Destination.__tablename__))
_DELETE_TRIGGERS = text(_DELETE_OWNED.format(table=Trigger.__tablename__))
_WITHOUT_SYNC = {"synchronize_session": False}


@dataclass(frozen=True)
class EndedProject:
    """A project that is being deleted; its row is locked."""

    session: AsyncSession
    project_id: int

    @property
    def _owner(self) -> dict[str, int]:
        return {"shard": shard_of(self.project_id), "owner_id": self.project_id}

    async def is_of_a_user(self) -> bool:
        """Tells whether it is a user's own project, which has the user's id."""
        return bool(await self.session.scalar(select(exists().where(User.id == self.project_id))))

    async def count_triggers(self) -> int:
        statement = select(func.count()).where(
            Trigger.shard == shard_of(self.project_id), Trigger.owner_id == self.project_id
        )
        return int(await self.session.scalar(statement) or 0)

    async def count_destinations(self) -> int:
        statement = select(func.count()).where(
            Destination.shard == shard_of(self.project_id),
            Destination.owner_id == self.project_id,
            Destination.deleted_at.is_(None),
        )
        return int(await self.session.scalar(statement) or 0)

    async def mark_deleted(self, *, erased_emails: Sequence[str] | None) -> None:
        """Makes the project answer as one that does not exist, and leaves the rest to the job."""
        marked = {"deleted_at": func.now(), "erased_emails": erased_emails}
        statement = update(Project).where(Project.id == self.project_id).values(**marked)
        await self._run(statement)

    async def delete_destinations(self) -> None:
        """Deletes destinations: without them, no worker finds a delivery."""
        await self._run(_DELETE_DESTINATIONS, self._owner)

    async def delete_triggers(self) -> int:
        """Deletes triggers, waiting for those that fire right now; returns their number."""
        return await self._run(_DELETE_TRIGGERS, self._owner)

    async def delete_hooks(self) -> None:
        of_project = select(Hook.token_hash).where(Hook.owner_id == self.project_id)
        locked = of_project.order_by(Hook.trigger_id).with_for_update()
        await self._run(delete(Hook).where(Hook.token_hash.in_(locked)))

    async def delete_keys(self) -> None:
        project_id = func.coalesce(ApiKey.project_id, ApiKey.user_id)
        await self._run(delete(ApiKey).where(project_id == self.project_id))

    async def delete_invitations(self) -> None:
        await self._run(delete(Invitation).where(Invitation.project_id == self.project_id))

    async def delete_members(self) -> Sequence[int]:
        """Deletes all memberships; returns the users' ids."""
        members = delete(ProjectMember).where(ProjectMember.project_id == self.project_id)
        gone = await self.session.scalars(
            members.returning(ProjectMember.user_id), execution_options=_WITHOUT_SYNC
        )
        return gone.all()

    async def _run(self, statement: Executable, values: Mapping[str, Any] | None = None) -> int:
        done = await self.session.execute(statement, values or {}, execution_options=_WITHOUT_SYNC)
        return cast("CursorResult[Any]", done).rowcount


@dataclass(frozen=True)
class ErasedAccount:
    """A user who is being erased."""

    session: AsyncSession
    user_id: int

    async def get_role(self) -> str | None:
        """Returns the user's role before the user is locked; None if there is no such user."""
        return await self.session.scalar(select(User.role).where(User.id == self.user_id))

    async def count_logins(self) -> int:
        statement = select(func.count()).where(Login.user_id == self.user_id)
        return int(await self.session.scalar(statement) or 0)

    async def lock_tokens(self) -> None:
        """Locks all refresh tokens before their logins, as a refresh does.

        A refresh that was waited for has added a token: they are locked until there is no new one.
        """
        of_user = select(Login.id).where(Login.user_id == self.user_id)
        tokens = select(RefreshToken.id).where(RefreshToken.login_id.in_(of_user))
        locked, found = -1, 0
        while found > locked:
            rows = await self.session.scalars(tokens.order_by(RefreshToken.id).with_for_update())
            locked, found = found, len(rows.all())

    async def delete_invitations(self, emails: Sequence[str]) -> None:
        """Deletes the invitations that were made for the user's address."""
        statement = delete(Invitation).where(func.lower(Invitation.email).in_(emails))
        await self.session.execute(statement, execution_options=_WITHOUT_SYNC)

    async def delete(self) -> None:
        """Deletes the user; logins, keys and memberships go with the row."""
        await self.session.execute(
            delete(User).where(User.id == self.user_id), execution_options=_WITHOUT_SYNC
        )
