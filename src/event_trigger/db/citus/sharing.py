"""Says which shards may share a transaction: group commit asks it."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster


async def list_sharing(session: AsyncSession, shards: Iterable[int]) -> list[frozenset[int]]:
    """Groups shards whose rows one transaction may write at the cost of one commit.

    On one server all may share one. In a cluster each shard has its own, which its worker commits
    alone: several would need a commit in two phases, and one worker would hold up the others.
    """
    present = frozenset(shards)
    if await is_in_cluster(session):
        return [frozenset({one}) for one in sorted(present)]
    return [present]
