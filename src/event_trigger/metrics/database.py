"""Keeps the gauges that come from the database; a failed read leaves them as they were."""

import asyncio
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from event_trigger import __version__
from event_trigger.clock import utc_now
from event_trigger.config import Settings
from event_trigger.db.engine import Sessions
from event_trigger.db.errors import FailureLog
from event_trigger.metrics.repository import (
    DatabaseState,
    KeptCount,
    limit_statements,
    read_state,
)
from event_trigger.models import Base, DeliveryStatus, TriggerStatus
from event_trigger.overview.census import CountedState
from event_trigger.telemetry import GAUGES_FAILED, PREFIX
from event_trigger.triggers.schedule.zone_rules import zone_rules

log = structlog.get_logger()

READ_EVERY_SECONDS = 10.0
READ_WITHIN_SECONDS = 2.0
# scrapes of several workers reach each of them now and then, and one a minute is usual
_WATCHED_SECONDS = 3600.0
_UNFINISHED = (DeliveryStatus.PENDING, DeliveryStatus.RETRYING)
_DESTINATION_STATES = (
    CountedState.CLOSED,
    CountedState.OPEN,
    CountedState.RECOVERING,
    CountedState.DISABLED,
)
_NONE = KeptCount(0, None)


class DatabaseGauges:
    """Reads the database every ten seconds while this process is scraped, beside the scrapes.

    Nothing is read for an hour without a scrape, so the next one waits for a reading. No other does
    so: it would take as long as the database takes.
    """

    def __init__(
        self,
        sessions: Sessions,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._clock = clock
        self._state: DatabaseState | None = None
        self._scraped_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._failures = FailureLog(log, "metrics_failed", outage="metrics_wait_for_database")

    async def current(self) -> DatabaseState | None:
        """Returns the newest state for a scrape; None before one could be read."""
        was_watched, self._scraped_at = self._is_watched, self._clock()
        if not was_watched:
            await self.read()
        return self._state

    async def run(self) -> None:
        """Reads over and over while somebody scrapes, until it is cancelled."""
        while True:
            await asyncio.sleep(READ_EVERY_SECONDS)
            if self._is_watched:
                await self.read()

    async def read(self) -> None:
        """Reads the state, or joins the reading that is under way; a failure leaves the last."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    @property
    def _is_watched(self) -> bool:
        return self._clock() - self._scraped_at <= _WATCHED_SECONDS

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(READ_WITHIN_SECONDS), self._sessions.begin() as session:
                await limit_statements(session)
                self._state = await read_state(session, self._settings, utc_now())
        except Exception as error:
            GAUGES_FAILED.inc()
            self._failures.failed("read", error)
        else:
            self._failures.succeeded("read")
        finally:
            self._reading = None


@dataclass(frozen=True, eq=False)
class DatabaseCollector(Collector):
    """Writes one state as gauges: all states by name, with zeros."""

    state: DatabaseState | None

    def collect(self) -> Iterator[Metric]:
        yield self._build_info()
        if self.state is not None:
            yield from _of_triggers(self.state)
            yield from _of_deliveries(self.state)
            yield from _of_server(self.state)

    def _build_info(self) -> Metric:
        server = None if self.state is None else self.state.server
        info = {
            "version": __version__,
            "revision": "" if server is None else server.revision,
            "python": platform.python_version(),
            "postgres": "" if server is None else server.postgres.split()[0],
            "tzdata": zone_rules().version,
        }
        words = "The versions of the service, its schema, and what it runs on."
        found = GaugeMetricFamily(f"{PREFIX}build_info", words, labels=[*info])
        found.add_metric([*info.values()], 1)
        return found


def _of_triggers(state: DatabaseState) -> Iterator[Metric]:
    yield _one(
        "dispatch_oldest_due_seconds", "Age of the oldest due instant.", state.oldest_due_seconds
    )
    yield _one("dispatch_due", "Due triggers: up to 1,000 of each of 64 shards.", state.due)
    yield _by_state("triggers", "Triggers by status.", "status", TriggerStatus, state)


def _of_deliveries(state: DatabaseState) -> Iterator[Metric]:
    statuses = (*_UNFINISHED, DeliveryStatus.EXHAUSTED)
    yield _by_state("deliveries", "Deliveries that are kept, by status.", "status", statuses, state)
    ages = [state.counts.get(one, _NONE).oldest_seconds or 0.0 for one in _UNFINISHED]
    words = "Age of the oldest delivery that is pending or retried."
    yield _one("deliveries_oldest_pending_seconds", words, max(ages))
    yield _by_state("destinations", "Destinations by state.", "state", _DESTINATION_STATES, state)


def _of_server(state: DatabaseState) -> Iterator[Metric]:
    server = state.server
    yield _one("partitions", "Partitions of the event log.", server.partitions)
    words = "For how long from now there are partitions: without one nothing fires."
    yield _one("partitions_horizon_seconds", words, server.horizon)
    words = "For how long from now partitions are made."
    yield _one("partitions_ahead_seconds", words, state.ahead_seconds)
    words = "How long the oldest partition has been past its retention."
    yield _one("retention_overdue_seconds", words, max(0.0, float(server.overdue or 0)))
    words = "Age of the oldest transaction in the database."
    yield _one("postgres_oldest_transaction_seconds", words, server.oldest_transaction)
    words = "Transactions since the oldest snapshot: vacuum removes nothing newer."
    yield _one("postgres_xmin_age_transactions", words, server.xmin_age)
    yield _one("database_size_bytes", "Size of the database.", server.size)
    dead = GaugeMetricFamily(
        f"{PREFIX}postgres_dead_tuples", "Rows that vacuum has to remove.", labels=["table"]
    )
    for table in sorted(Base.metadata.tables):
        dead.add_metric([table], state.dead_tuples.get(table, 0))
    yield dead
    words = "When these gauges were read."
    yield _one("database_gauges_timestamp_seconds", words, state.at.timestamp())


def _one(name: str, words: str, value: float | None) -> Metric:
    return GaugeMetricFamily(PREFIX + name, words, value=float(value or 0))


def _by_state(
    name: str, words: str, label: str, names: Iterable[str], state: DatabaseState
) -> Metric:
    found = GaugeMetricFamily(PREFIX + name, words, labels=[label])
    for one in names:
        found.add_metric([str(one)], state.counts.get(one, _NONE).number)
    return found
