"""Provides the database, the signing secret and the first admin before the service serves."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.audit.recorder import AuditedSession
from event_trigger.auth.email_addresses import normalise_email
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.passwords.policy import check_new_password
from event_trigger.auth.users import add_first_admin, has_users
from event_trigger.config import MINIMUM_SECRET_BYTES, Settings
from event_trigger.db.embedded.down_flag import down_flag_of
from event_trigger.db.embedded.server import (
    has_data,
    make_data_dir,
    running_postgres,
    supervised_postgres,
    url_if_running,
)
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.db.notify import LISTEN_URL_SETTING as LISTEN_SETTING
from event_trigger.db.replica.replica import REPLICA_URL_SETTING as REPLICA_SETTING
from event_trigger.db.urls import asyncpg_url
from event_trigger.models import ActorKind
from event_trigger.startup import Startup, StartupCallbacks, prepare_database

FIRST_ADMIN = "admin@localhost"
_FIRST_ADMIN_LOOKS, _FIRST_ADMIN_LOOK_SECONDS = 200, 0.05  # hashing a password takes half a second
RESTART_TIMEOUT_SECONDS = 15.0  # a command waits so long for a restart of the embedded server
SIGNING_HELP = (
    "EVENT_TRIGGER_JWT_SECRET is not set. With DATABASE_URL it is required: 32 bytes or more, the"
    " same for every replica. Make one: python3 -c 'import secrets;"
    " print(secrets.token_urlsafe(48))'"
)


class SettingsError(Exception):
    """Settings that do not fit together; the message tells the operator what to set."""


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """The admin made at the first start; `password` is set only if it was generated."""

    email: str
    password: str | None


@dataclass(frozen=True, slots=True)
class Accounts:
    """Whether there are users, and the admin that was made at this start."""

    exist: bool
    first_admin: FirstAdmin | None


@contextmanager
def service_database(settings: Settings, *, on_give_up: Callable[[], None]) -> Iterator[Settings]:
    """Adds the URL of an embedded PostgreSQL, which this process runs, if DATABASE_URL is not set.

    The server is started again when it ends. When that fails, `on_give_up` is called from another
    thread, and EmbeddedPostgresError is raised after the body has ended.
    """
    if settings.database_url is not None:
        yield settings
        return
    with supervised_postgres(settings.data_dir, on_give_up=on_give_up) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})


@contextmanager
def command_database(settings: Settings, *, may_make: bool = False) -> Iterator[Settings]:
    """Adds the URL of an embedded PostgreSQL for one command, if DATABASE_URL is not set.

    The command uses the server of a running service, and waits while that is being restarted;
    without one, it runs a server itself. Raises SettingsError if there are no data yet, unless the
    command `may_make` them.
    """
    if settings.database_url is not None:
        yield settings
        return
    if url := url_if_running(settings.data_dir):
        if down_flag := down_flag_of(url):
            down_flag.wait(within=RESTART_TIMEOUT_SECONDS)
        yield settings.model_copy(update={"database_url": SecretStr(url)})
        return
    if not may_make and not has_data(settings.data_dir):
        raise SettingsError(
            f"There is no database in {settings.data_dir}: 'serve' or 'migrate' makes it. For"
            " another one, set DATABASE_URL or EVENT_TRIGGER_DATA_DIR."
        )
    with running_postgres(settings.data_dir) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})


def with_signing_secret(settings: Settings) -> Settings:
    """Adds the signing secret from the data directory if none is set.

    Raises SettingsError if DATABASE_URL is set: each replica would have another secret.
    """
    if settings.jwt_secret is not None:
        return settings
    if settings.database_url is not None:
        raise SettingsError(SIGNING_HELP)
    return settings.model_copy(update={"jwt_secret": SecretStr(stored_secret(settings.data_dir))})


def check_urls(settings: Settings) -> None:
    """Raises ValueError for a database URL that cannot be parsed, before anything is started."""
    for url, setting in (
        (settings.database_url, "DATABASE_URL"),
        (settings.read_database_url, REPLICA_SETTING),
        (settings.listen_database_url, LISTEN_SETTING),
    ):
        if url is not None:
            asyncpg_url(url.get_secret_value(), setting=setting)


def stored_secret(data_dir: Path) -> str:
    """Returns the signing secret from the data directory; makes it, with mode 0600, if missing."""
    file = make_data_dir(data_dir) / "jwt-secret"
    kept = file.read_text() if file.exists() else ""
    if len(kept) < MINIMUM_SECRET_BYTES:  # it is missing, or was truncated by a power failure
        kept = secrets.token_urlsafe(48)
        made = file.with_name("jwt-secret.new")
        made.unlink(missing_ok=True)
        made.touch(mode=0o600, exist_ok=False)
        made.write_text(kept)
        made.replace(file)
    return kept


class FirstStart(StartupCallbacks):
    """Makes the first admin once the database answers; gives up if it refuses for good."""

    waits_for_ever = False

    def __init__(self, settings: Settings, *, embedded: bool) -> None:
        self.accounts: Accounts | None = None
        self.failure: Exception | None = None
        self._wanted = _wanted_admin(settings, embedded=embedded)

    async def prepare(self, sessions: Sessions) -> None:
        with acting_as(Actor(ActorKind.OPERATOR, command="first admin")):
            admin = await _make_admin(sessions, self._wanted)
        self.accounts = Accounts(await has_users(sessions), admin)

    def failed(self, error: Exception) -> None:
        self.failure = error


class AfterFirstAdmin(StartupCallbacks):
    """Lets a worker be ready once the first process has made the first admin, who may sign in."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None
        is_embedded = down_flag_of(settings.database_url.get_secret_value()) is not None
        self._is_wanted = _wanted_admin(settings, embedded=is_embedded) is not None

    async def prepare(self, sessions: Sessions) -> None:
        """Waits for some seconds at most: a start makes no admin after the last user has left."""
        for _ in range(_FIRST_ADMIN_LOOKS if self._is_wanted else 0):
            if await has_users(sessions):
                return
            await asyncio.sleep(_FIRST_ADMIN_LOOK_SECONDS)


async def prepare(settings: Settings, callbacks: StartupCallbacks) -> None:
    """Migrates and prepares the database beside worker processes, which start by themselves."""
    assert settings.database_url is not None
    engine = create_engine(settings.database_url.get_secret_value(), connections=1)
    sessions = create_sessions(engine, AuditedSession)

    async def begin() -> None:
        await prepare_database(engine, sessions, settings)
        await callbacks.prepare(sessions)

    try:
        await Startup(engine, begin, callbacks).run()
    finally:
        await engine.dispose()


async def check_first_admin(sessions: Sessions, settings: Settings, *, migrated: bool) -> None:
    """Raises SettingsError if the first admin of the settings cannot be made, and is needed."""
    wanted = _wanted_admin(settings, embedded=settings.database_url is None)
    if wanted is not None and not (migrated and await has_users(sessions)):
        _check_admin(wanted)


@dataclass(frozen=True, slots=True)
class _WantedAdmin:
    """The first admin to make; a password that was not given in the settings is shown once."""

    email: str
    password: str
    is_given: bool


def _wanted_admin(settings: Settings, *, embedded: bool) -> _WantedAdmin | None:
    given = settings.admin_password and settings.admin_password.get_secret_value()
    email = settings.admin_email or (FIRST_ADMIN if embedded or given else None)
    if email is None or not (embedded or given):
        return None
    password = given or secrets.token_urlsafe(12)
    return _WantedAdmin(email, password, is_given=bool(given))


async def _make_admin(sessions: Sessions, wanted: _WantedAdmin | None) -> FirstAdmin | None:
    if wanted is None or await has_users(sessions):
        return None
    email, password = _check_admin(wanted)
    if not await add_first_admin(sessions, PasswordHasher(), email=email, password=password):
        return None
    return FirstAdmin(email, None if wanted.is_given else password)


def _check_admin(wanted: _WantedAdmin) -> tuple[str, str]:
    """Validates address and password; only when an admin is made, because they may stay set."""
    try:
        email = normalise_email(wanted.email)
    except ValueError as error:
        raise SettingsError(f"EVENT_TRIGGER_ADMIN_EMAIL: {error}.") from None
    try:
        return email, check_new_password(wanted.password)
    except ValueError as error:
        raise SettingsError(f"EVENT_TRIGGER_ADMIN_PASSWORD: {error}.") from None
