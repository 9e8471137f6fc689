"""Checks for `/readyz` that need the database; each returns a reason why firing would soon stop."""

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.config import Settings
from event_trigger.db.engine import create_sessions
from event_trigger.db.errors import FailureLog, public_reason
from event_trigger.db.pool import shortage_of
from event_trigger.db.revisions import is_migrated
from event_trigger.events.retention import seconds_ahead

log = structlog.get_logger()

READINESS_TIMEOUT_SECONDS = 2.0


class DatabaseCheck:
    """Checks the database on a connection of the firing engine.

    Concurrent probes share one check, and so one connection.
    """

    def __init__(self, firing: AsyncEngine, settings: Settings) -> None:
        self._sessions = create_sessions(firing)
        self._settings = settings
        self._running_check: asyncio.Task[str | None] | None = None
        self._failures = FailureLog(log, "readiness_check_failed", outage="readiness_check_failed")

    async def reason(self) -> str | None:
        if self._running_check is None or self._running_check.done():
            self._running_check = asyncio.create_task(self._check())
        return await asyncio.shield(self._running_check)

    async def _check(self) -> str | None:
        try:
            async with asyncio.timeout(READINESS_TIMEOUT_SECONDS):
                return await self._find_problem()
        except Exception as error:
            self._failures.failed("check", error)
            return public_reason(error)

    async def _find_problem(self) -> str | None:
        async with self._sessions() as session:
            connection = await session.connection()
            if not await connection.run_sync(is_migrated):
                return "the database is not migrated to this version"
            seconds = await seconds_ahead(session)
        ahead = self._settings.partitions_ahead.total_seconds()
        self._failures.succeeded("check")
        if seconds >= ahead / 2:
            return None
        return (
            f"event partitions exist only for the next {max(0.0, seconds):.0f} s, of {ahead:.0f} s"
            " that are made ahead: without a partition nothing can fire"
        )


class ConnectionsCheck:
    """Reports that some work got no database connection within the last 15 seconds."""

    def __init__(self, *engines: AsyncEngine) -> None:
        self._engines = engines

    async def reason(self) -> str | None:
        error = shortage_of(*self._engines)
        return None if error is None else public_reason(error)
