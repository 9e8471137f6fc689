"""Runs the HTTP server in one or several processes, and shuts it down cleanly."""

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
    service_database,
    with_signing_secret,
)
from event_trigger.config import Settings
from event_trigger.web.http_protocol import HttpProtocol
from event_trigger.workers import WorkerSupervisor

_READY_POLL_SECONDS = 0.2
SHUTDOWN_GRACE_SECONDS = 10  # for open requests


def serve(settings: Settings, *, workers: int) -> None:
    """Serves until a signal stops it; it listens already while it waits for its database.

    Raises SettingsError or ValueError before anything is started, CannotStart if the database
    refuses it for good, and EmbeddedPostgresError if the embedded PostgreSQL cannot be restarted.
    """
    check_urls(settings)
    embedded = settings.database_url is None
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    with (
        _bind_port(settings) as listener,
        service_database(with_signing_secret(settings), on_give_up=_send_sigterm) as complete,
    ):
        port = listener.getsockname()[1]
        bound = complete.model_copy(update={"port": port})
        start = _StartProgress(bound, embedded=embedded)
        try:
            if workers == 1:
                _Server(create_app(bound, callbacks=start), bound, start).run([listener])
            else:
                _run_workers(bound, workers, listener, start)
        except SystemExit:
            if start.failure is None:
                raise
        if start.failure is not None:
            raise start.failure


def _exit_on_sigterm(*_: object) -> None:
    raise SystemExit(0)  # runs every `finally`, so that the embedded PostgreSQL shuts down


def _send_sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _bind_port(settings: Settings) -> Iterator[socket]:
    """Binds the port first: if it is taken, no admin is made whose password is never shown."""
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


class _StartProgress(FirstStart):
    """Prints the welcome text once the database is prepared and the server answers."""

    def __init__(self, settings: Settings, *, embedded: bool) -> None:
        super().__init__(settings, embedded=embedded)
        self.has_failed = threading.Event()
        self._settings = settings
        self._missing = {"database", "server"}

    def ready(self) -> None:
        self._note("database")

    def server_answers(self) -> None:
        self._note("server")

    def failed(self, error: Exception) -> None:
        super().failed(error)
        self.has_failed.set()

    def _note(self, part: str) -> None:
        self._missing.discard(part)
        if not self._missing and self.accounts is not None:
            print(welcome(self._settings, self.accounts), flush=True)


class _Server(uvicorn.Server):
    """A uvicorn server that ends when the start has failed, and ends its streams at a signal."""

    def __init__(self, app: FastAPI, settings: Settings, start: _StartProgress) -> None:
        super().__init__(uvicorn.Config(app, **_options(settings)))
        self._app = app
        self._start = start

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        end_streams(self._app)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _freeze_objects()
            self._start.server_answers()

    async def on_tick(self, counter: int) -> bool:
        return self._start.has_failed.is_set() or await super().on_tick(counter)


def _prepare_in_thread(
    settings: Settings, start: _StartProgress, all_served: threading.Event
) -> None:
    """Prepares the database beside the workers, and reports the start once a worker is ready."""
    try:
        asyncio.run(prepare(settings, start))
    except Exception:
        _send_sigterm()  # `serve` raises the failure
        return
    all_served.wait()
    while not _is_ready(settings):
        time.sleep(_READY_POLL_SECONDS)
    start.server_answers()


def _is_ready(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _run_workers(settings: Settings, workers: int, listener: socket, start: _StartProgress) -> None:
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    os.environ["DATABASE_URL"] = settings.database_url.get_secret_value()
    os.environ["EVENT_TRIGGER_JWT_SECRET"] = settings.jwt_secret.get_secret_value()
    config = uvicorn.Config(
        "event_trigger.server:worker_app", factory=True, workers=workers, **_options(settings)
    )
    all_served = threading.Event()
    threading.Thread(
        target=_prepare_in_thread, args=(settings, start, all_served), daemon=True
    ).start()
    WorkerSupervisor(config, listener, count=workers, all_served=all_served).run()


def worker_app() -> FastAPI:
    """Makes the application of one `serve --workers` process, which ends with the first process."""
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with_parent, args=(parent.pid,), daemon=True).start()
    app = app_from_environment()
    _freeze_objects()
    for number in (signal.SIGTERM, signal.SIGINT):
        _end_streams_on(number, app)
    return app


def _freeze_objects() -> None:
    """Exempts all present objects from garbage collection, which would pause callers for 0.1 s."""
    gc.collect()
    gc.freeze()


def _end_streams_on(number: signal.Signals, app: FastAPI) -> None:
    """Ends streams before uvicorn's own handler, which would wait until they end by themselves."""
    next_handler = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        end_streams(app)
        if callable(next_handler):
            next_handler(received, frame)

    signal.signal(number, handle)


def _end_with_parent(parent: int | None) -> None:
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
        "timeout_graceful_shutdown": SHUTDOWN_GRACE_SECONDS,
    }
