"""Starts the work of a process once its database is there, however long that takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.config import Settings
from event_trigger.db.engine import Sessions, is_outage, sqlstate
from event_trigger.db.errors import described, hint_for, in_words, kind_of
from event_trigger.db.migrate import is_migrated, migrate
from event_trigger.events.retention import make_partitions
from event_trigger.triggers.schedule.zone_rules import describe_rules, zone_rules
from event_trigger.triggers.zone_updates.replanning import plan_by_newest_rules

log = structlog.get_logger()

TRY_EVERY = 1.0  # seconds
SAY_EVERY = 10.0  # seconds
TRIES = 5  # to sign in, and to find the database or a privilege, before that is taken for final
_FINAL = ("28", "3D", "42501")  # SQLSTATEs and classes that waiting does not mend


class CannotStart(Exception):
    """Says what keeps the service from starting, and what to set."""


class Host:
    """What a process does with the outcome of its start; this one serves, and waits for ever."""

    waits_for_ever = True

    async def prepare(self, sessions: Sessions) -> None:
        """Called when the tables are there, and before anything fires."""

    def ready(self) -> None:
        """Called when requests are answered and triggers fire."""

    def failed(self, error: Exception) -> None:
        """Called when the start is not tried again."""


async def prepare_database(engine: AsyncEngine, sessions: Sessions, settings: Settings) -> None:
    """Migrates, plans by the newest zone rules, and makes the partitions of the near future.

    Done again, it changes nothing.
    """
    await migrate(engine)
    log.info("zone_rules", version=zone_rules().version, found=describe_rules())
    await plan_by_newest_rules(engine, keep_for=settings.keep_for)
    await make_partitions(sessions, settings)


class Startup:
    """Tries to start until it succeeds, and says until then why the process is not ready."""

    def __init__(
        self, engine: AsyncEngine, begin: Callable[[], Awaitable[None]], host: Host
    ) -> None:
        """`begin` is repeated from its start when it fails for want of a database."""
        self._engine = engine
        self._begin = begin
        self._host = host
        self._why: str | None = None
        self._is_slow_or_over = asyncio.Event()
        self._said: tuple[str, float] = ("", 0.0)

    @property
    def is_open(self) -> bool:
        """Whether requests can be answered; also if nobody has asked it to run."""
        return self._why is None

    async def reason(self) -> str | None:
        return self._why

    async def run(self) -> None:
        """Ends when all has begun; raises CannotStart when it gives up, and any fault of ours."""
        self._why = "the service is starting"
        try:
            await self._until_begun()
        except Exception as error:
            self._why = "the start has failed, and the log says why"
            self._host.failed(error)
            raise
        else:
            self._why = None
            self._host.ready()
        finally:
            self._is_slow_or_over.set()

    async def until_slow_or_over(self) -> None:
        """Waits for the end of `run`, but neither for a database nor for a migration."""
        await self._is_slow_or_over.wait()

    async def _until_begun(self) -> None:
        tries_left = TRIES
        while True:
            try:
                return await self._try()
            except Exception as error:
                is_final = sqlstate(error).startswith(_FINAL)
                if not is_final and not is_outage(error):
                    raise
                tries_left = tries_left - 1 if is_final else TRIES
                if tries_left <= 0 and not self._host.waits_for_ever:
                    why = f"The service cannot start: {in_words(error)}. {hint_for(error)}"
                    raise CannotStart(why) from None
                self._wait_for_database(error)
            await asyncio.sleep(TRY_EVERY)

    async def _try(self) -> None:
        async with self._engine.connect() as connection:
            migrated = await connection.run_sync(is_migrated)
        if not migrated:
            self._why = "the database is being migrated"
            self._is_slow_or_over.set()
        await self._begin()

    def _wait_for_database(self, error: Exception) -> None:
        """Says what is waited for at once, when it changes, and every ten seconds."""
        self._why = kind_of(error)
        self._is_slow_or_over.set()
        words, now = in_words(error), time.monotonic()
        if words != self._said[0] or now - self._said[1] >= SAY_EVERY:
            self._said = words, now
            log.warning("waiting_for_database", **described(error))
