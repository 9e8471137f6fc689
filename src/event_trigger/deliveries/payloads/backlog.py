"""Counts the bytes of queued payloads by owner, and deletes payloads that no delivery needs."""

from collections import Counter
from collections.abc import Sequence

from event_trigger.db.engine import Sessions
from event_trigger.db.shards import by_shard
from event_trigger.db.transactions import BATCH_ROWS
from event_trigger.deliveries.payloads.repository import PayloadPosition, Payloads, PayloadUse
from event_trigger.models import NoticeKind, SubjectKind, shard_of
from event_trigger.notices.changes import Change, Subject, record_changes

_MOST_BATCHES = 20  # of new payloads in a run; the next run goes on
_START = PayloadPosition(-1, 0)


class BacklogCount:
    """Keeps the backlogs of all owners; any number of processes may run it at once.

    A run does a bounded amount of work:

    1. counts the new payloads, so that a full backlog is known within seconds;
    2. checks the next few thousand others, from the position where the run before ended;
    3. marks the backlogs that are full, and those that are not any more, and records what listening
       destinations hear of.

    A payload and its owner's sum change in the same transaction.
    """

    def __init__(self, sessions: Sessions, *, most_bytes: int) -> None:
        self._sessions = sessions
        self._most_bytes = most_bytes
        self._after = _START

    async def update(self) -> None:
        for _ in range(_MOST_BATCHES):
            if await self._count_new() < BATCH_ROWS:
                break
        await self._check_further()
        async with self._sessions.begin() as session:
            full = await Payloads(session).mark_full_backlogs(self._most_bytes)
            for owner_id in full:
                await record_changes(session, shard_of(owner_id), [_news(owner_id)])

    async def _count_new(self) -> int:
        async with self._sessions() as session:
            found = await Payloads(session).list_new(limit=BATCH_ROWS)
        for shard, event_ids in _by_shard(found):
            await self._recount(shard, event_ids)
        return len(found)

    async def _check_further(self) -> None:
        """Locks only payloads whose use has changed: most are as they were in the last run."""
        stale: list[PayloadPosition] = []
        async with self._sessions() as session:
            payloads = Payloads(session)
            found = await payloads.list_after(self._after, limit=BATCH_ROWS)
            for shard, event_ids in _by_shard(found):
                uses = await payloads.list_stale(shard, event_ids)
                stale += [PayloadPosition(shard, one.event_id) for one in uses]
        for shard, event_ids in _by_shard(stale):
            await self._recount(shard, event_ids)
        self._after = found[-1] if len(found) == BATCH_ROWS else _START

    async def _recount(self, shard: int, event_ids: Sequence[int]) -> None:
        """Locks payloads, deletes unneeded ones, and updates counts.

        It reads their use under the locks: a redelivery that comes now waits for this to end.
        """
        async with self._sessions.begin() as session:
            payloads = Payloads(session)
            locked = await payloads.lock(shard, event_ids, wait=False)
            uses = await payloads.list_stale(shard, locked)
            if unneeded := [one.event_id for one in uses if not one.is_needed]:
                await payloads.delete(shard, unneeded)
            needed = [one for one in uses if one.is_needed]
            for queued in (True, False):
                if marked := [one.event_id for one in needed if one.is_queued is queued]:
                    await payloads.mark(shard, marked, counted=queued)
            if changes := _changes(uses):
                await payloads.add_to_backlogs(shard, changes)


def _news(owner_id: int) -> Change:
    return Change(NoticeKind.BACKLOG_FULL, owner_id, Subject(SubjectKind.PROJECT, owner_id))


def _by_shard(positions: Sequence[PayloadPosition]) -> list[tuple[int, list[int]]]:
    return [
        (shard, [one.event_id for one in group]) for shard, group in by_shard(positions).items()
    ]


def _changes(uses: Sequence[PayloadUse]) -> dict[int, int]:
    """Sums up by owner how many bytes the backlogs change."""
    changes: Counter[int] = Counter()
    for one in uses:
        changes[one.owner_id] += one.change
    return {owner_id: change for owner_id, change in changes.items() if change}
