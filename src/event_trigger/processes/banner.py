"""Says what has started: in the log, and in a welcome text with address, login, first commands."""

import platform
import shlex
import threading
from typing import NamedTuple

import structlog
from pydantic_core import to_jsonable_python

from event_trigger import __version__
from event_trigger.bootstrap import FIRST_ADMIN, Accounts, FirstStart
from event_trigger.config import Settings
from event_trigger.db.engine import Sessions
from event_trigger.db.revisions import current_revision
from event_trigger.db.urls import place_of
from event_trigger.logs import release_lines
from event_trigger.triggers.schedule.zone_rules import describe_rules, zone_rules

log = structlog.get_logger()

_READ_TOKEN = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"


class _Server(NamedTuple):
    """The database server's version, and the revision of our tables in it."""

    version: str
    revision: str | None


class StartProgress(FirstStart):
    """Logs the start once the database is prepared, and welcomes once the server answers, too."""

    def __init__(self, settings: Settings, *, embedded: bool, workers: int) -> None:
        super().__init__(settings, embedded=embedded)
        self.has_failed = threading.Event()
        self._settings = settings
        self._embedded = embedded
        self._workers = workers
        self._server: _Server | None = None
        self._missing = {"database", "server"}

    async def prepare(self, sessions: Sessions) -> None:
        await super().prepare(sessions)
        async with sessions() as session:
            connection = await session.connection()
            version = connection.dialect.server_version_info or ()
            revision = await connection.run_sync(current_revision)
            self._server = _Server(".".join(map(str, version)), revision)

    def ready(self) -> None:
        release_lines(self._log_start)
        self._note("database")

    def server_answers(self) -> None:
        self._note("server")

    def failed(self, error: Exception) -> None:
        super().failed(error)
        self.has_failed.set()

    def _log_start(self) -> None:
        assert self._server is not None
        assert self._settings.database_url is not None
        url = self._settings.database_url.get_secret_value()
        log.info(
            "started",
            version=__version__,
            python=platform.python_version(),
            postgres=self._server.version,
            database="embedded" if self._embedded else place_of(url),
            data_dir=str(self._settings.data_dir.resolve()) if self._embedded else None,
            revision=self._server.revision,
            zone_rules=zone_rules().version,
            zone_rules_found=describe_rules(),
            active_for=to_jsonable_python(self._settings.active_for),
            keep_for=to_jsonable_python(self._settings.keep_for),
            workers=self._workers,
        )

    def _note(self, part: str) -> None:
        self._missing.discard(part)
        if not self._missing and self.accounts is not None:
            print(welcome(self._settings, self.accounts), flush=True)


def welcome(settings: Settings, accounts: Accounts) -> str:
    """Returns the URLs of the pages, the login, and three commands to paste."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    lines = ["", "Event Trigger Platform is ready.", "", f"  Console    {url}/console/"]
    lines.append(f"  Docs       {url}/api/docs")
    if not accounts.exist:
        return "\n".join([*lines, *_NO_USERS])
    email, admin = settings.admin_email or FIRST_ADMIN, accounts.first_admin
    password = '"$PASSWORD"'
    if settings.admin_password is not None:
        password = '"$EVENT_TRIGGER_ADMIN_PASSWORD"'
    if admin is not None and admin.password is not None:
        email, password = admin.email, shlex.quote(admin.password)
        lines += [f"  Login      {email}", f"  Password   {admin.password}   (shown this once)"]
    elif admin is not None:
        lines += [
            f"  Login      {admin.email}, with the password from EVENT_TRIGGER_ADMIN_PASSWORD"
        ]
    return "\n".join([*lines, *_commands(url, email, password)])


_NO_USERS = [
    "",
    "There is no user yet. Add one while the service runs:",
    "",
    "  event-trigger user add you@example.com --admin",
    "",
]


def _commands(url: str, email: str, password: str) -> list[str]:
    is_known = password != '"$PASSWORD"'
    return [
        "",
        "Sign in, and create a trigger that fires in three seconds:",
        "",
        *([] if is_known else ["  PASSWORD='the one from the first start'"]),
        f"  TOKEN=$(curl -s {url}/auth/token --data-urlencode username={shlex.quote(email)}"
        f" --data-urlencode password={password} | {_READ_TOKEN})",
        f'  curl -s {url}/triggers -H "Authorization: Bearer $TOKEN"'
        " -H 'Content-Type: application/json'"
        """ -d '{"type": "scheduled", "details": {"interval": "PT3S"}}'""",
        f'  sleep 4; curl -s {url}/events -H "Authorization: Bearer $TOKEN"',
        "",
    ]
