"""Runs the service for a person: its database, the first admin, the server, and what to do next."""

import asyncio
import os
import secrets
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from uvicorn.supervisors import Multiprocess

from event_trigger.app import app_from_environment, create_app
from event_trigger.auth.accounts import add_first_admin
from event_trigger.auth.passwords import Passwords
from event_trigger.auth.schemas import normalise_email
from event_trigger.config import MINIMUM_SECRET_BYTES, Settings
from event_trigger.db.embedded import make_data_dir, running_postgres, url_if_running
from event_trigger.db.engine import Sessions, create_engine, create_sessions, is_outage
from event_trigger.db.migrate import migrate

log = structlog.get_logger()

READY_WITHIN = 60.0  # seconds
GRACE = 10  # seconds that open requests have when the service is told to stop
FIRST_ADMIN = "admin@localhost"
_UNSIGNED = (
    "EVENT_TRIGGER_JWT_SECRET is not set. With a DATABASE_URL it must be given, the same for every"
    " replica, 32 bytes or more, for example: python3 -c 'import secrets;"
    " print(secrets.token_urlsafe(48))'"
)


class SettingsError(Exception):
    """Settings that do not fit together, in words that a person can act on."""


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """Who was made at the first start; the password is there only if nobody knows it yet."""

    email: str
    password: str | None


@contextmanager
def with_database(settings: Settings) -> Iterator[Settings]:
    """Completes settings without DATABASE_URL by an embedded PostgreSQL of this process."""
    if settings.database_url is not None:
        yield settings
        return
    with running_postgres(settings.data_dir) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})


@contextmanager
def reaching_database(settings: Settings) -> Iterator[Settings]:
    """As `with_database`, but shares the embedded PostgreSQL of a service that is running."""
    if settings.database_url is None and (url := url_if_running(settings.data_dir)):
        yield settings.model_copy(update={"database_url": SecretStr(url)})
        return
    with with_database(settings) as complete:
        yield complete


def serve(settings: Settings, *, workers: int) -> None:
    """Serves until it is told to stop; raises SettingsError before it starts anything in vain."""
    if settings.jwt_secret is None and settings.database_url is not None:
        raise SettingsError(_UNSIGNED)
    embedded = settings.database_url is None
    signal.signal(signal.SIGTERM, _end_in_good_order)
    with _bound(settings) as listener, with_database(settings) as complete:
        secret = settings.jwt_secret or SecretStr(kept_secret(settings.data_dir))
        port = listener.getsockname()[1]
        signed = complete.model_copy(update={"jwt_secret": secret, "port": port})
        admin = asyncio.run(_prepare(signed, embedded=embedded))
        say = partial(print, welcome(signed, admin), flush=True)
        if workers == 1:
            _Server(uvicorn.Config(create_app(signed), **_options(signed)), say).run([listener])
        else:
            _run_workers(signed, workers, listener, say)


def _end_in_good_order(*_: object) -> None:
    raise SystemExit(0)  # through every `finally`: the embedded PostgreSQL shuts down


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


def kept_secret(data_dir: Path) -> str:
    """The signing secret of an embedded service: made once, readable by nobody else."""
    file = make_data_dir(data_dir) / "jwt-secret"
    kept = file.read_text() if file.exists() else ""
    if len(kept) < MINIMUM_SECRET_BYTES:  # there is none, or a power failure has cut it off
        kept = secrets.token_urlsafe(48)
        made = file.with_name("jwt-secret.new")
        made.unlink(missing_ok=True)
        made.touch(mode=0o600, exist_ok=False)
        made.write_text(kept)
        made.replace(file)
    return kept


async def _prepare(settings: Settings, *, embedded: bool) -> FirstAdmin | None:
    """Migrates, and makes the first admin if there is no user; says whom it made."""
    assert settings.database_url is not None
    engine = create_engine(settings.database_url.get_secret_value())
    try:
        await _wait_for(engine)
        await migrate(engine)
        return await _make_admin(create_sessions(engine), settings, embedded=embedded)
    finally:
        await engine.dispose()


async def _wait_for(engine: AsyncEngine) -> None:
    """Gives a database that starts at the same time as the service a minute to be there."""
    for tries_left in reversed(range(60)):
        try:
            async with engine.connect():
                return
        except Exception as error:
            if not is_outage(error) or not tries_left:
                raise
            log.warning("waiting_for_database", error=type(error).__name__)
            await asyncio.sleep(1)


async def _make_admin(
    sessions: Sessions, settings: Settings, *, embedded: bool
) -> FirstAdmin | None:
    given = settings.admin_password and settings.admin_password.get_secret_value()
    email = settings.admin_email or (FIRST_ADMIN if embedded or given else None)
    if email is None or not (embedded or given):
        return None
    email, password = normalise_email(email), given or secrets.token_urlsafe(12)
    if not await add_first_admin(sessions, Passwords(), email=email, password=password):
        return None
    return FirstAdmin(email, None if given else password)


class _Server(uvicorn.Server):
    """A server that says what to do next once it answers."""

    def __init__(self, config: uvicorn.Config, say: Callable[[], None]) -> None:
        super().__init__(config)
        self._say = say

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say()


class _Workers(Multiprocess):
    """Several processes, which say what to do next once all of them answer."""

    def __init__(self, config: uvicorn.Config, listener: socket, say: Callable[[], None]) -> None:
        super().__init__(config, [listener])
        self._say = say

    def init_processes(self) -> None:
        super().init_processes()
        if all(worker.wait_until_ready(READY_WITHIN) for worker in self.processes):
            self._say()


def _run_workers(
    settings: Settings, workers: int, listener: socket, say: Callable[[], None]
) -> None:
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    os.environ["DATABASE_URL"] = settings.database_url.get_secret_value()
    os.environ["EVENT_TRIGGER_JWT_SECRET"] = settings.jwt_secret.get_secret_value()
    config = uvicorn.Config(
        "event_trigger.serving:worker_app", factory=True, workers=workers, **_options(settings)
    )
    _Workers(config, listener, say).run()


def worker_app() -> FastAPI:
    """What each process of `serve --workers` runs; it ends when the first process is gone."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    return app_from_environment()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
    }


def welcome(settings: Settings, admin: FirstAdmin | None) -> str:
    """What a person who has just started the service wants to know next."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    email = admin.email if admin else (settings.admin_email or FIRST_ADMIN)
    lines = ["", "Event Trigger Platform is ready.", "", f"  Docs       {url}/api/docs"]
    if admin and admin.password:
        lines += [f"  Login      {email}", f"  Password   {admin.password}   (shown this once)"]
    elif admin:
        lines += [f"  Login      {email}, with the password from EVENT_TRIGGER_ADMIN_PASSWORD"]
    password = shlex.quote(admin.password) if admin and admin.password else '"$PASSWORD"'
    read = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"
    lines += [
        "",
        "Sign in, and create a trigger that fires in three seconds:",
        "",
        *([] if admin and admin.password else ["  PASSWORD='the one from the first start'"]),
        f"  TOKEN=$(curl -s {url}/auth/token -d username={shlex.quote(email)}"
        f" --data-urlencode password={password} | {read})",
        f'  curl -s {url}/triggers -H "Authorization: Bearer $TOKEN"'
        " -H 'Content-Type: application/json'"
        """ -d '{"type": "scheduled", "details": {"interval": "PT3S"}}'""",
        f'  sleep 4; curl -s {url}/events -H "Authorization: Bearer $TOKEN"',
        "",
    ]
    return "\n".join(lines)
