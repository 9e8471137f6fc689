"""Makes notices of recorded changes, and queues them for the destinations that hear of them.

It also records API keys that expire soon, which no request changes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.transactions import BATCH_ROWS, in_batches
from event_trigger.instants import instant_text
from event_trigger.models import NoticeKind, SubjectKind, shard_of
from event_trigger.notices.change_queue import Listener, NoticeChanges, ToldChange
from event_trigger.notices.changes import Change, Subject, named_among, record_changes
from event_trigger.notices.grouping import TOLD_EVERY, Group, Topic, choose
from event_trigger.notices.repository import NewNotice, Notices, as_json
from event_trigger.notices.wording import Told, payload_of

log = structlog.get_logger()

_CHANGES_KEPT_FOR = 2 * TOLD_EVERY
TOLD_BEFORE = timedelta(days=7)
# whoever makes a key for a few days knows that
_MARK_EXPIRING = text("""
    UPDATE api_keys SET expiry_noticed = expires_at
    WHERE expires_at > now() AND expires_at <= now() + CAST(:before AS interval)
        AND created_at < expires_at - CAST(:before AS interval)
        AND expiry_noticed IS DISTINCT FROM expires_at
    RETURNING id, coalesce(project_id, user_id), expires_at
""")


async def tell_changes(sessions: Sessions) -> None:
    """Tells of the changes that are recorded, one transaction for each shard that has some.

    1. Locks the changes of the shard, so that one replica tells of them at a time.
    2. Chooses what is told of now: of one subject and kind once in five minutes.
    3. Marks the changes as told, and makes one notice of those of a subject.
    4. Queues a delivery for each destination that hears of them.

    A crash before the commit leaves the changes as they were, for the next run of any replica.
    """
    async with sessions() as session:
        shards = await NoticeChanges(session).list_shards()
    for shard in sorted(shards):
        async with sessions.begin() as session:
            await _tell(session, shard)


async def purge_notices(sessions: Sessions, *, after: timedelta) -> None:
    """Purges told changes after some minutes, and notices as their last delivery was purged."""

    async def purge_changes(session: AsyncSession) -> int:
        return await NoticeChanges(session).purge(after=_CHANGES_KEPT_FOR, limit=BATCH_ROWS)

    async def purge(session: AsyncSession) -> int:
        return await Notices(session).purge(after=after, limit=BATCH_ROWS)

    await in_batches(sessions, purge_changes)
    await in_batches(sessions, purge)


class _News(NamedTuple):
    """The content of one notice, before it has words."""

    group: Group
    changes: Sequence[ToldChange]

    @property
    def kind(self) -> NoticeKind:
        return self.group.topics[0].kind

    @property
    def project_id(self) -> int:
        return self.group.topics[0].owner_id


async def _tell(session: AsyncSession, shard: int) -> None:
    changes = NoticeChanges(session)
    if not await changes.try_lock(shard):
        return
    waiting = await changes.list_waiting(shard)
    told = await changes.list_told(shard, within=TOLD_EVERY)
    groups = choose(waiting, told, now=await database_now(session))
    if not groups:
        return
    chosen = [topic for one in groups for topic in one.topics]
    marked: defaultdict[Topic, list[ToldChange]] = defaultdict(list)
    for change in await changes.mark_told(shard, chosen):
        marked[change.topic].append(change)
    news = [
        _News(one, [change for topic in one.topics for change in marked[topic]]) for one in groups
    ]
    listeners = await _list_listeners(changes, {one.project_id for one in news})
    new = await _written(changes, shard, news, listeners)
    by_shard: defaultdict[int, list[NewNotice]] = defaultdict(list)
    for notice in new:
        by_shard[shard_of(notice.owner_id)].append(notice)
    for of_shard, some in sorted(by_shard.items()):
        await Notices(session).add(of_shard, some)
    if new:
        await notify(session, DELIVERIES_CHANGED)


async def _list_listeners(changes: NoticeChanges, project_ids: Iterable[int]) -> list[Listener]:
    """Lists the listeners whose destination is still there."""
    listed = await changes.list_listeners(sorted(project_ids))
    by_shard: defaultdict[int, list[int]] = defaultdict(list)
    for one in listed:
        by_shard[shard_of(one.owner_id)].append(one.destination_id)
    existing: set[int] = set()
    for shard, ids in sorted(by_shard.items()):
        existing |= await changes.list_existing(shard, ids)
    return [one for one in listed if one.destination_id in existing]


async def _written(
    changes: NoticeChanges, shard: int, news: Sequence[_News], listeners: Sequence[Listener]
) -> list[NewNotice]:
    """Writes a notice for each project that hears of some news."""
    heard = [(one, _listening_to(one, listeners)) for one in news]
    heard = [(one, by_owner) for one, by_owner in heard if by_owner]
    subjects = {one.group.subject for one, _ in heard}
    projects = {Subject(SubjectKind.PROJECT, one.project_id) for one, _ in heard}
    names = await changes.names_of(shard, subjects | projects)
    return [
        NewNotice(
            owner_id,
            one.project_id,
            one.kind,
            one.group.subject.path,
            max(change.hops for change in one.changes),
            as_json(payload_of(_told(one, names))),
            destination_ids,
        )
        for one, by_owner in heard
        for owner_id, destination_ids in by_owner.items()
    ]


def _listening_to(news: _News, listeners: Iterable[Listener]) -> Mapping[int, Sequence[int]]:
    """Returns the listening destinations by their projects; none hears of itself alone."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for one in listeners:
        if any(map(one.is_told_of, news.group.topics)):
            found[one.owner_id].append(one.destination_id)
    return found


def _told(news: _News, names: Mapping[Subject, str]) -> Told:
    last, subject = news.changes[-1], news.group.subject
    project = Subject(SubjectKind.PROJECT, news.project_id)
    details = dict(last.details)
    if len(news.group.topics) > 1:
        of_each = [one.subject for one in news.group.topics if one.subject != subject]
        details |= named_among(of_each)
    return Told(
        news.kind,
        subject,
        names.get(subject),
        news.project_id,
        names.get(project),
        sum(one.times for one in news.changes),
        min(one.at for one in news.changes),
        details,
    )


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
