"""Looks up triggers by id, to show them; reads that arrive during a query share the next one."""

from collections import defaultdict
from collections.abc import Collection

from event_trigger.db.plain_session import PlainReads
from event_trigger.db.shards import OwnedId
from event_trigger.db.shared_lookup import SharedLookup
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.stored_rows import StoredTriggers


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
