"""The checks behind `/readyz` that ask the database: each says what would soon stop the firing."""

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.config import Settings
from event_trigger.db.engine import create_sessions
from event_trigger.db.errors import FailureLog, kind_of
from event_trigger.db.migrate import is_migrated
from event_trigger.db.pool import shortage_of
from event_trigger.events.retention import seconds_ahead

log = structlog.get_logger()

PATIENCE = 2.0  # seconds that a look may take


class DatabaseCheck:
    """Looks at the database on a connection of those that fire.

    Who asks while another look is under way has its answer: a crowd of probes takes one connection.
    """

    def __init__(self, firing: AsyncEngine, settings: Settings) -> None:
        self._sessions = create_sessions(firing)
        self._settings = settings
        self._looking: asyncio.Task[str | None] | None = None
        self._failures = FailureLog(log, "readiness_check_failed", outage="readiness_check_failed")

    async def reason(self) -> str | None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._found()
        except Exception as error:
            self._failures.failed("check", error)
            return kind_of(error)

    async def _found(self) -> str | None:
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
            f"there are partitions for the next {max(0.0, seconds):.0f} s only, of {ahead:.0f} s"
            " that are made ahead: without one nothing can fire"
        )


class ConnectionsCheck:
    """Says that some work got no connection to the database within the last 15 seconds."""

    def __init__(self, *engines: AsyncEngine) -> None:
        self._engines = engines

    async def reason(self) -> str | None:
        error = shortage_of(*self._engines)
        return None if error is None else kind_of(error)
