"""Records when the service ran: what no process could receive says nothing about a heartbeat."""

from datetime import datetime, timedelta

from sqlalchemy import text

from event_trigger.db.engine import Sessions
from event_trigger.db.plain_session import ReadSession
from event_trigger.triggers.schedule.heartbeat import LONGEST_GRACE, Outage

BEAT_EVERY_SECONDS = 1.0
DOWN_AFTER = timedelta(seconds=5)  # without a beat: a busy process is not down
_OUTAGES_KEPT_FOR = 3 * LONGEST_GRACE  # a heartbeat looks back two of them

# of several processes, one writes at a time, and the others need not
_RECORD_BEAT = text("""
    WITH last AS (
        SELECT beat_at FROM service_beats WHERE beat_at < now() - CAST(:every AS interval)
        FOR UPDATE SKIP LOCKED
    ), outage AS (
        INSERT INTO service_outages (began_at, ended_at)
        SELECT beat_at, now() FROM last WHERE beat_at < now() - CAST(:down_after AS interval)
    )
    UPDATE service_beats SET beat_at = now() FROM last
""")
_LIST_OUTAGES = text("""
    SELECT began_at, ended_at FROM service_outages WHERE ended_at > CAST(:since AS timestamptz)
    UNION ALL
    SELECT beat_at, now() FROM service_beats
    WHERE beat_at < now() - CAST(:down_after AS interval)
""")
_PURGE_OUTAGES = text("""
    DELETE FROM service_outages WHERE ended_at < now() - CAST(:kept_for AS interval)
""")


async def record_beat(sessions: Sessions) -> None:
    """Notes that a process runs, and the outage before that, if nobody has noted it for 5 s."""
    every = timedelta(seconds=BEAT_EVERY_SECONDS / 2)
    async with sessions.begin() as session:
        await session.execute(_RECORD_BEAT, {"every": every, "down_after": DOWN_AFTER})


async def list_outages(session: ReadSession, *, since: datetime) -> list[Outage]:
    """Lists the outages that ended later than `since`, and one that nobody has noted yet."""
    values = {"since": since, "down_after": DOWN_AFTER}
    return [Outage(*row) for row in await session.execute(_LIST_OUTAGES, values)]


async def purge_outages(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(_PURGE_OUTAGES, {"kept_for": _OUTAGES_KEPT_FOR})
