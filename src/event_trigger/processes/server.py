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
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any

import structlog

from event_trigger.bootstrap import (
    SettingsError,
    check_urls,
    prepare,
    service_database,
    with_signing_secret,
)
from event_trigger.config import Settings
from event_trigger.processes.banner import StartProgress
from event_trigger.processes.supervisor import (
    METRICS_DIRECTORY,
    WorkerSupervisor,
    metrics_directory,
)
from event_trigger.processes.template import Template, WorkerRequest, template_of

log = structlog.get_logger()

_READY_POLL_SECONDS = 0.2
SHUTDOWN_GRACE_SECONDS = 10  # for open requests


def serve(settings: Settings, *, workers: int, metrics_dir: str | None) -> None:
    """Serves until a signal stops it; it listens already while it waits for its database.

    Raises SettingsError or ValueError before anything is started, CannotStart if the database
    refuses it for good, and EmbeddedPostgresError if the embedded PostgreSQL cannot be restarted.
    `metrics_dir` is where workers share their metrics, if the operator has chosen that.
    """
    check_urls(settings)
    embedded = settings.database_url is None
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup wants it
        signal.signal(signal.SIGHUP, _send_sigterm)  # several workers are replaced instead
    with (
        _logging_the_end(),
        _bind(settings.host, settings.port, "HOST or PORT") as listener,
        _bind_metrics(settings) as metrics_listener,
        template_of(workers, [one for one in (listener, metrics_listener) if one]) as template,
        service_database(with_signing_secret(settings), on_give_up=_send_sigterm) as complete,
    ):
        port = listener.getsockname()[1]
        listeners, changes = [listener], {"port": port}
        if metrics_listener is not None:
            listeners.append(metrics_listener)
            changes["metrics_port"] = metrics_listener.getsockname()[1]
        bound = complete.model_copy(update=changes)
        start = StartProgress(bound, embedded=embedded, workers=workers)
        try:
            if template is None:
                # half a second, and 30 MiB, which the first of several processes does without
                from event_trigger.processes.serving import serve_alone  # noqa: PLC0415

                serve_alone(bound, _options(bound), listeners, start)
            else:
                with metrics_directory(metrics_dir, port=port) as directory:
                    _run_workers(bound, workers, template, start, directory)
        except SystemExit:
            if start.failure is None:
                raise
        if start.failure is not None:
            raise start.failure


@contextmanager
def _logging_the_end() -> Iterator[None]:
    """Logs that everything has ended in good order, the embedded PostgreSQL too."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as ended:
        if isinstance(ended, KeyboardInterrupt) or ended.code == 0:
            log.info("stopped")
        raise
    log.info("stopped")


def _exit_on_sigterm(*_: object) -> None:
    raise SystemExit(0)  # runs every `finally`, so that the embedded PostgreSQL shuts down


def _send_sigterm(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _bind(host: str, port: int, names: str) -> Iterator[socket]:
    """Binds a port first: if it is taken, no admin is made whose password is never shown."""
    with socket(AF_INET6 if ":" in host else AF_INET) as listener:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"Cannot listen on {host}, port {port}: {error.strerror}. Set {names}."
            ) from error
        yield listener


@contextmanager
def _bind_metrics(settings: Settings) -> Iterator[socket | None]:
    host, port = settings.metrics_host, settings.metrics_port
    if port is None:
        yield None
        return
    names = "EVENT_TRIGGER_METRICS_HOST or EVENT_TRIGGER_METRICS_PORT"
    with _bind(host, port, names) as listener:
        yield listener


def _prepare_in_thread(
    settings: Settings,
    start: StartProgress,
    prepared: threading.Event,
    all_served: threading.Event,
) -> None:
    """Prepares the database beside the workers, and reports the start once a worker is ready."""
    try:
        asyncio.run(prepare(settings, start))
    except Exception:
        _send_sigterm()  # `serve` raises the failure
        return
    prepared.set()
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


def _run_workers(
    settings: Settings, workers: int, template: Template, start: StartProgress, directory: Path
) -> None:
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "EVENT_TRIGGER_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        METRICS_DIRECTORY: str(directory),
    }
    if settings.metrics_port is not None:
        environment["EVENT_TRIGGER_METRICS_PORT"] = str(settings.metrics_port)
    request = WorkerRequest(environment, _options(settings))
    gc.enable()
    prepared, all_served = threading.Event(), threading.Event()
    threading.Thread(
        target=_prepare_in_thread, args=(settings, start, prepared, all_served), daemon=True
    ).start()
    WorkerSupervisor(
        template, request, count=workers, prepared=prepared, all_served=all_served
    ).run()


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "http": "event_trigger.web.http_protocol:HttpProtocol",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": SHUTDOWN_GRACE_SECONDS,
    }
