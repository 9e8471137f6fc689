"""What must be there before the service serves: a database, a secret, and the first admin."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from event_trigger.audit.recorder import Actor, AuditedSession, acting
from event_trigger.auth.email_addresses import normalise_email
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.passwords.policy import check_new_password
from event_trigger.auth.users import add_first_admin, has_users
from event_trigger.config import MINIMUM_SECRET_BYTES, Settings
from event_trigger.db.embedded.down_flag import down_flag_of
from event_trigger.db.embedded.server import (
    make_data_dir,
    running_postgres,
    supervised_postgres,
    url_if_running,
)
from event_trigger.db.engine import Sessions, asyncpg_url, create_engine, create_sessions
from event_trigger.db.notify import URL_SETTING as LISTEN_SETTING
from event_trigger.db.replica.replica import URL_SETTING as REPLICA_SETTING
from event_trigger.models import ActorKind
from event_trigger.startup import Host, Startup, prepare_database

FIRST_ADMIN = "admin@localhost"
BACK_WITHIN = 15.0  # seconds that a command waits for an embedded PostgreSQL to be started again
UNSIGNED = (
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


@dataclass(frozen=True, slots=True)
class Accounts:
    """Whether anybody can sign in, and who was made just now."""

    exist: bool
    first_admin: FirstAdmin | None


@contextmanager
def with_database(settings: Settings, *, gave_up: Callable[[], None]) -> Iterator[Settings]:
    """Completes settings without DATABASE_URL by an embedded PostgreSQL of this process.

    It is started again when it ends; after tries in vain `gave_up` is called, from another thread,
    and EmbeddedPostgresError raised when the body has ended.
    """
    if settings.database_url is not None:
        yield settings
        return
    with supervised_postgres(settings.data_dir, gave_up=gave_up) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})


@contextmanager
def reaching_database(settings: Settings) -> Iterator[Settings]:
    """Completes settings for one command, which shares the PostgreSQL of a service that runs.

    If the service's has just ended, it waits until it is back.
    """
    if settings.database_url is not None:
        yield settings
        return
    if url := url_if_running(settings.data_dir):
        if down_flag := down_flag_of(url):
            down_flag.wait(within=BACK_WITHIN)
        yield settings.model_copy(update={"database_url": SecretStr(url)})
        return
    with running_postgres(settings.data_dir) as url:
        yield settings.model_copy(update={"database_url": SecretStr(url)})


def signed(settings: Settings) -> Settings:
    """Completes settings without a signing secret by the one that an embedded service keeps.

    Raises SettingsError if there is a database of one's own: each replica would have another.
    """
    if settings.jwt_secret is not None:
        return settings
    if settings.database_url is not None:
        raise SettingsError(UNSIGNED)
    return settings.model_copy(update={"jwt_secret": SecretStr(kept_secret(settings.data_dir))})


def check_urls(settings: Settings) -> None:
    """Raises ValueError for one that cannot be read, before anything is made."""
    for url, setting in (
        (settings.database_url, "DATABASE_URL"),
        (settings.read_database_url, REPLICA_SETTING),
        (settings.listen_database_url, LISTEN_SETTING),
    ):
        if url is not None:
            asyncpg_url(url.get_secret_value(), setting=setting)


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


class FirstStart(Host):
    """Makes the first admin when the database is there, and gives up when it never will be."""

    waits_for_ever = False

    def __init__(self, settings: Settings, *, embedded: bool) -> None:
        self.accounts: Accounts | None = None
        self.failure: Exception | None = None
        self._wanted = _wanted_admin(settings, embedded=embedded)

    async def prepare(self, sessions: Sessions) -> None:
        with acting(Actor(ActorKind.OPERATOR, command="first admin")):
            admin = await _make_admin(sessions, self._wanted)
        self.accounts = Accounts(await has_users(sessions), admin)

    def failed(self, error: Exception) -> None:
        self.failure = error


async def prepare(settings: Settings, host: Host) -> None:
    """Does what a start needs of the database, for processes that serve and start by themselves."""
    assert settings.database_url is not None
    engine = create_engine(settings.database_url.get_secret_value(), connections=1)
    sessions = create_sessions(engine, AuditedSession)

    async def begin() -> None:
        await prepare_database(engine, sessions, settings)
        await host.prepare(sessions)

    try:
        await Startup(engine, begin, host).run()
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Names the first admin; a password that nobody has given is shown once."""

    email: str
    password: str
    is_given: bool


def _wanted_admin(settings: Settings, *, embedded: bool) -> _Wanted | None:
    given = settings.admin_password and settings.admin_password.get_secret_value()
    email = settings.admin_email or (FIRST_ADMIN if embedded or given else None)
    if email is None or not (embedded or given):
        return None
    password = given or secrets.token_urlsafe(12)
    return _Wanted(email, password, is_given=bool(given))


async def _make_admin(sessions: Sessions, wanted: _Wanted | None) -> FirstAdmin | None:
    if wanted is None or await has_users(sessions):
        return None
    email, password = _acceptable(wanted)
    if not await add_first_admin(sessions, PasswordHasher(), email=email, password=password):
        return None
    return FirstAdmin(email, None if wanted.is_given else password)


def _acceptable(wanted: _Wanted) -> tuple[str, str]:
    """Looks at what was set only when an admin is made of it: later on it may be what it was."""
    try:
        email = normalise_email(wanted.email)
    except ValueError as error:
        raise SettingsError(f"EVENT_TRIGGER_ADMIN_EMAIL: {error}.") from None
    try:
        return email, check_new_password(wanted.password)
    except ValueError as error:
        raise SettingsError(f"EVENT_TRIGGER_ADMIN_PASSWORD: {error}.") from None
