"""Builds the queries of trigger lists in the order of ids, each over an index for its filters.

Firing a schedule writes to every index of `triggers`, so it has only those that an owner's lists
need. Tags and destinations have tables of their own. Names are compared one by one: those of an
owner in an index of another table, beside a type or a status in the rows.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from event_trigger.db.keyset import (
    SHARD_CONDITIONS,
    WITHIN_IDS,
    IdRange,
    NewestQuery,
    combinations,
    given_filters,
    ids_after,
    ids_before,
    index_range,
    newest_query,
    quoted_choices,
)
from event_trigger.db.listed_tables import ListedTable
from event_trigger.models import EVERY_SHARD, Trigger, TriggerStatus, TriggerType, shard_of
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus

IS_FAILING = "error IS NOT NULL"  # also counted by `GET /overview`: set aside, with the reason
LARGE, PAYLOAD = ("details", "payload"), "payload"
# columns that no answer shows
UNSHOWN = (
    "shard",
    "version",
    "in_force_after",
    "settled_until",
    "scheduled_count",
    "zone_rules",
    "excluded_days",
)
_MOST_NAMED = 2000  # triggers whose ids are given, or the ids of a limited key
_ONE_OWNER = "shard = :shard AND owner_id = :owner_id"
_OF_KEY = f"(SELECT * FROM triggers WHERE {_ONE_OWNER} AND key = :key LIMIT 1) AS triggers"  # noqa: S608
_IS_NAMED = "id = ANY (CAST(:ids AS bigint[]))"
_TAGGED = (
    "(SELECT shard, owner_id, tag, trigger_id AS id FROM trigger_tags) AS tagged"
    " JOIN triggers USING (shard, owner_id, id)"
)
_SENDING = (
    "(SELECT shard, owner_id, destination_id, trigger_id AS id FROM trigger_destinations) AS sent"
    " JOIN triggers USING (shard, owner_id, id)"
)
_SEARCHED = (
    "(SELECT shard, owner_id, trigger_id AS id, sort_name FROM trigger_sort_keys) AS searched"
    " JOIN triggers USING (shard, owner_id, id)"
)
_TAG, _DESTINATION = "CAST(:tag AS text)", "CAST(:destination_id AS bigint)"
_RESTING = {TriggerStatus.PAUSED, TriggerStatus.COMPLETED}
IS_SILENT = "silent_since IS NOT NULL"
_ACTIVE = "type = 'heartbeat' AND status = 'active'"
_IS_WAITING = "silent_since IS NULL AND last_ping_at IS NULL AND run_started_at IS NULL"
_EXPECTS = "silent_since IS NULL AND (last_ping_at IS NOT NULL OR run_started_at IS NOT NULL)"
# what `triggers/schedule/interval.py` accepts; anything else would fail the statement
_DURATION = r"^P([0-9.,]+W)?([0-9.,]+D)?(T([0-9.,]+H)?([0-9.,]+M)?([0-9.,]+S)?)?$"


@dataclass(frozen=True, slots=True)
class TriggerFilter:
    """Narrows a list of triggers; `q` is a part of the name, in upper or lower case.

    A trigger must have all `tags`: the list reads those of the first one, and compares the others.
    `ids` are those asked for that the caller may see. A trigger is `failing` if it was set aside
    with an `error`. The database's locale decides on case; every locale knows that of ASCII
    letters.
    """

    type: TriggerType | None = None
    status: TriggerStatus | None = None
    tags: tuple[str, ...] = ()
    q: str | None = None
    ids: Collection[int] | None = None
    key: str | None = None
    destination_id: int | None = None
    failing: bool | None = None
    heartbeat_status: HeartbeatStatus | None = None

    @property
    def shape(self) -> "TriggerFilter":
        """Returns the filter with values that stand for any: it has the same statements."""
        return replace(
            self,
            tags=("",) * len(self.tags),
            q=None if self.q is None else "",
            ids=None if self.ids is None else (),
            key=None if self.key is None else "",
            destination_id=None if self.destination_id is None else 0,
        )


@dataclass(frozen=True, slots=True)
class IdOrder:
    """The order of a list by id: from the newest to older ones, or ascending from the oldest.

    `last` is the last id of the page before.
    """

    last: int | None = None
    ascending: bool = False

    @property
    def ids(self) -> IdRange:
        return ids_after(self.last) if self.ascending else ids_before(self.last)


def listing(
    owner_id: int | None, wanted: TriggerFilter, order: IdOrder, *, summary: bool
) -> tuple[NewestQuery[Trigger], dict[str, Any]]:
    """Builds the statement and its values, for one owner or all; a summary has no payloads."""
    conditions, values = conditions_of(wanted)
    values |= order.ids.values
    if owner_id is not None:
        values |= {"shard": shard_of(owner_id), "owner_id": owner_id}
    part = _part(owner_id, wanted)
    listed = listed_triggers("id ASC" if order.ascending else "id DESC", summary=summary)
    listed = replace(listed, source=part.source)
    return newest_query(listed, part.ranges, (*conditions, *part.also), by=part.by), values


def listed_triggers(order: str, *, summary: bool) -> ListedTable[Trigger]:
    """Lists triggers as answers show them; a summary has no payloads."""
    return ListedTable(
        Trigger,
        order=order,
        large=tuple(one for one in LARGE if not summary or one != PAYLOAD),
        left_out=UNSHOWN,
        as_null=(PAYLOAD,) if summary else (),
        as_text=LARGE,
    )


def conditions_of(wanted: TriggerFilter) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Returns the conditions of a filter but type and status, and the values of all parameters.

    CASE hides a condition from the planner: it would guess too few rows, and read the whole table.
    """
    given, values = given_filters(
        (hidden("tags @> CAST(:tags AS text[])"), "tags", [*wanted.tags] or None),
        (has_part("lower(name)"), "q", _escaped(wanted.q)),
        (_IS_NAMED, "ids", None if wanted.ids is None else sorted(wanted.ids)),
        (hidden("key = :key"), "key", wanted.key),
        (
            hidden(f"destination_ids @> ARRAY[{_DESTINATION}]"),
            "destination_id",
            wanted.destination_id,
        ),
    )
    if wanted.tags:
        values["tag"] = wanted.tags[0]
    if wanted.failing is not None:
        given += (hidden(IS_FAILING if wanted.failing else f"NOT {IS_FAILING}"),)
    if wanted.heartbeat_status is not None:
        given += (has_status(wanted.heartbeat_status),)
    return given, values


def hidden(condition: str) -> str:
    return f"CASE WHEN {condition} THEN true END"


def has_part(lower_name: str) -> str:
    """Compares a name in lower case with the part `:q`."""
    return hidden(f"{lower_name} LIKE '%' || lower(:q) || '%' ESCAPE '/'")


def of_kind(wanted: TriggerFilter) -> tuple[str, ...]:
    return tuple(
        f"{column} = '{one}'"
        for column, one in (("status", wanted.status), ("type", wanted.type))
        if one is not None
    )


def kinds_of(wanted: TriggerFilter) -> list[tuple[str, str]]:
    """Returns each pair of a status and a type that a filter leaves, as SQL literals."""
    statuses = quoted_choices(wanted.status, TriggerStatus)
    return [*product(statuses, quoted_choices(wanted.type, TriggerType))]


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of the triggers that a list reads: ranges of an index, and further conditions.

    Each range is sorted by the columns `by` before the id.
    """

    ranges: tuple[str, ...]
    also: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    source: str | None = None


def _part(owner_id: int | None, wanted: TriggerFilter) -> _Part:
    """Chooses the index: of one trigger, of a few, or the one that leaves the fewest rows."""
    shards = SHARD_CONDITIONS if owner_id is None else ("shard = :shard",)
    whose = {} if owner_id is None else {"owner_id": ":owner_id"}
    also = (*of_kind(wanted), WITHIN_IDS)
    if wanted.key is not None:
        return _Part(("true",), also, source=_OF_KEY)
    if wanted.ids is not None:
        owned = EVERY_SHARD if owner_id is None else _ONE_OWNER
        named = f"SELECT * FROM triggers WHERE {owned} AND {_IS_NAMED} LIMIT {_MOST_NAMED}"  # noqa: S608
        return _Part(("true",), also, source=f"({named}) AS triggers")
    if (few := _few(wanted)) is not None:
        owned = few if owner_id is None else f"owner_id = :owner_id AND {few}"
        return _Part(combinations(shards, [owned]), also)
    found = {"destination_id": _DESTINATION} if wanted.destination_id is not None else {}
    found = found or ({"tag": _TAG} if wanted.tags else {})
    if found:
        begin = {**whose, **found}
        ranges, kinds = combinations(shards, [index_range(**begin)]), map(hidden, of_kind(wanted))
        source = _TAGGED if "tag" in found else _SENDING
        return _Part(ranges, (*kinds,), by=(*begin,), source=source)
    if wanted.q is not None and owner_id is not None and not of_kind(wanted):
        ranges = combinations(shards, [index_range(**whose)])
        return _Part(ranges, (has_part("sort_name"),), by=("owner_id",), source=_SEARCHED)
    return _of_kinds(owner_id, wanted)


def _few(wanted: TriggerFilter) -> str | None:
    """Returns the condition of an index that has few triggers, if the filter leaves only those."""
    if wanted.failing:
        return IS_FAILING
    return IS_SILENT if wanted.heartbeat_status is HeartbeatStatus.SILENT else None


def _of_kinds(owner_id: int | None, wanted: TriggerFilter) -> _Part:
    whose = {} if owner_id is None else {"owner_id": ":owner_id"}
    ranges = [index_range(**whose, status=status, type=kind) for status, kind in kinds_of(wanted)]
    by = (*whose, "status", "type")
    if owner_id is not None:
        return _Part(combinations(["shard = :shard"], ranges), by=by)
    if wanted.status in _RESTING:
        return _Part(combinations(SHARD_CONDITIONS, ["status <> 'active'"], ranges), by=by)
    # active triggers of all owners have no index by status: each firing would write to it
    return _Part(SHARD_CONDITIONS, (*of_kind(wanted), WITHIN_IDS))


def _escaped(q: str | None) -> str | None:
    return None if q is None else re.sub(r"([/%_])", r"/\1", q)


def _duration(member: str) -> str:
    """Reads a member of the details: minutes, or an ISO 8601 duration; else null."""
    written = f"details ->> '{member}'"
    seconds = f"extract(epoch FROM CAST(replace({written}, ',', '.') AS interval))"
    return (
        f"CASE WHEN json_typeof(details -> '{member}') = 'number'"
        f" THEN CAST({written} AS float8) * interval '1 minute'"
        f" WHEN {written} ~ '{_DURATION}' THEN {seconds} * interval '1 second' END"
    )


# a stored deadline is right for cron lines; after many pings in a row, that of an interval is not
_EXPECTED_AT = (
    f"CASE WHEN details ->> 'interval' IS NULL THEN next_fire_at - ({_duration('grace')})"
    f" ELSE anchor_at + ({_duration('interval')}) END"
)
_CONDITIONS: Mapping[HeartbeatStatus, tuple[str, str]] = {
    HeartbeatStatus.WAITING: (_ACTIVE, _IS_WAITING),
    HeartbeatStatus.ALIVE: (f"{_ACTIVE} AND {_EXPECTS}", f"now() <= {_EXPECTED_AT}"),
    HeartbeatStatus.LATE: (f"{_ACTIVE} AND {_EXPECTS}", f"now() > {_EXPECTED_AT}"),
    HeartbeatStatus.SILENT: (_ACTIVE, IS_SILENT),
    HeartbeatStatus.PAUSED: ("type = 'heartbeat'", "status = 'paused'"),
}


def has_status(wanted: HeartbeatStatus) -> str:
    """Returns the condition; only details of heartbeats are read, as CASE keeps the order."""
    known, condition = _CONDITIONS[wanted]
    return f"CASE WHEN {known} THEN {condition} END"
