"""Puts what a database did wrong in words: the server's own, with its SQLSTATE, and no secret."""

import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.stdlib import BoundLogger

from event_trigger.db.engine import DATABASE_ERRORS, is_outage, sqlstate
from event_trigger.db.pool import TOO_MANY_CONNECTIONS

_HINTS = {
    "28": "Set the right user and password in DATABASE_URL.",
    "3D": "Name a database that exists in DATABASE_URL, or create it.",
    "42501": "Give the role of DATABASE_URL the right to connect, and CREATE on its schema.",
    TOO_MANY_CONNECTIONS: "Lower EVENT_TRIGGER_DATABASE_CONNECTIONS of the processes that share"
    " the server, or raise its max_connections.",
}
SAY_EVERY = 60.0  # seconds between two log lines about one failure that goes on
_LONGEST = 300  # characters
_REPEATS_VALUES = "22"  # the class of SQLSTATE whose messages quote what was sent
_KINDS = {  # what anybody may read, by SQLSTATE or its class: no names, no addresses
    TOO_MANY_CONNECTIONS: "the database server has no connection left",
    "28": "the database refuses this login",
    "3D": "the database does not exist",
    "42501": "the database refuses this for want of a privilege",
    "57P": "the database is starting or shutting down",
}


def in_words(error: BaseException) -> str:
    """Gives the server's first line and its SQLSTATE, or what the operating system says.

    Statements, parameters and URLs are left out; of any other error the type is all that is said.
    """
    error = _cause(error)
    if isinstance(error, PoolTimeout):
        return "no connection of the pool was free in time"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return _of_the_system(error)
    if not isinstance(error, DATABASE_ERRORS):
        return type(error).__name__
    state, said = sqlstate(error), _first_line(error) or type(error).__name__
    if state.startswith(_REPEATS_VALUES):
        said = type(error).__name__
    if state == TOO_MANY_CONNECTIONS:
        said = f"the server has no connection left: {said}"
    return f"{said} ({state})" if state else said


def described(error: BaseException) -> dict[str, str]:
    """The fields of a log line about an error: `error` in words, `sqlstate` if there is one."""
    state = sqlstate(error)
    return {"error": in_words(error)} | ({"sqlstate": state} if state else {})


def hint_for(error: BaseException) -> str | None:
    """Says what to set against an error that waiting may never mend."""
    state = sqlstate(error)
    return next((hint for start, hint in _HINTS.items() if state.startswith(start)), None)


def is_shortage(error: BaseException) -> bool:
    """Whether no connection was to get: the server has none left, or the pool has none free."""
    return isinstance(error, PoolTimeout) or sqlstate(error) == TOO_MANY_CONNECTIONS


def kind_of(error: BaseException) -> str:
    """Says what is wrong to anybody: no word of the server's, which may name users and hosts."""
    error, state = _cause(error), sqlstate(error)
    if not isinstance(error, DATABASE_ERRORS):
        return "an error of its own, which is in the log"
    for start, words in _KINDS.items():
        if state.startswith(start):
            return f"{words} ({state})"
    if isinstance(error, PoolTimeout):
        return "no database connection was free in time"
    words = "does not answer" if is_outage(error) else "refuses a statement of ours"
    return f"the database {words} ({state})" if state else f"the database {words}"


@dataclass
class _Failing:
    """A failure that goes on: when it was last logged, and how often it came since."""

    said_at: float
    count: int = 0


@dataclass
class FailureLog:
    """Logs a failure when it begins or changes, and then once a minute with its count.

    Failures of one thing are told apart by their SQLSTATE, or else by their type. `outage` is the
    event of those that are the database's fault.
    """

    log: BoundLogger
    event: str
    outage: str
    _failing: dict[tuple[str, str], _Failing] = field(default_factory=dict)
    _last: dict[str, BaseException] = field(default_factory=dict)

    def failed(self, name: str, error: BaseException, **fields: Any) -> None:
        """Of what is nobody's outage, the first line has the traceback."""
        now, key = time.monotonic(), (name, sqlstate(error) or type(_cause(error)).__name__)
        self._last[name] = error
        known = self._failing.get(key)
        if known is not None and now - known.said_at < SAY_EVERY:
            known.count += 1
            return
        said = described(error) | ({} if known is None else {"count": known.count + 1}) | fields
        self._failing[key] = _Failing(now)
        if is_outage(error):
            self.log.warning(self.outage, **said)
        else:
            self.log.error(self.event, **said, exc_info=error if known is None else None)

    def succeeded(self, name: str) -> None:
        """Forgets a failure once it has not come for a minute: one that flaps is no news."""
        self._last.pop(name, None)
        if self._failing:
            now = time.monotonic()
            self._failing = {
                key: one
                for key, one in self._failing.items()
                if key[0] != name or now - one.said_at < SAY_EVERY
            }

    def last(self, name: str) -> BaseException | None:
        """Gives the latest failure, unless it has succeeded since."""
        return self._last.get(name)


def _cause(error: BaseException) -> BaseException:
    """The driver's own error inside SQLAlchemy's, whose text holds the statement."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    inner = getattr(cause, "orig", None)
    return inner if isinstance(inner, BaseException) else cause or error


def _of_the_system(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return _first_line(error) or type(error).__name__


def _first_line(error: BaseException) -> str:
    """The first argument only: SQLAlchemy appends links to the text, and asyncpg details."""
    return str(error.args[0] if error.args else "").partition("\n")[0][:_LONGEST]
