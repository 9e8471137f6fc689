"""Locks, reads and changes many triggers of one project, a few statements for hundreds of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from event_trigger.models import Trigger, TriggerTag, shard_of
from event_trigger.triggers.list_tables import forget_triggers, name_destinations

_LOCK = text("""
    SELECT id FROM triggers
    WHERE shard = :shard AND owner_id = :owner_id AND id = ANY (CAST(:ids AS bigint[]))
    ORDER BY id FOR NO KEY UPDATE
""")
_LIST_IDS = text("""
    SELECT id FROM triggers
    WHERE shard = :shard AND owner_id = :owner_id AND id = ANY (CAST(:ids AS bigint[]))
    ORDER BY id
""")
_SAVE_SCHEDULES = text("""
    UPDATE triggers SET status = planned.status, next_fire_at = planned.next_fire_at,
        settled_until = planned.settled_until, error = planned.error,
        zone_rules = planned.zone_rules, updated_at = planned.updated_at,
        anchor_at = planned.anchor_at
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:statuses AS text[]), CAST(:next_fire_ats AS timestamptz[]),
        CAST(:settled_untils AS timestamptz[]), CAST(:errors AS text[]),
        CAST(:zone_rules AS text[]), CAST(:updated_ats AS timestamptz[]),
        CAST(:anchors AS timestamptz[])
    ) AS planned (
        id, status, next_fire_at, settled_until, error, zone_rules, updated_at, anchor_at)
    WHERE triggers.shard = :shard AND triggers.id = planned.id
""")
_CHANGE = """
    UPDATE triggers SET {column} = {value}, updated_at = :now, loop_refused_at = NULL
    WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))
"""
_TAG = text(
    _CHANGE.format(
        column="tags",
        value="""tags || ARRAY(
            SELECT tag FROM unnest(CAST(:tags AS text[])) WITH ORDINALITY AS added (tag, place)
            WHERE tag <> ALL (triggers.tags) ORDER BY place)""",
    )
)
_UNTAG = text(
    _CHANGE.format(
        column="tags",
        value="""ARRAY(
            SELECT tag FROM unnest(triggers.tags) WITH ORDINALITY AS present (tag, place)
            WHERE tag <> ALL (CAST(:tags AS text[])) ORDER BY place)""",
    )
)
_SET_DESTINATIONS = text(
    _CHANGE.format(column="destination_ids", value="CAST(:destinations AS bigint[])")
)
_INSERT_TAGS = text("""
    INSERT INTO trigger_tags (shard, owner_id, tag, trigger_id)
    SELECT CAST(:shard AS smallint), CAST(:owner_id AS bigint), added.tag, tagged.id
    FROM unnest(CAST(:tags AS text[])) AS added (tag)
    CROSS JOIN unnest(CAST(:ids AS bigint[])) AS tagged (id)
    ON CONFLICT (shard, owner_id, tag, trigger_id) DO NOTHING
""")


@dataclass(frozen=True)
class ManyTriggers:
    """Triggers of one project; those that are changed must have been locked."""

    session: AsyncSession
    owner_id: int

    @property
    def _whose(self) -> dict[str, int]:
        return {"shard": shard_of(self.owner_id), "owner_id": self.owner_id}

    async def list_ids(self, ids: Sequence[int], *, lock: bool) -> list[int]:
        """Returns the ids that exist, in order; with `lock`, nobody else changes or fires them."""
        statement = _LOCK if lock else _LIST_IDS
        return [*await self.session.scalars(statement, {**self._whose, "ids": ids})]

    async def read(self, ids: Sequence[int]) -> Sequence[Trigger]:
        """Reads triggers without their payloads, detached: changing them stores nothing."""
        statement = (
            select(Trigger)
            .where(
                Trigger.shard == shard_of(self.owner_id),
                Trigger.owner_id == self.owner_id,
                Trigger.id.in_(ids),
            )
            .order_by(Trigger.id)
            .options(defer(Trigger.payload, raiseload=True))
            .execution_options(populate_existing=True)
        )
        found = (await self.session.scalars(statement)).all()
        for one in found:
            self.session.expunge(one)
        return found

    async def save_schedules(self, triggers: Sequence[Trigger]) -> None:
        """Stores status, next instant and the rest of what a pause or a resumption changes."""
        wanted = {
            "shard": shard_of(self.owner_id),
            "ids": [one.id for one in triggers],
            "statuses": [one.status for one in triggers],
            "next_fire_ats": [one.next_fire_at for one in triggers],
            "settled_untils": [one.settled_until for one in triggers],
            "errors": [one.error for one in triggers],
            "zone_rules": [one.zone_rules for one in triggers],
            "updated_ats": [one.updated_at for one in triggers],
            "anchors": [one.anchor_at for one in triggers],
        }
        await self.session.execute(_SAVE_SCHEDULES, wanted)

    async def tag(self, ids: Sequence[int], tags: Sequence[str], *, now: datetime) -> None:
        wanted = {**self._whose, "ids": ids, "tags": tags, "now": now}
        await self.session.execute(_TAG, wanted)
        await self.session.execute(_INSERT_TAGS, wanted)

    async def untag(self, ids: Sequence[int], tags: Sequence[str], *, now: datetime) -> None:
        wanted = {**self._whose, "ids": ids, "tags": tags, "now": now}
        await self.session.execute(_UNTAG, wanted)
        await self._delete_tags(ids, tags)

    async def set_destinations(
        self, ids: Sequence[int], destinations: Sequence[int], *, now: datetime
    ) -> None:
        wanted = {**self._whose, "ids": ids, "destinations": destinations, "now": now}
        await self.session.execute(_SET_DESTINATIONS, wanted)
        await name_destinations(self.session, self.owner_id, ids, destinations)

    async def delete(self, triggers: Sequence[Trigger]) -> None:
        ids = [one.id for one in triggers]
        await self.session.execute(
            delete(Trigger).where(
                Trigger.shard == shard_of(self.owner_id),
                Trigger.owner_id == self.owner_id,
                Trigger.id.in_(ids),
            )
        )
        await self._delete_tags(ids, sorted({tag for one in triggers for tag in one.tags}))
        await forget_triggers(self.session, self.owner_id, ids)

    async def _delete_tags(self, ids: Sequence[int], tags: Sequence[str]) -> None:
        if not tags:
            return
        await self.session.execute(
            delete(TriggerTag).where(
                TriggerTag.shard == shard_of(self.owner_id),
                TriggerTag.owner_id == self.owner_id,
                TriggerTag.tag.in_(tags),
                TriggerTag.trigger_id.in_(ids),
            )
        )
