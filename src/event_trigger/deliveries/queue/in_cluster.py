"""Records attempts in a cluster, with a statement for each table.

A single one, as on one server, would send what it has updated to every node, and so fail while one
is away.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import text

from event_trigger.db.citus.few_rows import FewRows
from event_trigger.db.citus.minutes import Counted, count_by_minute
from event_trigger.db.plain_session import ReadSession
from event_trigger.models import CountedMeasure, DeliveryError, DeliveryStatus
from event_trigger.models.minute_count import NO_DURATION, bucket_holding

_UPDATE = text("""
    UPDATE deliveries SET
        status = outcomes.status, attempt_count = deliveries.attempt_count + 1,
        tries = deliveries.tries + outcomes.cost, leased_until = NULL, error = outcomes.error,
        next_attempt_at = outcomes.next_attempt_at, finished_at = outcomes.finished_at
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:leases AS bigint[]), CAST(:statuses AS text[]),
        CAST(:next_attempt_ats AS timestamptz[]), CAST(:finished_ats AS timestamptz[]),
        CAST(:errors AS text[]), CAST(:costs AS int[])
    ) AS outcomes (id, lease, status, next_attempt_at, finished_at, error, cost)
    WHERE deliveries.shard = :shard AND deliveries.id = outcomes.id
        AND deliveries.lease = outcomes.lease AND deliveries.leased_until IS NOT NULL
    RETURNING deliveries.id, deliveries.owner_id, deliveries.destination_id,
        deliveries.attempt_count
""")
_ADD_ATTEMPTS = FewRows(
    """
    INSERT INTO delivery_attempts
        (shard, delivery_id, number, attempted_at, duration_ms, status_code, error, response,
        reason, location)
    """,
    """(
    CAST(:shard AS smallint), (CAST(:ids AS bigint[]))[{place}],
    (CAST(:numbers AS bigint[]))[{place}], (CAST(:attempted_ats AS timestamptz[]))[{place}],
    (CAST(:durations AS float8[]))[{place}], (CAST(:status_codes AS bigint[]))[{place}],
    (CAST(:errors AS text[]))[{place}], (CAST(:responses AS text[]))[{place}],
    (CAST(:reasons AS text[]))[{place}], (CAST(:locations AS text[]))[{place}])""",
)


class Outcome(Protocol):
    """The parts of an attempt's outcome that are recorded."""

    @property
    def delivery_id(self) -> int: ...
    @property
    def lease(self) -> int: ...
    @property
    def status(self) -> DeliveryStatus: ...
    @property
    def next_attempt_at(self) -> datetime | None: ...
    @property
    def finished_at(self) -> datetime | None: ...
    @property
    def attempted_at(self) -> datetime: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def status_code(self) -> int | None: ...
    @property
    def error(self) -> DeliveryError | None: ...
    @property
    def response(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def location(self) -> str | None: ...
    @property
    def cost(self) -> int: ...


class _Attempt(NamedTuple):
    """An attempt to be stored; an interrupted one has no answer."""

    delivery_id: int
    owner_id: int
    destination_id: int
    number: int
    attempted_at: datetime
    duration_ms: float | None = None
    status_code: int | None = None
    error: DeliveryError | None = None
    response: str | None = None
    reason: str | None = None
    location: str | None = None


async def record(session: ReadSession, shard: int, outcomes: Sequence[Outcome]) -> set[int]:
    """Records the outcomes whose lease is still valid; gives their deliveries' ids."""
    values = {
        "shard": shard,
        "ids": [one.delivery_id for one in outcomes],
        "leases": [one.lease for one in outcomes],
        "statuses": [one.status for one in outcomes],
        "next_attempt_ats": [one.next_attempt_at for one in outcomes],
        "finished_ats": [one.finished_at for one in outcomes],
        "errors": [one.error for one in outcomes],
        "costs": [one.cost for one in outcomes],
    }
    of_delivery = {one.delivery_id: one for one in outcomes}
    attempts = []
    for id_, owner_id, destination_id, number in await session.execute(_UPDATE, values):
        one = of_delivery[id_]
        attempts.append(
            _Attempt(
                *(id_, owner_id, destination_id, number, one.attempted_at, one.duration_ms),
                *(one.status_code, one.error, one.response, one.reason, one.location),
            )
        )
    await _store(session, shard, attempts)
    return {one.delivery_id for one in attempts}


def interrupting(condition: str) -> str:
    """Returns SQL that ends leases, so that their deliveries are due again."""
    return f"""
        UPDATE deliveries SET leased_until = NULL, next_attempt_at = now(),
            attempt_count = attempt_count + 1
        WHERE shard = :shard AND leased_until IS NOT NULL AND {condition}
        RETURNING id, owner_id, destination_id, attempt_count, leased_at AS attempted_at
    """  # noqa: S608


async def interrupt(
    session: ReadSession, shard: int, condition: str, wanted: Mapping[str, Sequence[int]]
) -> None:
    """Ends leases, and records their attempts as interrupted."""
    rows = await session.execute(text(interrupting(condition)), {"shard": shard, **wanted})
    attempts = [
        _Attempt(id_, owner_id, destination_id, number, at, error=DeliveryError.INTERRUPTED)
        for id_, owner_id, destination_id, number, at in rows
    ]
    await _store(session, shard, attempts)


async def _store(session: ReadSession, shard: int, attempts: Sequence[_Attempt]) -> None:
    if not attempts:
        return
    columns: dict[str, Sequence[Any]] = {
        "ids": [one.delivery_id for one in attempts],
        "numbers": [one.number for one in attempts],
        "attempted_ats": [one.attempted_at for one in attempts],
        "durations": [one.duration_ms for one in attempts],
        "status_codes": [one.status_code for one in attempts],
        "errors": [one.error for one in attempts],
        "responses": [one.response for one in attempts],
        "reasons": [one.reason for one in attempts],
        "locations": [one.location for one in attempts],
    }
    await _ADD_ATTEMPTS.insert_all(session, columns, shard=shard)
    counted = [
        Counted(
            one.owner_id,
            one.error or DeliveryStatus.DELIVERED,
            minute=one.attempted_at.replace(second=0, microsecond=0),
            destination_id=one.destination_id,
            bucket=NO_DURATION if one.duration_ms is None else bucket_holding(one.duration_ms),
            duration_ms=one.duration_ms,
        )
        for one in attempts
    ]
    await count_by_minute(session, shard, CountedMeasure.ATTEMPTS, counted)
