"""Reads whole triggers, to show them."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text

from event_trigger.db.loading import columns_of
from event_trigger.db.plain_session import ReadSession
from event_trigger.models import Trigger, shard_of
from event_trigger.triggers.filters import LARGE, PAYLOAD, UNSHOWN, hidden
from event_trigger.triggers.schemas.rows import TriggerRow

_SELECT = f"SELECT {columns_of(Trigger, without=UNSHOWN, as_text=LARGE)}"
_SELECT_SHORT = f"SELECT {columns_of(Trigger, without=UNSHOWN, as_text=LARGE, as_null=[PAYLOAD])}"
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
_SHORT_BY_IDS = text(f"{_SELECT_SHORT} {_AMONG}")


@dataclass(frozen=True)
class StoredTriggers:
    session: ReadSession

    async def list_in_shard(self, shard: int, ids: Collection[int]) -> list[TriggerRow]:
        """Lists the triggers of all owners of a shard among these, in no order."""
        rows = await self.session.execute(_IN_SHARD, {"shard": shard, "ids": [*ids]})
        return [TriggerRow(*one) for one in rows]

    async def get_by_key(self, owner_id: int, key: str) -> TriggerRow | None:
        """Finds the trigger with a key, in the index `ix_triggers_key`."""
        values = {"shard": shard_of(owner_id), "owner_id": owner_id, "key": key}
        rows = await self.session.execute(_BY_KEY, values)
        return next((TriggerRow(*one) for one in rows), None)

    async def list_among(
        self, owner_id: int, ids: Collection[int], *, summary: bool = False
    ) -> list[TriggerRow]:
        """Lists an owner's triggers among these, in no order; a summary has no payloads."""
        values = {"shard": shard_of(owner_id), "owner_id": owner_id, "ids": [*ids]}
        statement = _SHORT_BY_IDS if summary else _BY_IDS
        return [TriggerRow(*one) for one in await self.session.execute(statement, values)]
