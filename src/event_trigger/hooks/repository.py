"""Reads and writes hooks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import LargeBinary, any_, bindparam, delete, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.loading import Loader, columns_of
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.models import Hook
from event_trigger.vault import Sealed

# built once: to make the statement takes longer than PostgreSQL to answer it
_HASHES = bindparam("token_hashes", type_=ARRAY(LargeBinary))
_BY_HASH = select(Hook).where(Hook.token_hash == any_(_HASHES))
_OF_TRIGGERS = text(f"""
    SELECT {columns_of(Hook)} FROM hooks WHERE trigger_id = ANY (CAST(:ids AS bigint[]))
""")  # noqa: S608
_LOADER = Loader.of(Hook)


def stored_options(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns what is stored of `details.hook`: nothing, if it has `verify` alone."""
    return None if options.keys() == {"verify"} else dict(options)


async def list_hooks(session: ReadSession, trigger_ids: Collection[int]) -> Sequence[Hook]:
    """Lists the hooks of triggers, to show them: nobody may change those that it returns."""
    found = await session.execute(_OF_TRIGGERS, {"ids": [*trigger_ids]})
    return [_LOADER.load(one) for one in found]


@dataclass(frozen=True)
class Hooks:
    """Hooks are in a table without shards: a call is known by its token alone."""

    session: AsyncSession

    async def list_by_hash(self, token_hashes: Collection[bytes]) -> Sequence[Hook]:
        found = await self.session.scalars(_BY_HASH, {"token_hashes": [*token_hashes]})
        return found.all()

    async def get_locked(self, trigger_id: int) -> Hook | None:
        statement = select(Hook).where(Hook.trigger_id == trigger_id).with_for_update()
        return (await self.session.scalars(statement)).one_or_none()

    async def put(
        self, trigger: OwnedId, *, token_hash: bytes, options: Mapping[str, Any], sealed: Sealed
    ) -> None:
        """Inserts a trigger's hook, or replaces it with its former secrets."""
        new = {
            "token_hash": token_hash,
            "verify": options["verify"],
            "options": stored_options(options),
            "sealed": sealed.data,
            "former": None,
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
