"""Stores the ledger of heartbeats: each change once, beside the event and the notice of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.instants import instant_text
from event_trigger.models import ChangedState, NoticeKind, SubjectKind
from event_trigger.notices.changes import Change, Subject
from event_trigger.notices.changes import record_changes as record_news

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
    """Records changes, and lets listening destinations hear of silent ones.

    It takes a statement for each shard that they are of, and another one for those that are silent.
    """
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
        silent = [_news_of(one) for one in of_shard if one.state == ChangedState.SILENT]
        await record_news(session, shard, silent)


def _news_of(change: NewChange) -> Change:
    subject = Subject(SubjectKind.TRIGGER, change.trigger.id)
    deadline = change.deadline_at
    details = {
        "reason": change.reason,
        "last_at": None if deadline is None else instant_text(deadline),
    }
    return Change(NoticeKind.TRIGGER_SILENT, change.trigger.owner_id, subject, details=details)
