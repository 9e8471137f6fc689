"""Reads whole triggers, to show them; reads by id that arrive during a query share the next one."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text

from event_trigger.db.loading import columns_of
from event_trigger.db.plain_session import PlainReads, ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.db.shared_lookup import SharedLookup
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


class TriggerLookup:
    """Looks up all triggers that are read in this process over one connection."""

    def __init__(self, reads: PlainReads) -> None:
        self._reads = reads
        self._lookup: SharedLookup[OwnedId, TriggerRow] = SharedLookup(self._read)

    async def get(self, key: OwnedId) -> TriggerRow | None:
        return await self._lookup.find(key)

    async def _read(self, keys: Collection[OwnedId]) -> dict[OwnedId, TriggerRow]:
        by_shard: dict[int, list[int]] = defaultdict(list)
        for key in keys:
            by_shard[key.shard].append(key.id)
        async with self._reads.open() as session:
            triggers = StoredTriggers(session)
            read = [await triggers.list_in_shard(*one) for one in by_shard.items()]
        return {OwnedId(one.owner_id, one.id): one for rows in read for one in rows}
