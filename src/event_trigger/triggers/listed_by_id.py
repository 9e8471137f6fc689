"""Lists triggers in the order of ids, of one project or of all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import text

from event_trigger.db.keyset import Page, fetch_ids, fetch_newest_rows
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.planning import use_generic_plan
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import EVERY_SHARD, shard_of
from event_trigger.triggers.filters import IdOrder, TriggerFilter, listing
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.sorting import MOST_SORTED

_OWNER_OF_DESTINATION = text(f"SELECT owner_id FROM destinations WHERE {EVERY_SHARD} AND id = :id")  # noqa: S608
_COUNT_FEW_TAGGED = text("""
    SELECT count(*) FROM (
        SELECT FROM trigger_tags
        WHERE shard = :shard AND owner_id = :owner_id AND tag = :tag LIMIT :most
    ) AS few
""")


@dataclass(frozen=True)
class TriggersById:
    session: ReadSession

    async def list_page(
        self,
        owner_id: int | None,
        wanted: TriggerFilter,
        order: IdOrder,
        *,
        limit: int,
        summary: bool = False,
    ) -> Page[TriggerRow]:
        """Lists triggers in the order of ids; those of all owners if `owner_id` is None."""
        if wanted.destination_id is not None and owner_id is None:
            owner_id = await self._get_destination_owner(wanted.destination_id)
        wanted = await self._planned_well(owner_id, wanted)
        statement, values = listing(owner_id, wanted, order, summary=summary)
        options = {ACROSS_SHARDS: "admin reads"} if owner_id is None else {}
        await use_generic_plan(self.session)
        page = await fetch_newest_rows(
            self.session, statement, values, limit=limit, options=options
        )
        return Page([TriggerRow(*one[: statement.size_at]) for one in page.rows], page.more)

    async def select_ids(self, owner_id: int, wanted: TriggerFilter, *, limit: int) -> list[int]:
        """Returns the ids of the owner's newest triggers that the filter selects."""
        wanted = await self._planned_well(owner_id, wanted)
        query, values = listing(owner_id, wanted, IdOrder(), summary=True)
        return await fetch_ids(self.session, query, values, limit=limit)

    async def _planned_well(self, owner_id: int | None, wanted: TriggerFilter) -> TriggerFilter:
        """Puts the rarest of several tags first: the list reads the triggers that have it."""
        if len(wanted.tags) < 2 or owner_id is None:
            return wanted
        return replace(wanted, tags=await self._rarest_first(owner_id, wanted.tags))

    async def _get_destination_owner(self, destination_id: int) -> int:
        """Finds the only owner whose triggers can name a destination; 0 if there is none."""
        options = {ACROSS_SHARDS: "admin reads"}
        found = await self.session.scalar(
            _OWNER_OF_DESTINATION, {"id": destination_id}, execution_options=options
        )
        return int(found or 0)

    async def _rarest_first(self, owner_id: int, tags: Sequence[str]) -> tuple[str, ...]:
        """Sorts tags by the number of their triggers, counted up to a limit."""
        owned = {"shard": shard_of(owner_id), "owner_id": owner_id, "most": MOST_SORTED}
        counts = {
            tag: await self.session.scalar(_COUNT_FEW_TAGGED, {**owned, "tag": tag}) for tag in tags
        }
        return tuple(sorted(tags, key=lambda tag: counts[tag]))
