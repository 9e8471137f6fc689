"""Stores notices with their deliveries, lists and purges them; keeps the list of who listens."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_newest_of, given_filters
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import (
    NOTICE_TYPE,
    Destination,
    Notice,
    NoticeKind,
    NoticeListener,
)

_LISTED_NOTICES = ListedTable(Notice, order="id DESC")
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
        return await purge_rows(self.session, _PURGE_NOTICES, after, limit)


def as_json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False)


async def purge_rows(session: AsyncSession, statement: Any, after: timedelta, limit: int) -> int:
    options = {ACROSS_SHARDS: "retention"}
    count = await session.scalar(
        statement, {"after": after, "limit": limit}, execution_options=options
    )
    return int(count or 0)


async def keep_listeners(
    session: AsyncSession, destinations: Sequence[Destination], *, admin_id: int | None
) -> None:
    """Puts destinations that hear of something on the list, and takes the others off it.

    `admin_id` is the admin who lets those with `all_projects` hear of all projects.
    """
    hearing = [
        {
            "destination_id": one.id,
            "owner_id": one.owner_id,
            "hears": one.notices,
            "user_id": admin_id if one.all_projects else None,
        }
        for one in destinations
        if one.notices and one.deleted_at is None
    ]
    listed = {one["destination_id"] for one in hearing}
    if deaf := [one.id for one in destinations if one.id not in listed]:
        await session.execute(delete(NoticeListener).where(NoticeListener.destination_id.in_(deaf)))
    if hearing:
        new = insert(NoticeListener)
        replaced = {name: new.excluded[name] for name in ("owner_id", "hears", "user_id")}
        await session.execute(
            new.on_conflict_do_update(index_elements=["destination_id"], set_=replaced), hearing
        )
