"""Reads changes and listeners, and stores notices with their deliveries."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.keyset import Page, fetch_newest_of, given_filters
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.nodes import ask_all_shards
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER
from event_trigger.models import (
    NOTICE_TYPE,
    SHARDS,
    Notice,
    NoticeChange,
    NoticeKind,
    Role,
    SubjectKind,
)
from event_trigger.notices.changes import Subject
from event_trigger.notices.grouping import Topic, Waiting

_LISTED_NOTICES = ListedTable(Notice, order="id DESC")
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
# of the sequence of events: a payload is stored, and a message named, by the one or the other
_NEXT_IDS = text("""
    SELECT nextval('events_id_seq') FROM generate_series(1, :count)
""")
_INSERT_NOTICES = text("""
    INSERT INTO notices (shard, id, owner_id, project_id, kind, subject, data)
    SELECT CAST(:shard AS smallint), new.id, new.owner_id, new.project_id, new.kind, new.subject,
        CAST(new.data AS json)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:owner_ids AS bigint[]), CAST(:project_ids AS bigint[]),
        CAST(:kinds AS text[]), CAST(:subjects AS text[]), CAST(:data AS text[])
    ) AS new (id, owner_id, project_id, kind, subject, data)
""")
_INSERT_PAYLOADS = text("""
    INSERT INTO delivery_payloads (shard, event_id, owner_id, payload_size, payload)
    SELECT CAST(:shard AS smallint), new.id, new.owner_id, octet_length(new.data),
        CAST(new.data AS json)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:owner_ids AS bigint[]), CAST(:data AS text[])
    ) AS new (id, owner_id, data)
""")
_INSERT_DELIVERIES = text(f"""
    INSERT INTO deliveries
        (shard, owner_id, destination_id, trigger_id, event_id, event_type, subject, triggered_at,
        is_test, hops, payload_size)
    SELECT CAST(:shard AS smallint), new.owner_id, new.destination_id, 0, new.id,
        '{NOTICE_TYPE}' || new.kind, new.subject, now(), false, new.hops, new.payload_size
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:owner_ids AS bigint[]), CAST(:kinds AS text[]),
        CAST(:subjects AS text[]), CAST(:hops AS smallint[]), CAST(:sizes AS bigint[]),
        CAST(:destination_ids AS bigint[])
    ) AS new (id, owner_id, kind, subject, hops, payload_size, destination_id)
""")  # noqa: S608
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
_PURGE_NOTICES = text("""
    WITH purged AS (
        DELETE FROM notices WHERE (shard, id) IN (
            SELECT shard, id FROM notices
            WHERE at < now() - CAST(:after AS interval) AND NOT EXISTS (
                SELECT FROM deliveries
                WHERE deliveries.shard = notices.shard AND deliveries.event_id = notices.id
            )
            ORDER BY at LIMIT :limit
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


class NewNotice(NamedTuple):
    """A notice to store for the listening destinations of one project; `data` is JSON text."""

    owner_id: int
    project_id: int
    kind: NoticeKind
    subject: str
    hops: int
    data: str
    destination_ids: Sequence[int]


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
        return await _purge(self.session, _PURGE_CHANGES, after, limit)


@dataclass(frozen=True)
class Notices:
    session: AsyncSession

    async def add(self, shard: int, new: Sequence[NewNotice]) -> None:
        """Stores notices for listening projects of one shard, with payloads and deliveries."""
        ids = (await self.session.scalars(_NEXT_IDS, {"count": len(new)})).all()
        values = {
            "shard": shard,
            "ids": ids,
            "owner_ids": [one.owner_id for one in new],
            "project_ids": [one.project_id for one in new],
            "kinds": [one.kind for one in new],
            "subjects": [one.subject for one in new],
            "data": [one.data for one in new],
        }
        await self.session.execute(_INSERT_NOTICES, values)
        await self.session.execute(_INSERT_PAYLOADS, values)
        sent = [
            (id_, one, destination_id)
            for id_, one in zip(ids, new, strict=True)
            for destination_id in one.destination_ids
        ]
        deliveries = {
            "shard": shard,
            "ids": [id_ for id_, _, _ in sent],
            "owner_ids": [one.owner_id for _, one, _ in sent],
            "kinds": [one.kind for _, one, _ in sent],
            "subjects": [one.subject for _, one, _ in sent],
            "hops": [one.hops for _, one, _ in sent],
            "sizes": [len(one.data.encode()) for _, one, _ in sent],
            "destination_ids": [destination_id for _, _, destination_id in sent],
        }
        await self.session.execute(_INSERT_DELIVERIES, deliveries)

    async def list_page(
        self,
        owner_id: int | None,
        *,
        kind: NoticeKind | None,
        own_only: bool,
        before: int | None,
        limit: int,
    ) -> Page[Notice]:
        """Lists notices newest first; those that all projects heard of if `owner_id` is None.

        With `own_only`, only those of changes in the project itself.
        """
        conditions, values = given_filters(("kind IS NOT DISTINCT FROM :kind", "kind", kind))
        if own_only:
            conditions += ("(project_id = owner_id) IS TRUE",)
        return await fetch_newest_of(
            self.session,
            _LISTED_NOTICES,
            owner_id,
            before=before,
            limit=limit,
            filters=(conditions, values),
        )

    async def purge(self, *, after: timedelta, limit: int) -> int:
        """Deletes notices older than that of which no delivery is left."""
        return await _purge(self.session, _PURGE_NOTICES, after, limit)


def _topic(owner_id: int, kind: str, subject_kind: str, subject_id: int) -> Topic:
    return Topic(owner_id, NoticeKind(kind), Subject(SubjectKind(subject_kind), subject_id))


def as_json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False)


async def _purge(session: AsyncSession, statement: Any, after: timedelta, limit: int) -> int:
    options = {ACROSS_SHARDS: "retention"}
    count = await session.scalar(
        statement, {"after": after, "limit": limit}, execution_options=options
    )
    return int(count or 0)
