"""Reads and writes hooks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.models import Hook, Verify
from event_trigger.vault import Sealed


@dataclass(frozen=True)
class Hooks:
    """Hooks are in a table without shards: a call is known by its token alone."""

    session: AsyncSession

    async def list_by_hash(self, token_hashes: Collection[bytes]) -> Sequence[Hook]:
        statement = select(Hook).where(Hook.token_hash.in_(token_hashes))
        return (await self.session.scalars(statement)).all()

    async def list_of(self, trigger_ids: Collection[int]) -> Sequence[Hook]:
        statement = select(Hook).where(Hook.trigger_id.in_(trigger_ids))
        return (await self.session.scalars(statement)).all()

    async def put(
        self, trigger: OwnedId, *, token_hash: bytes, verify: Verify, sealed: Sealed
    ) -> None:
        """Inserts a trigger's hook, or replaces it."""
        new = {
            "token_hash": token_hash,
            "verify": verify,
            "sealed": sealed.data,
            "key_id": sealed.key_id,
        }
        statement = insert(Hook).values(trigger_id=trigger.id, owner_id=trigger.owner_id, **new)
        replaced = {**new, "created_at": statement.excluded.created_at}
        await self.session.execute(
            statement.on_conflict_do_update(index_elements=[Hook.trigger_id], set_=replaced)
        )

    async def delete(self, trigger_ids: Collection[int]) -> None:
        """Deletes hooks, locked in the order in which their keys are rotated."""
        named = select(Hook.token_hash).where(Hook.trigger_id.in_(trigger_ids))
        locked = named.order_by(Hook.trigger_id).with_for_update()
        await self.session.execute(delete(Hook).where(Hook.token_hash.in_(locked)))

    async def list_under_other_keys(self, key_id: str, *, after: int, limit: int) -> Sequence[Hook]:
        """Locks hooks that are encrypted under other keys, of triggers with ids above `after`."""
        statement = (
            select(Hook)
            .where(Hook.key_id != key_id, Hook.trigger_id > after)
            .order_by(Hook.trigger_id)
            .limit(limit)
            .with_for_update()
        )
        return (await self.session.scalars(statement)).all()
