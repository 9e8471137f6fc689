"""Builds the queries of trigger lists, each over an index that fits its filters.

Firing a schedule writes to every index of `triggers`, so it has only those that an owner's lists
need. Tags have a table of their own; names are compared row by row, in the order of the list.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from event_trigger.db.keyset import (
    SHARD_CONDITIONS,
    UP_TO_NEWEST,
    ListedTable,
    NewestQuery,
    combinations,
    given_filters,
    index_range,
    last_id_before,
    newest_query,
    quoted_choices,
)
from event_trigger.models import Trigger, TriggerStatus, TriggerType, shard_of

# CASE hides the condition from the planner: it would guess too few rows, and read the whole table
_NAMED = "CASE WHEN lower(name) LIKE '%' || lower(:q) || '%' ESCAPE '/' THEN true END"
_HAS_TAG = "CASE WHEN tags @> ARRAY[CAST(:tag AS text)] THEN true END"
_LISTED = ListedTable(Trigger, order="id DESC", large=("details", "payload"))
_TAGGED = replace(
    _LISTED,
    source="(SELECT shard, owner_id, tag, trigger_id AS id FROM trigger_tags) AS tagged"
    " JOIN triggers USING (shard, owner_id, id)",
)
_RESTING = {TriggerStatus.PAUSED, TriggerStatus.COMPLETED}


@dataclass(frozen=True, slots=True)
class TriggerFilter:
    """Narrows a list of triggers; `q` is a part of the name, in upper or lower case.

    The database's locale decides on case; every locale knows that of ASCII letters.
    """

    type: TriggerType | None = None
    status: TriggerStatus | None = None
    tag: str | None = None
    q: str | None = None
    ids: Collection[int] | None = None


def listing(
    owner_id: int | None, wanted: TriggerFilter, before: int | None
) -> tuple[NewestQuery[Trigger], dict[str, Any]]:
    """Builds the statement and its values, for one owner or all, for ids below `before` or all."""
    whose = {} if owner_id is None else {"shard": shard_of(owner_id), "owner_id": owner_id}
    conditions, values = given_filters(
        (_HAS_TAG, "tag", wanted.tag),
        (_NAMED, "q", _escaped(wanted.q)),
        ("id = ANY (CAST(:ids AS bigint[]))", "ids", wanted.ids and sorted(wanted.ids)),
    )
    values |= {"newest": last_id_before(before), **whose}
    kinds = list(
        product(
            quoted_choices(wanted.status, TriggerStatus), quoted_choices(wanted.type, TriggerType)
        )
    )
    of_kind = tuple(
        f"{column} = '{one}'"
        for column, one in (("status", wanted.status), ("type", wanted.type))
        if one is not None
    )
    if owner_id is None and wanted.status in _RESTING:
        resting = [index_range(status=one, type=kind) for one, kind in kinds]
        ranges = combinations(SHARD_CONDITIONS, ["status <> 'active'"], resting)
        return newest_query(_LISTED, ranges, conditions, by=("status", "type")), values
    if wanted.tag is not None:
        ranges, by = _tagged(owner_id)
        return newest_query(_TAGGED, ranges, (*conditions, *of_kind), by=by), values
    if owner_id is not None:
        owned = [index_range(owner_id=":owner_id", status=one, type=kind) for one, kind in kinds]
        ranges = combinations(["shard = :shard"], owned)
        return newest_query(_LISTED, ranges, conditions, by=("owner_id", "status", "type")), values
    # active triggers of all owners have no index by status: each firing would write to it
    return newest_query(_LISTED, SHARD_CONDITIONS, (*conditions, *of_kind, UP_TO_NEWEST)), values


def _tagged(owner_id: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tag = "CAST(:tag AS text)"
    if owner_id is None:
        return combinations(SHARD_CONDITIONS, [index_range(tag=tag)]), ("tag",)
    return combinations(["shard = :shard"], [index_range(owner_id=":owner_id", tag=tag)]), (
        "owner_id",
        "tag",
    )


def _escaped(q: str | None) -> str | None:
    return None if q is None else re.sub(r"([/%_])", r"/\1", q)
