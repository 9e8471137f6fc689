"""Lists the triggers that a query selects, in the order that it names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from event_trigger.auth.principal import Principal
from event_trigger.db.keyset import Page, fetch_ids, fetch_newest_rows, rows_that_fit
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.db.transactions import use_generic_plan, use_plans_along_indexes
from event_trigger.errors import FieldError, Invalid
from event_trigger.models import EVERY_SHARD, TriggerStatus, TriggerType, shard_of
from event_trigger.triggers.filters import IdOrder, TriggerFilter, listing
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus
from event_trigger.triggers.schemas.requests import TriggerListQuery, TriggerQuery
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.sorting import (
    MOST_SORTED,
    Candidates,
    SortedQuery,
    SortPosition,
    TriggerSort,
    counts_of,
    pages_of,
)
from event_trigger.web.pagination import PageQuery
from event_trigger.web.schemas import View

_SIZE_AT = len(TriggerRow._fields)  # after it comes the value that a row is sorted by
_OWNER_OF_DESTINATION = text(f"SELECT owner_id FROM destinations WHERE {EVERY_SHARD} AND id = :id")  # noqa: S608
_COUNT_FEW_TAGGED = text("""
    SELECT count(*) FROM (
        SELECT FROM trigger_tags
        WHERE shard = :shard AND owner_id = :owner_id AND tag = :tag LIMIT :most
    ) AS few
""")


async def list_page(
    session: ReadSession, principal: Principal, query: TriggerListQuery, paging: PageQuery
) -> Sequence[TriggerRow]:
    """Reads a page, and adds the link to the next one.

    Raises Invalid for a question about all projects that has no index.
    """
    wanted, project_id = filter_of(principal, query), principal.project_id
    summary = query.view is View.SUMMARY
    if query.key is not None and project_id is None:
        raise _of_one_project("key", "A key is unique in its project only.")
    if query.sort.is_by_id:
        order = _id_order(query.sort, paging)
        page = await TriggersById(session).list_page(
            project_id, wanted, order, limit=paging.limit, summary=summary
        )
        return paging.rows_of(page, lambda one: _id_position(query.sort, one.id))
    if project_id is None:
        raise _of_one_project("sort", "Lists of all projects are sorted by id or -id.")
    kind = str if query.sort.column == "name" else datetime
    found = paging.after(query.sort, kind)
    after = None if found is None else SortPosition(*found)
    found_page = await SortedTriggers(session, project_id).list_page(
        wanted, query.sort, after=after, limit=paging.limit, summary=summary
    )
    rows = paging.rows_of(found_page, lambda one: (query.sort.value, *one.position))
    return [one.trigger for one in rows]


def filter_of(principal: Principal, query: TriggerQuery) -> TriggerFilter:
    """Makes the filter of a query, within the triggers that the caller may see."""
    wanted = TriggerFilter(
        type=query.type,
        status=query.status,
        tags=tuple(dict.fromkeys(query.tag or ())),
        q=query.q,
        ids=principal.visible_among(query.id),
        key=query.key,
        destination_id=query.destination_id,
        failing=query.failing,
        heartbeat_status=query.heartbeat_status,
    )
    return wanted if query.heartbeat_status is None else _of_heartbeats(wanted)


def _of_heartbeats(wanted: TriggerFilter) -> TriggerFilter:
    """Adds the type and the status of the trigger that go with the status of a heartbeat."""
    is_paused = wanted.heartbeat_status is HeartbeatStatus.PAUSED
    status = TriggerStatus.PAUSED if is_paused else TriggerStatus.ACTIVE
    if wanted.type not in {None, TriggerType.HEARTBEAT} or wanted.status not in {None, status}:
        return replace(wanted, ids=())  # no trigger is both
    return replace(wanted, type=TriggerType.HEARTBEAT, status=status)


def _of_one_project(parameter: str, why: str) -> Invalid:
    detail = f"{why} Name a project in X-Project-ID."
    return Invalid(detail, errors=[FieldError("parameter", parameter, detail)])


def _id_order(sort: TriggerSort, paging: PageQuery) -> IdOrder:
    if sort is TriggerSort.NEWEST:
        return IdOrder(paging.before_id())
    after = paging.after(sort, None)
    return IdOrder(None if after is None else after[1], ascending=True)


def _id_position(sort: TriggerSort, row_id: int) -> int | tuple[str, None, int]:
    return row_id if sort is TriggerSort.NEWEST else (sort.value, None, row_id)


class SortedTrigger(NamedTuple):
    """A row of a page, and its place in the list."""

    position: SortPosition
    trigger: TriggerRow


@dataclass(frozen=True)
class SortedTriggers:
    """The triggers of one project; up to `most_sorted` are sorted, more are read along an index."""

    session: ReadSession
    owner_id: int
    most_sorted: int = MOST_SORTED

    async def list_page(
        self,
        wanted: TriggerFilter,
        sort: TriggerSort,
        *,
        after: SortPosition | None,
        limit: int,
        summary: bool = False,
    ) -> Page[SortedTrigger]:
        """Lists the triggers after a position, once it knows whether filters leave only few."""
        await use_plans_along_indexes(self.session)
        query = SortedQuery(wanted, sort, after, summary)
        found: list[Any] = []
        few = await self._find_few(query)
        for statement in pages_of(query.shape, few):
            values = self._values(query, most=limit + 1 - len(found))
            found += (await self.session.execute(statement, values)).all()
            if len(found) > limit:
                break
        fitting = rows_that_fit([one[_SIZE_AT] for one in found], limit=limit)
        page = [_sorted_trigger(one) for one in found[:fitting]]
        return Page(page, more=len(found) > fitting)

    async def _find_few(self, query: SortedQuery) -> Candidates | None:
        for one, counting in counts_of(query.wanted.shape):
            values = self._values(query, most=self.most_sorted + 1)
            count = await self.session.scalar(counting, values)
            if int(count or 0) <= self.most_sorted:
                return one
        return None

    def _values(self, query: SortedQuery, *, most: int) -> dict[str, Any]:
        owned = {"shard": shard_of(self.owner_id), "owner_id": self.owner_id}
        return query.values | owned | {"most": most}


def _sorted_trigger(row: Sequence[Any]) -> SortedTrigger:
    trigger = TriggerRow(*row[:_SIZE_AT])
    return SortedTrigger(SortPosition(row[_SIZE_AT + 1], trigger.id), trigger)


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
