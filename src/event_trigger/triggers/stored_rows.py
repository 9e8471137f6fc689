"""Reads whole triggers, to show them: nobody may change those that it returns."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text

from event_trigger.db.loading import Loader, columns_of
from event_trigger.db.plain_session import ReadSession
from event_trigger.models import Trigger, shard_of
from event_trigger.triggers.filters import PAYLOAD, UNSHOWN, hidden

_SUMMARY = (*UNSHOWN, PAYLOAD)
_WHOLE, _SHORT = Loader.of(Trigger, without=UNSHOWN), Loader.of(Trigger, without=_SUMMARY)
_SELECT = f"SELECT {columns_of(Trigger, without=UNSHOWN)}"
_BY_KEY = text(f"""
    {_SELECT} FROM triggers WHERE shard = :shard AND owner_id = :owner_id AND key = :key
""")
# CASE hides the owner from the planner: a generic plan would read an index of all its triggers
_OWNED = f"FROM triggers WHERE shard = :shard AND {hidden('owner_id = :owner_id')}"
_IN_SHARD = text(f"""
    {_SELECT} FROM triggers WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
""")
_AMONG = f"{_OWNED} AND id = ANY (CAST(:ids AS bigint[]))"
_BY_IDS = text(f"{_SELECT} {_AMONG}")
_SHORT_BY_IDS = text(f"SELECT {columns_of(Trigger, without=_SUMMARY)} {_AMONG}")


@dataclass(frozen=True)
class StoredTriggers:
    session: ReadSession

    async def list_in_shard(self, shard: int, ids: Collection[int]) -> list[Trigger]:
        """Lists the triggers of all owners of a shard among these, in no order."""
        rows = await self.session.execute(_IN_SHARD, {"shard": shard, "ids": [*ids]})
        return [_WHOLE.load(one) for one in rows]

    async def get_by_key(self, owner_id: int, key: str) -> Trigger | None:
        """Finds the trigger with a key, in the index `ix_triggers_key`."""
        values = {"shard": shard_of(owner_id), "owner_id": owner_id, "key": key}
        return _WHOLE.first_of(await self.session.execute(_BY_KEY, values))

    async def list_among(
        self, owner_id: int, ids: Collection[int], *, summary: bool = False
    ) -> list[Trigger]:
        """Lists an owner's triggers among these, in no order; a summary has no payloads."""
        values = {"shard": shard_of(owner_id), "owner_id": owner_id, "ids": [*ids]}
        statement, loader = (_SHORT_BY_IDS, _SHORT) if summary else (_BY_IDS, _WHOLE)
        return [loader.load(one) for one in await self.session.execute(statement, values)]
