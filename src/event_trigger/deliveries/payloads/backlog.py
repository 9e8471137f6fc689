"""Counts the bytes that wait for each owner, and removes payloads that no delivery needs."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from event_trigger.db.batches import BATCH
from event_trigger.db.engine import Sessions
from event_trigger.deliveries.payloads.repository import PayloadPosition, Payloads, StoredPayload

_MOST = 20  # batches of new payloads in a run; the next run goes on
_BEGINNING = PayloadPosition(-1, 0)


class BacklogCount:
    """The work of one process; any number of them share it.

    A run takes two bounded looks:

    1. at every new payload, so that a backlog is known within seconds;
    2. at the next few thousand of the others, from the place where the run before has ended.

    What a transaction finds, it writes to the payloads and to their owners' sums together.
    """

    def __init__(self, sessions: Sessions, *, most_bytes: int) -> None:
        self._sessions = sessions
        self._most_bytes = most_bytes
        self._after = _BEGINNING

    async def settle(self) -> None:
        """Removes what has arrived, counts what waits, and says whose backlog is full."""
        for _ in range(_MOST):
            if await self._settle_new() < BATCH:
                break
        await self._settle_further()
        async with self._sessions.begin() as session:
            await Payloads(session).judge_backlogs(self._most_bytes)

    async def _settle_new(self) -> int:
        async with self._sessions() as session:
            found = await Payloads(session).list_new(limit=BATCH)
        for shard, event_ids in _by_shard(found):
            await self._settle(shard, event_ids)
        return len(found)

    async def _settle_further(self) -> None:
        """Locks only what has changed: most of it waits as it did before."""
        changed: list[PayloadPosition] = []
        async with self._sessions() as session:
            payloads = Payloads(session)
            found = await payloads.list_after(self._after, limit=BATCH)
            for shard, event_ids in _by_shard(found):
                looked = await payloads.look(shard, event_ids)
                changed += [
                    PayloadPosition(shard, one.event_id) for one in looked if not one.is_settled
                ]
        for shard, event_ids in _by_shard(changed):
            await self._settle(shard, event_ids)
        self._after = found[-1] if len(found) == BATCH else _BEGINNING

    async def _settle(self, shard: int, event_ids: Sequence[int]) -> None:
        """Looks once it has the locks: a redelivery that comes now waits, and comes after this."""
        async with self._sessions.begin() as session:
            payloads = Payloads(session)
            locked = await payloads.lock(shard, event_ids, wait=False)
            found = [one for one in await payloads.look(shard, locked) if not one.is_settled]
            if gone := [one.event_id for one in found if not one.is_needed]:
                await payloads.delete(shard, gone)
            for waits in (True, False):
                if some := [one.event_id for one in found if one.is_needed and one.waits is waits]:
                    await payloads.mark(shard, some, counted=waits)
            if changes := _changes(found):
                await payloads.add_to_backlogs(shard, changes)


def _by_shard(places: Sequence[PayloadPosition]) -> list[tuple[int, list[int]]]:
    return [
        (shard, [one.event_id for one in group])
        for shard, group in groupby(places, key=lambda one: one.shard)
    ]


def _changes(found: Sequence[StoredPayload]) -> dict[int, int]:
    changes: Counter[int] = Counter()
    for one in found:
        changes[one.owner_id] += one.change
    return {owner_id: change for owner_id, change in changes.items() if change}
