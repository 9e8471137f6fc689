"""Changes tables of a cluster one part after the other."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster

_ONE_BY_ONE = text("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")


async def change_parts_one_by_one(session: AsyncSession) -> None:
    """Keeps a cluster from changing all parts of a table at once, until the transaction ends.

    The indexes of a new partition have names of 63 bytes, which Citus cuts before the number of the
    part: sessions that make them at once wait for each other, a deadlock (citusdata/citus issues
    4736 and 6609).
    """
    if await is_in_cluster(session):
        await session.execute(_ONE_BY_ONE)
