"""Builds the queries of delivery lists, each over an index for its filters."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from event_trigger.db.keyset import (
    SHARD_CONDITIONS,
    WITHIN_IDS,
    IdRange,
    NewestQuery,
    combinations,
    given_filters,
    index_range,
    newest_query,
    quoted_choices,
)
from event_trigger.db.listed_tables import ListedTable
from event_trigger.models import NOT_OF_DELETED_PROJECTS, Delivery, DeliveryError, DeliveryStatus

# a payload has up to 2 MiB, and no endpoint of deliveries shows it
_LISTED_DELIVERIES = ListedTable(Delivery, order="id DESC", left_out=("payload",))


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    event_id: int | None = None
    trigger_id: int | None = None
    destination_id: int | None = None
    statuses: frozenset[DeliveryStatus] | None = None
    error: DeliveryError | None = None
    since: datetime | None = None
    until: datetime | None = None
    trigger_ids: Collection[int] | None = None
    notice_id: int | None = None

    @property
    def carried_id(self) -> int | None:
        """The id of the wanted event or notice: deliveries of either have it as `event_id`."""
        return self.notice_id if self.event_id is None else self.event_id

    @property
    def kept_statuses(self) -> frozenset[DeliveryStatus] | None:
        """The statuses that the wanted deliveries can have: one with an error has not arrived."""
        if self.error is None:
            return self.statuses
        wanted = self.statuses or frozenset(DeliveryStatus)
        if self.error is DeliveryError.CANCELLED:
            return wanted & {DeliveryStatus.EXHAUSTED}
        return wanted - {DeliveryStatus.DELIVERED}

    @property
    def stored_error(self) -> DeliveryError | None:
        return None if self.error is DeliveryError.CANCELLED else self.error


def listing(
    wanted: DeliveryFilter,
    *,
    owner_id: int | None,
    shard: int | None,
    ids: IdRange,
) -> tuple[NewestQuery[Delivery], dict[str, Any]]:
    """Builds the query of a page: one lane for each shard and status, unless for one event
    or notice.

    These have few deliveries, so they need no ranges. `shard` limits an admin's query, which has
    no owner, to one shard; None means all shards. No condition beside a range is an equality of
    its columns: PostgreSQL would begin with the newest of all statuses, and read them all.
    """
    conditions, values = given_filters(
        ("owner_id IS NOT DISTINCT FROM :owner_id", "owner_id", owner_id),
        ("event_id = :event_id", "event_id", wanted.carried_id),
        ("trigger_id IS NOT DISTINCT FROM :trigger_id", "trigger_id", wanted.trigger_id),
        (
            *("destination_id IS NOT DISTINCT FROM :destination_id", "destination_id"),
            wanted.destination_id,
        ),
        ("(trigger_id = ANY (CAST(:ids AS bigint[]))) IS TRUE", "ids", _ids(wanted)),
        ("error IS NOT DISTINCT FROM :error", "error", wanted.stored_error),
        ("triggered_at >= :since", "since", wanted.since),
        ("triggered_at < :until", "until", wanted.until),
    )
    if wanted.error is DeliveryError.CANCELLED:
        conditions += ("error IS NULL",)
    if wanted.event_id is not None:
        conditions += ("subject IS NULL",)
    if wanted.notice_id is not None:
        conditions += ("subject IS NOT NULL",)
    if owner_id is None:
        conditions += (NOT_OF_DELETED_PROJECTS,)
    values |= ids.values
    where = SHARD_CONDITIONS if shard is None else ("shard = :shard",)
    if shard is not None:
        values["shard"] = shard
    by, statuses = _index_prefix(owner_id, wanted), wanted.kept_statuses
    if by is None:
        if statuses is not None:
            conditions += ("status = ANY (CAST(:statuses AS text[]))",)
            values["statuses"] = sorted(statuses)
        return newest_query(_LISTED_DELIVERIES, where, (*conditions, WITHIN_IDS)), values
    begin = {name: f":{name}" for name in by}
    ranges = combinations(
        where,
        [index_range(**begin, status=one) for one in quoted_choices(statuses, DeliveryStatus)],
    )
    return newest_query(_LISTED_DELIVERIES, ranges, conditions, by=(*by, "status")), values


def _index_prefix(owner_id: int | None, wanted: DeliveryFilter) -> tuple[str, ...] | None:
    """Returns the columns before `status` in the index for the filter; None for no index."""
    if wanted.carried_id is not None:
        return None
    if wanted.trigger_id is not None:
        return ("trigger_id",)
    if wanted.destination_id is not None:
        return ("destination_id",)
    if owner_id is not None:
        return ("owner_id",)
    return () if wanted.kept_statuses is not None else None


def _ids(wanted: DeliveryFilter) -> list[int] | None:
    return None if wanted.trigger_ids is None else sorted(wanted.trigger_ids)
