"""Records API keys that expire soon, once for each expiry."""

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import text

from event_trigger.db.engine import Sessions
from event_trigger.instants import instant_text
from event_trigger.models import NoticeKind, SubjectKind, shard_of
from event_trigger.notices.changes import Change, Subject, record_changes

TOLD_BEFORE = timedelta(days=7)
# whoever makes a key for a few days knows that
_MARK_EXPIRING = text("""
    UPDATE api_keys SET expiry_noticed = expires_at
    WHERE expires_at > now() AND expires_at <= now() + CAST(:before AS interval)
        AND created_at < expires_at - CAST(:before AS interval)
        AND expiry_noticed IS DISTINCT FROM expires_at
    RETURNING id, coalesce(project_id, user_id), expires_at
""")


async def tell_of_keys(sessions: Sessions) -> None:
    """Records the keys that expire within 7 days; of several replicas, one records a key.

    A key that gets another expiry is told of again, 7 days before that.
    """
    async with sessions.begin() as session:
        expiring = (await session.execute(_MARK_EXPIRING, {"before": TOLD_BEFORE})).all()
        by_shard: defaultdict[int, list[Change]] = defaultdict(list)
        for key_id, project_id, expires_at in expiring:
            subject = Subject(SubjectKind.KEY, key_id)
            details = {"expires_at": instant_text(expires_at)}
            news = Change(NoticeKind.KEY_EXPIRING, project_id, subject, details=details)
            by_shard[shard_of(project_id)].append(news)
        for shard, changes in sorted(by_shard.items()):
            await record_changes(session, shard, changes)
