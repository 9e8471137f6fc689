"""Prints the welcome text after a start: address, login and first commands."""

import shlex
import threading

from event_trigger.bootstrap import FIRST_ADMIN, Accounts, FirstStart
from event_trigger.config import Settings

_READ_TOKEN = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"


class StartProgress(FirstStart):
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


def welcome(settings: Settings, accounts: Accounts) -> str:
    """Returns the URL of the docs, the login, and three commands to paste."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    lines = ["", "Event Trigger Platform is ready.", "", f"  Docs       {url}/api/docs"]
    if not accounts.exist:
        return "\n".join([*lines, *_NO_USERS])
    email, admin = settings.admin_email or FIRST_ADMIN, accounts.first_admin
    password = '"$PASSWORD"'
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
