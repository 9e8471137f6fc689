"""Serves in one process: the only one, or a worker of `serve --workers`.

It brings the whole application, so `server.py` imports it only where the process itself serves.
"""

import gc
import signal
from importlib import import_module
from socket import socket
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from event_trigger.api import built_api
from event_trigger.app import create_app, end_streams
from event_trigger.bootstrap import AfterFirstAdmin
from event_trigger.config import Settings
from event_trigger.logs import configure_logs
from event_trigger.processes.banner import StartProgress

log = structlog.get_logger()

_IMPORTED_BY_NAME = (  # by libraries, when the service starts
    "anyio._backends._asyncio",
    "event_trigger.web.http_protocol",
    "uvicorn.lifespan.on",
    "uvicorn.loops.asyncio",
)
_OBJECTS_PER_COLLECTION = 10_000  # that are new, and are left: Python's own limit is 700


def serve_alone(
    settings: Settings, options: dict[str, Any], listeners: list[socket], start: StartProgress
) -> None:
    """Serves in this process until a signal ends it, or the start has failed."""
    app = create_app(settings, callbacks=start)
    _collect_only_new_garbage()
    _Server(app, options, start).run(listeners)


class _Server(uvicorn.Server):
    """A uvicorn server that ends when the start has failed, and ends its streams at a signal."""

    def __init__(self, app: FastAPI, options: dict[str, Any], start: StartProgress) -> None:
        super().__init__(uvicorn.Config(app, **options))
        self._app = app
        self._start = start

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        end_streams(self._app)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _collect_only_new_garbage()
            self._start.server_answers()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        log.info("stopping")
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        return self._start.has_failed.is_set() or await super().on_tick(counter)


def prepare_workers() -> None:
    """Imports and makes what all workers share."""
    built_api()
    for name in _IMPORTED_BY_NAME:
        import_module(name)


def worker_app() -> FastAPI:
    """Makes the application of one process of `serve --workers`."""
    settings = Settings()
    configure_logs(settings.log_format, settings.log_level)
    app = create_app(settings, callbacks=AfterFirstAdmin(settings))
    _collect_only_new_garbage()
    for number in (signal.SIGTERM, signal.SIGINT):
        _end_streams_on(number, app)
    return app


def _collect_only_new_garbage() -> None:
    """Exempts all present objects from garbage collection, which would pause callers for 0.1 s.

    `cli.py` has paused it while these objects were made. Requests leave hardly any garbage, so a
    batch of calls, which makes many objects at once, is no reason to look for some.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    gc.enable()


def _end_streams_on(number: signal.Signals, app: FastAPI) -> None:
    """Ends streams before uvicorn's own handler, which would wait until they end by themselves."""
    next_handler = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        end_streams(app)
        if callable(next_handler):
            next_handler(received, frame)

    signal.signal(number, handle)
