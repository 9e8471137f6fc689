"""Starts a process's work once its database answers, however long that takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.config import Settings
from event_trigger.db.engine import Sessions, is_outage, sqlstate
from event_trigger.db.errors import (
    describe_error,
    hint_for,
    is_certificate_untrusted,
    log_fields,
    public_reason,
)
from event_trigger.db.migrate import migrate
from event_trigger.db.revisions import is_migrated
from event_trigger.events.retention import make_partitions
from event_trigger.logs import release_lines
from event_trigger.triggers.zone_updates.replanning import plan_by_newest_rules

log = structlog.get_logger()

RETRY_EVERY_SECONDS = 1.0
LOG_WAITING_EVERY_SECONDS = 10.0
MAX_FINAL_FAILURES = 5  # of _FINAL_SQLSTATES in a row, before the start is given up
_FINAL_SQLSTATES = ("28", "3D", "42501")  # codes and classes that waiting does not fix


class CannotStart(Exception):
    """The service cannot start; the message names the cause and the setting to change."""


class StartupCallbacks:
    """Callbacks of a start; these do nothing, and the process waits for its database for ever."""

    waits_for_ever = True

    async def prepare(self, sessions: Sessions) -> None:
        """Called after the migration, before any trigger fires."""

    def ready(self) -> None:
        """Called when the start has succeeded."""

    def failed(self, error: Exception) -> None:
        """Called when the start has failed for good."""


async def prepare_database(engine: AsyncEngine, sessions: Sessions, settings: Settings) -> None:
    """Prepares the database; a repeated run changes nothing.

    1. Migrate.
    2. Plan triggers by the newest zone rules.
    3. Make the event partitions of the near future.
    """
    await migrate(engine)
    await plan_by_newest_rules(engine, keep_for=settings.keep_for)
    await make_partitions(sessions, settings)


def _waiting_is_useless(error: Exception) -> bool:
    return sqlstate(error).startswith(_FINAL_SQLSTATES) or is_certificate_untrusted(error)


class Startup:
    """Tries to start until it succeeds, and until then gives `/readyz` the reason."""

    def __init__(
        self, engine: AsyncEngine, begin: Callable[[], Awaitable[None]], callbacks: StartupCallbacks
    ) -> None:
        """`begin` is repeated from its beginning when the database fails."""
        self._engine = engine
        self._begin = begin
        self._callbacks = callbacks
        self._reason: str | None = None
        self._is_slow_or_over = asyncio.Event()
        self._last_logged: tuple[str, float] = ("", 0.0)

    @property
    def is_open(self) -> bool:
        """Tells whether requests can be answered; also True if `run` was never called."""
        return self._reason is None

    async def reason(self) -> str | None:
        return self._reason

    async def run(self) -> None:
        """Returns when the start has succeeded.

        Raises CannotStart when it gives up, and any error that is not the database's at once.
        """
        self._reason = "the service is starting"
        loop = asyncio.get_running_loop()
        slow = loop.call_later(LOG_WAITING_EVERY_SECONDS, release_lines)
        try:
            await self._until_begun()
        except Exception as error:
            self._reason = "the start has failed, see the log"
            self._callbacks.failed(error)
            raise
        else:
            self._reason = None
            self._callbacks.ready()
        finally:
            slow.cancel()
            self._is_slow_or_over.set()

    async def until_slow_or_over(self) -> None:
        """Waits until `run` ends, or has to wait for the database or for a migration."""
        await self._is_slow_or_over.wait()

    async def _until_begun(self) -> None:
        tries_left = MAX_FINAL_FAILURES
        while True:
            try:
                return await self._try()
            except Exception as error:
                is_final = _waiting_is_useless(error)
                if not is_final and not is_outage(error):
                    raise
                tries_left = tries_left - 1 if is_final else MAX_FINAL_FAILURES
                if tries_left <= 0 and not self._callbacks.waits_for_ever:
                    raise CannotStart(
                        f"The service cannot start: {describe_error(error)}. {hint_for(error)}"
                    ) from None
                self._note_waiting(error)
            await asyncio.sleep(RETRY_EVERY_SECONDS)

    async def _try(self) -> None:
        async with self._engine.connect() as connection:
            migrated = await connection.run_sync(is_migrated)
        if not migrated:
            self._reason = "the database is being migrated"
            self._is_slow_or_over.set()
        await self._begin()

    def _note_waiting(self, error: Exception) -> None:
        """Logs the database's error at once, when it changes, and every ten seconds."""
        self._reason = public_reason(error)
        self._is_slow_or_over.set()
        message, now = describe_error(error), time.monotonic()
        last_message, logged_at = self._last_logged
        if message != last_message or now - logged_at >= LOG_WAITING_EVERY_SECONDS:
            self._last_logged = message, now
            release_lines()
            log.warning("waiting_for_database", **log_fields(error))
