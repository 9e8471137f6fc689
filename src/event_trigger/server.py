"""Runs the server, in one process or several, and ends it in good order."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from multiprocessing import parent_process
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from event_trigger.app import app_from_environment, create_app, end_streams
from event_trigger.banner import welcome
from event_trigger.bootstrap import (
    FirstStart,
    SettingsError,
    check_urls,
    prepare,
    signed,
    with_database,
)
from event_trigger.config import Settings
from event_trigger.web.http_protocol import HttpProtocol
from event_trigger.workers import WorkerSupervisor

_ASK_EVERY = 0.2  # seconds between questions whether a worker is ready
GRACE = 10  # seconds that open requests have when the service is told to stop


def serve(settings: Settings, *, workers: int) -> None:
    """Serves until it is told to stop, from before its database is there.

    Raises SettingsError or ValueError before it starts anything in vain, CannotStart when the
    database refuses it for good, and EmbeddedPostgresError at the end if an embedded PostgreSQL
    ended before, and could not be started again.
    """
    check_urls(settings)
    embedded = settings.database_url is None
    signal.signal(signal.SIGTERM, _end_in_good_order)
    with (
        _bound(settings) as listener,
        with_database(signed(settings), gave_up=_tell_to_end) as complete,
    ):
        port = listener.getsockname()[1]
        bound = complete.model_copy(update={"port": port})
        start = _Start(bound, embedded=embedded)
        try:
            if workers == 1:
                _Server(create_app(bound, host=start), bound, start).run([listener])
            else:
                _run_workers(bound, workers, listener, start)
        except SystemExit:
            if start.failure is None:
                raise
        if start.failure is not None:
            raise start.failure


def _end_in_good_order(*_: object) -> None:
    raise SystemExit(0)  # through every `finally`: the embedded PostgreSQL shuts down


def _tell_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _bound(settings: Settings) -> Iterator[socket]:
    """Takes the port before anything is made, so that no password is made and never shown."""
    with socket(AF_INET6 if ":" in settings.host else AF_INET) as listener:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}."
                " Set HOST or PORT."
            ) from error
        yield listener


class _Start(FirstStart):
    """Says what to do next when both the service is ready and its server answers."""

    def __init__(self, settings: Settings, *, embedded: bool) -> None:
        super().__init__(settings, embedded=embedded)
        self.over = threading.Event()
        self._settings = settings
        self._waits_for = {"database", "server"}

    def ready(self) -> None:
        self._has_come("database")

    def server_answers(self) -> None:
        self._has_come("server")

    def failed(self, error: Exception) -> None:
        super().failed(error)
        self.over.set()

    def _has_come(self, part: str) -> None:
        self._waits_for.discard(part)
        if not self._waits_for and self.accounts is not None:
            print(welcome(self._settings, self.accounts), flush=True)


class _Server(uvicorn.Server):
    """A server that ends when its start has failed, and ends its streams when told to."""

    def __init__(self, app: FastAPI, settings: Settings, start: _Start) -> None:
        super().__init__(uvicorn.Config(app, **_options(settings)))
        self._app = app
        self._start = start

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        end_streams(self._app)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _keep_for_good()
            self._start.server_answers()

    async def on_tick(self, counter: int) -> bool:
        return self._start.over.is_set() or await super().on_tick(counter)


def _prepare(settings: Settings, start: _Start, all_served: threading.Event) -> None:
    """Prepares the database beside the workers, and says so when they serve and one is ready."""
    try:
        asyncio.run(prepare(settings, start))
    except Exception:
        _tell_to_end()  # `serve` says why
        return
    all_served.wait()
    while not _is_ready(settings):
        time.sleep(_ASK_EVERY)
    start.server_answers()


def _is_ready(settings: Settings) -> bool:
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = HTTPConnection(asked, settings.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _run_workers(settings: Settings, workers: int, listener: socket, start: _Start) -> None:
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    os.environ["DATABASE_URL"] = settings.database_url.get_secret_value()
    os.environ["EVENT_TRIGGER_JWT_SECRET"] = settings.jwt_secret.get_secret_value()
    config = uvicorn.Config(
        "event_trigger.server:worker_app", factory=True, workers=workers, **_options(settings)
    )
    all_served = threading.Event()
    threading.Thread(target=_prepare, args=(settings, start, all_served), daemon=True).start()
    WorkerSupervisor(config, listener, count=workers, all_served=all_served).run()


def worker_app() -> FastAPI:
    """What each process of `serve --workers` runs; it ends when the first process is gone."""
    if (parent := parent_process()) is not None:  # which may have ended while this one imported
        threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()
    app = app_from_environment()
    _keep_for_good()
    for number in (signal.SIGTERM, signal.SIGINT):
        _also_end_streams(number, app)
    return app


def _keep_for_good() -> None:
    """What is there now is never garbage: looking through it holds up all callers for 0.1 s."""
    gc.collect()
    gc.freeze()


def _also_end_streams(number: signal.Signals, app: FastAPI) -> None:
    """Comes before what uvicorn does, which would wait for open streams to end by themselves."""
    before = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        end_streams(app)
        if callable(before):
            before(received, frame)

    signal.signal(number, handle)


def _end_with(parent: int | None) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "http": HttpProtocol,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
    }
