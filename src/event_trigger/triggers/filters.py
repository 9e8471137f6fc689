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
    EACH_SHARD,
    UP_TO_NEWEST,
    Listed,
    Newest,
    asked,
    cross,
    newest,
    one_of,
    stretch,
    up_to,
)
from event_trigger.models import Trigger, TriggerStatus, TriggerType, shard_of

# CASE hides the condition from the planner: it would guess too few rows, and read the whole table
_NAMED = "CASE WHEN lower(name) LIKE '%' || lower(:q) || '%' ESCAPE '/' THEN true END"
_HAS_TAG = "CASE WHEN tags @> ARRAY[CAST(:tag AS text)] THEN true END"
_LISTED = Listed(Trigger, order="id DESC", large=("details", "payload"))
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
) -> tuple[Newest[Trigger], dict[str, Any]]:
    """Builds the statement and its values, for one owner or all, for ids below `before` or all."""
    whose = {} if owner_id is None else {"shard": shard_of(owner_id), "owner_id": owner_id}
    conditions, values = asked(
        (_HAS_TAG, "tag", wanted.tag),
        (_NAMED, "q", _escaped(wanted.q)),
        ("id = ANY (CAST(:ids AS bigint[]))", "ids", wanted.ids and sorted(wanted.ids)),
    )
    values |= {"newest": up_to(before), **whose}
    kinds = list(product(one_of(wanted.status, TriggerStatus), one_of(wanted.type, TriggerType)))
    of_kind = tuple(
        f"{column} = '{one}'"
        for column, one in (("status", wanted.status), ("type", wanted.type))
        if one is not None
    )
    if owner_id is None and wanted.status in _RESTING:
        resting = [stretch(status=one, type=kind) for one, kind in kinds]
        lanes = cross(EACH_SHARD, ["status <> 'active'"], resting)
        return newest(_LISTED, lanes, conditions, by=("status", "type")), values
    if wanted.tag is not None:
        lanes, by = _tagged(owner_id)
        return newest(_TAGGED, lanes, (*conditions, *of_kind), by=by), values
    if owner_id is not None:
        owned = [stretch(owner_id=":owner_id", status=one, type=kind) for one, kind in kinds]
        lanes = cross(["shard = :shard"], owned)
        return newest(_LISTED, lanes, conditions, by=("owner_id", "status", "type")), values
    # active triggers of all owners have no index by status: each firing would write to it
    return newest(_LISTED, EACH_SHARD, (*conditions, *of_kind, UP_TO_NEWEST)), values


def _tagged(owner_id: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tag = "CAST(:tag AS text)"
    if owner_id is None:
        return cross(EACH_SHARD, [stretch(tag=tag)]), ("tag",)
    return cross(["shard = :shard"], [stretch(owner_id=":owner_id", tag=tag)]), ("owner_id", "tag")


def _escaped(q: str | None) -> str | None:
    return None if q is None else re.sub(r"([/%_])", r"/\1", q)
