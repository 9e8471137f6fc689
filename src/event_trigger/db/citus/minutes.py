"""Adds to the counts by minute in a cluster.

There, a statement that stores rows and counts them sends the rows to every node, and so fails while
one is away.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from event_trigger.db.citus.few_rows import FewRows
from event_trigger.db.plain_session import ReadSession
from event_trigger.models import CountedMeasure
from event_trigger.models.minute_count import NO_DURATION, OWN_PART, add_to_minutes, minute_of

_INSERT, _, _ON_CONFLICT = add_to_minutes("VALUES").partition("VALUES")
_ADD = FewRows(
    _INSERT,
    f"""(
    CAST(:shard AS smallint), (CAST(:owner_ids AS bigint[]))[{{place}}], CAST(:measure AS text),
    coalesce((CAST(:minutes AS timestamptz[]))[{{place}}], {minute_of("now()")}),
    (CAST(:series AS text[]))[{{place}}], (CAST(:destination_ids AS bigint[]))[{{place}}],
    (CAST(:buckets AS smallint[]))[{{place}}], {OWN_PART},
    (CAST(:counts AS bigint[]))[{{place}}], (CAST(:longest AS float8[]))[{{place}}])""",
    _ON_CONFLICT,
)


class Counted(NamedTuple):
    """Events of one kind in a minute, `times` many; without a `minute`, in the transaction's."""

    owner_id: int
    series: str
    times: int = 1
    minute: datetime | None = None
    destination_id: int = 0
    bucket: int = NO_DURATION
    duration_ms: float | None = None


async def count_by_minute(
    session: ReadSession, shard: int, measure: CountedMeasure, counted: Iterable[Counted]
) -> None:
    """Adds up what has the same row in `minute_counts`, and then adds it there."""
    sums: dict[tuple[object, ...], Counted] = {}
    for one in counted:
        key = (one.owner_id, one.series, one.minute, one.destination_id, one.bucket)
        known = sums.setdefault(key, one._replace(times=0))
        durations = [each for each in (known.duration_ms, one.duration_ms) if each is not None]
        longest = max(durations, default=None)
        sums[key] = known._replace(times=known.times + one.times, duration_ms=longest)
    if not sums:
        return
    rows = [*sums.values()]
    columns: dict[str, list[Any]] = {
        "owner_ids": [one.owner_id for one in rows],
        "minutes": [one.minute for one in rows],
        "series": [one.series for one in rows],
        "destination_ids": [one.destination_id for one in rows],
        "buckets": [one.bucket for one in rows],
        "counts": [one.times for one in rows],
        "longest": [one.duration_ms for one in rows],
    }
    await _ADD.insert_all(session, columns, shard=shard, measure=measure)
