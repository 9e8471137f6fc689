"""Ends database sessions whose client process froze in the middle of a statement, with their locks.

`idle_in_transaction_session_timeout` ends a session that froze between two statements. No timeout
of PostgreSQL 13 to 16 ends one whose client sent part of a statement's messages and then froze.
"""

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.engine import APPLICATION_NAME

log = structlog.get_logger()

STUCK_AFTER_SECONDS = 5.0
_END_STUCK = text("""
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user
        AND application_name = :application
        AND state = 'active' AND wait_event = 'ClientRead'
        AND query_start < clock_timestamp() - make_interval(secs => :after)
""")


async def end_stuck_backends(session: AsyncSession, *, after: float = STUCK_AFTER_SECONDS) -> None:
    """Ends our own sessions that have waited for the rest of a statement for `after` seconds.

    In a cluster it ends none: a session whose statement a worker runs waits in the same way.
    """
    if await is_in_cluster(session):
        return
    ended = await session.execute(_END_STUCK, {"application": APPLICATION_NAME, "after": after})
    for row in ended:
        log.warning("stuck_session_ended", pid=row.pid)
