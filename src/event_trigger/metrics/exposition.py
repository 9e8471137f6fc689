"""Writes all numbers in Prometheus's text format, and serves them on a port of their own.

They are written in a thread, as the event loop is for triggers; the port asks for no login.
"""

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
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.metrics.database import DatabaseCollector, DatabaseGauges
from event_trigger.metrics.process import ProcessGauges
from event_trigger.metrics.repository import DatabaseState
from event_trigger.telemetry import REGISTRY
from event_trigger.web.cpu_bound import yield_often

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="metrics", initializer=yield_often)
_IN_FILES = values.ValueClass is not values.MutexValue  # as prometheus_client found when imported
_PATH = "/metrics"
_ASKS = frozenset({"GET", "HEAD"})


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


class MetricsPort:
    """Answers what comes in at the port of metrics, also before the service has started.

    Requests know by which socket they came, whatever their headers say.
    """

    def __init__(self, app: ASGIApp, *, port: int, metrics: Metrics) -> None:
        self.app = app
        self.port = port
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _port_of(scope) != self.port:
            await self.app(scope, receive, send)
        else:
            await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["path"] != _PATH:
            return PlainTextResponse(f"Only {_PATH} is here.\n", status_code=404)
        if scope["method"] not in _ASKS:
            return PlainTextResponse("Use GET.\n", status_code=405, headers={"Allow": "GET, HEAD"})
        return Response(await self.metrics.text(), media_type=MEDIA_TYPE)


def _port_of(scope: Scope) -> int | None:
    """Returns the port of the socket; None for one that has no port."""
    server: tuple[str, int | None] | None = scope.get("server")
    return None if server is None else server[1]
