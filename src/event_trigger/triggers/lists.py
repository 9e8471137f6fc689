"""Lists the triggers that a query selects, in the order that it names."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from event_trigger.auth.principal import Principal
from event_trigger.db.plain_session import ReadSession
from event_trigger.errors import FieldError, Invalid
from event_trigger.models import TriggerStatus, TriggerType
from event_trigger.triggers.filters import IdOrder, TriggerFilter
from event_trigger.triggers.listed_by_id import TriggersById
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus
from event_trigger.triggers.schemas.queries import TriggerListQuery, TriggerQuery
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.sorted_lists import SortedTriggers
from event_trigger.triggers.sorting import SortPosition, TriggerSort
from event_trigger.web.pagination import PageQuery
from event_trigger.web.schemas import View


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
