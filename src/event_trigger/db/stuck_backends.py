"""Ends sessions whose process froze in the middle of a statement, with whatever they have locked.

`idle_in_transaction_session_timeout` ends those that froze between two. No limit of PostgreSQL 13
to 16 ends one that has sent a statement to be prepared and then nothing more.
"""

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import APPLICATION

log = structlog.get_logger()

STUCK_AFTER = 5.0

_END_STALLED = text("""
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user
        AND application_name = :application
        AND state = 'active' AND wait_event = 'ClientRead'
        AND query_start < clock_timestamp() - make_interval(secs => :after)
""")


async def end_stuck_backends(session: AsyncSession, *, after: float = STUCK_AFTER) -> None:
    """Ends our own sessions whose process leaves a statement half said for so many seconds."""
    wanted = {"application": APPLICATION, "after": after}
    ended = await session.execute(_END_STALLED, wanted)
    for row in ended:
        log.warning("stalled_session_ended", pid=row.pid)
