"""Reads the changes that nobody has been told of, and the destinations that hear of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.nodes import ask_all_shards
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER
from event_trigger.models import SHARDS, NoticeChange, NoticeKind, Role, SubjectKind
from event_trigger.notices.changes import Subject
from event_trigger.notices.grouping import Topic, Waiting
from event_trigger.notices.repository import purge_rows

_LOCK = 0x6E6F7463  # "notc", an advisory lock of a shard
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock, :shard)")
_LIST_WAITING = text("""
    SELECT owner_id, kind, subject_kind, subject_id, min(at) FROM notice_changes
    WHERE shard = :shard AND told_at IS NULL
    GROUP BY owner_id, kind, subject_kind, subject_id ORDER BY min(at)
""")
_LIST_TOLD = text("""
    SELECT DISTINCT owner_id, kind, subject_kind, subject_id FROM notice_changes
    WHERE shard = :shard AND told_at > now() - CAST(:within AS interval)
""")
_MARK_TOLD = text("""
    UPDATE notice_changes SET told_at = now()
    FROM unnest(
        CAST(:owner_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:subject_kinds AS text[]),
        CAST(:subject_ids AS bigint[])
    ) AS chosen (owner_id, kind, subject_kind, subject_id)
    WHERE notice_changes.shard = :shard AND notice_changes.told_at IS NULL
        AND notice_changes.owner_id = chosen.owner_id AND notice_changes.kind = chosen.kind
        AND notice_changes.subject_kind = chosen.subject_kind
        AND notice_changes.subject_id = chosen.subject_id
    RETURNING notice_changes.id, notice_changes.owner_id, notice_changes.kind,
        notice_changes.subject_kind, notice_changes.subject_id, notice_changes.count,
        notice_changes.hops, notice_changes.details, notice_changes.at
""").columns(details=NoticeChange.details.type)
_LIST_LISTENERS = text("""
    SELECT destination_id, owner_id, hears,
        users.id IS NOT NULL AND users.role = :admin AND users.disabled_at IS NULL
    FROM notice_listeners LEFT JOIN users ON users.id = notice_listeners.user_id
    WHERE owner_id = ANY (CAST(:owner_ids AS bigint[])) OR user_id IS NOT NULL
    ORDER BY destination_id
""")
_LIST_EXISTING = text("""
    SELECT id FROM destinations
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[])) AND deleted_at IS NULL
""")
_NAMES = {
    SubjectKind.TRIGGER: text("""
        SELECT id, coalesce(name, key) FROM triggers
        WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
    """),
    SubjectKind.DESTINATION: text("""
        SELECT id, coalesce(key, description) FROM destinations
        WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
    """),
    SubjectKind.KEY: text("SELECT id, name FROM api_keys WHERE id = ANY (CAST(:ids AS bigint[]))"),
    SubjectKind.PROJECT: text(
        "SELECT id, name FROM projects WHERE id = ANY (CAST(:ids AS bigint[]))"
    ),
}
_PURGE_CHANGES = text("""
    WITH purged AS (
        DELETE FROM notice_changes WHERE (shard, id) IN (
            SELECT shard, id FROM notice_changes
            WHERE told_at < now() - CAST(:after AS interval) LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
""")


class ToldChange(NamedTuple):
    """A change that was marked as told, of so many instants, deliveries or changes."""

    id: int
    topic: Topic
    times: int
    hops: int
    details: Mapping[str, Any]
    at: datetime


class Listener(NamedTuple):
    """A destination that hears of changes: of its own project, or `of_all` projects."""

    destination_id: int
    owner_id: int
    hears: Collection[str]
    of_all: bool

    def is_told_of(self, topic: Topic) -> bool:
        """Whether it hears of such changes; never of changes of itself."""
        if topic.subject == Subject(SubjectKind.DESTINATION, self.destination_id):
            return False
        return topic.kind in self.hears and (self.of_all or self.owner_id == topic.owner_id)


@dataclass(frozen=True)
class NoticeChanges:
    session: AsyncSession

    async def list_shards(self) -> list[int]:
        """Lists the shards that have changes to tell of."""
        if await is_in_cluster(self.session):
            return await ask_all_shards(self.session, self._list_shards)
        return await self._list_shards(range(SHARDS), reason=ONE_SERVER)

    async def _list_shards(self, shards: Sequence[int], reason: str = "due shards") -> list[int]:
        statement = (
            select(NoticeChange.shard)
            .distinct()
            .where(NoticeChange.shard.in_(shards), NoticeChange.told_at.is_(None))
        )
        options = {ACROSS_SHARDS: reason}
        return [*await self.session.scalars(statement, execution_options=options)]

    async def try_lock(self, shard: int) -> bool:
        """Locks the changes of a shard until the commit, unless another replica has."""
        return bool(await self.session.scalar(_TRY_LOCK, {"lock": _LOCK, "shard": shard}))

    async def list_waiting(self, shard: int) -> list[Waiting]:
        rows = await self.session.execute(_LIST_WAITING, {"shard": shard})
        return [Waiting(_topic(*of), since) for *of, since in rows]

    async def list_told(self, shard: int, *, within: timedelta) -> list[Topic]:
        rows = await self.session.execute(_LIST_TOLD, {"shard": shard, "within": within})
        return [_topic(*row) for row in rows]

    async def mark_told(self, shard: int, topics: Sequence[Topic]) -> list[ToldChange]:
        """Marks the changes of topics, and returns just these, in their order."""
        wanted = {
            "shard": shard,
            "owner_ids": [one.owner_id for one in topics],
            "kinds": [one.kind for one in topics],
            "subject_kinds": [one.subject.kind for one in topics],
            "subject_ids": [one.subject.id for one in topics],
        }
        rows = await self.session.execute(_MARK_TOLD, wanted)
        found = [ToldChange(row[0], _topic(*row[1:5]), *row[5:]) for row in rows]
        return sorted(found, key=lambda one: one.id)

    async def names_of(self, shard: int, subjects: Iterable[Subject]) -> dict[Subject, str]:
        """Returns the names that their users gave to subjects, of those that have one."""
        names: dict[Subject, str] = {}
        wanted = {*subjects}
        for kind in {one.kind for one in wanted}:
            ids = [one.id for one in wanted if one.kind is kind]
            rows = await self.session.execute(_NAMES[kind], {"shard": shard, "ids": ids})
            names |= {Subject(kind, id_): name for id_, name in rows if name}
        return names

    async def list_listeners(self, owner_ids: Collection[int]) -> list[Listener]:
        """Lists the destinations that hear of changes in these projects."""
        wanted = {"owner_ids": [*owner_ids], "admin": Role.ADMIN}
        return [*map(Listener._make, await self.session.execute(_LIST_LISTENERS, wanted))]

    async def list_existing(self, shard: int, destination_ids: Collection[int]) -> set[int]:
        wanted = {"shard": shard, "ids": [*destination_ids]}
        return {*await self.session.scalars(_LIST_EXISTING, wanted)}

    async def purge(self, *, after: timedelta, limit: int) -> int:
        """Deletes changes that were told of longer ago than that."""
        return await purge_rows(self.session, _PURGE_CHANGES, after, limit)


def _topic(owner_id: int, kind: str, subject_kind: str, subject_id: int) -> Topic:
    return Topic(owner_id, NoticeKind(kind), Subject(SubjectKind(subject_kind), subject_id))
