"""Writes all numbers in Prometheus's text format, in a thread: the event loop is for triggers."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Metric,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from event_trigger.metrics.database import DatabaseCollector, DatabaseGauges
from event_trigger.metrics.process import ProcessGauges
from event_trigger.metrics.repository import DatabaseState
from event_trigger.telemetry import REGISTRY
from event_trigger.web.cpu_bound import yield_often

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="metrics", initializer=yield_often)
_IN_FILES = values.ValueClass is not values.MutexValue  # as prometheus_client found when imported


class _OwnNumbers(Collector):
    """Those of this process alone."""

    def collect(self) -> Iterator[Metric]:
        yield from REGISTRY.collect()


class Metrics:
    """Answers scrapes; those that come together share one answer."""

    def __init__(self, process: ProcessGauges, database: DatabaseGauges) -> None:
        self.process = process
        self.database = database
        self._writing: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """Returns the numbers of all processes, and those of the database, some 10 s old."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await asyncio.shield(self._writing)

    async def _write(self) -> bytes:
        state = await self.database.current()
        self.process.update()
        return await asyncio.get_running_loop().run_in_executor(_THREAD, partial(_written, state))


def _written(state: DatabaseState | None) -> bytes:
    registry = CollectorRegistry()
    if _IN_FILES:
        MultiProcessCollector(registry, os.environ[DIRECTORY_VARIABLE])  # type: ignore[no-untyped-call]
    else:
        registry.register(_OwnNumbers())
    registry.register(DatabaseCollector(state))
    return generate_latest(registry)
