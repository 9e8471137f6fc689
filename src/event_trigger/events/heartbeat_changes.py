"""Stores the ledger of heartbeats: each change once, beside the event that tells it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId

_INSERT_CHANGES = text("""
    INSERT INTO heartbeat_changes
        (shard, owner_id, trigger_id, state, reason, deadline_at, event_id, changed_at)
    SELECT CAST(:shard AS smallint), new.*, clock_timestamp() FROM unnest(
        CAST(:owner_ids AS bigint[]), CAST(:trigger_ids AS bigint[]), CAST(:states AS text[]),
        CAST(:reasons AS text[]), CAST(:deadline_ats AS timestamptz[]),
        CAST(:event_ids AS bigint[])
    ) AS new (owner_id, trigger_id, state, reason, deadline_at, event_id)
    ORDER BY new.event_id
""")


class NewChange(NamedTuple):
    """A change of a heartbeat to record, with the id of the event that tells it."""

    trigger: OwnedId
    state: str
    reason: str
    deadline_at: datetime | None
    event_id: int


async def record_changes(session: ReadSession, new: Sequence[NewChange]) -> None:
    """Records changes: a statement for each shard that they are of."""
    for shard in sorted({one.trigger.shard for one in new}):
        of_shard = [one for one in new if one.trigger.shard == shard]
        await session.execute(
            _INSERT_CHANGES,
            {
                "shard": shard,
                "owner_ids": [one.trigger.owner_id for one in of_shard],
                "trigger_ids": [one.trigger.id for one in of_shard],
                "states": [one.state for one in of_shard],
                "reasons": [one.reason for one in of_shard],
                "deadline_ats": [one.deadline_at for one in of_shard],
                "event_ids": [one.event_id for one in of_shard],
            },
        )
