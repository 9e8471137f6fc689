"""Describes database errors in plain words, with SQLSTATE and without secrets."""

import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.stdlib import BoundLogger

from event_trigger.db.engine import (
    DATABASE_ERRORS,
    DEADLOCK_DETECTED,
    LOCK_NOT_AVAILABLE,
    is_outage,
    sqlstate,
)
from event_trigger.db.pool import TOO_MANY_CONNECTIONS

_HINTS = {
    "28": "Set the right user and password in DATABASE_URL.",
    "3D": "Name a database that exists in DATABASE_URL, or create it.",
    "42501": "Give the role of DATABASE_URL the right to connect, and CREATE on its schema.",
    TOO_MANY_CONNECTIONS: "Lower EVENT_TRIGGER_DATABASE_CONNECTIONS of the processes that share"
    " the server, or raise its max_connections.",
}
_LOGIN_HINTS = {  # by words of the server, of which one may be in a language of its own
    "no encryption": "Write sslmode=verify-full, or sslmode=require, into DATABASE_URL.",
    "client certificate": "Name a client certificate in DATABASE_URL: sslcert and sslkey.",
}
_CERTIFICATE_HINT = (
    "Name its authority in DATABASE_URL (sslrootcert), and the host as the certificate does."
)
REPEAT_AFTER_SECONDS = 60.0  # between two log lines about one ongoing failure
_LONGEST_MESSAGE = 300  # characters
_DATA_EXCEPTION = "22"  # class of SQLSTATE whose messages quote the values that were sent
_PUBLIC_REASONS = {  # by SQLSTATE or its class; they name no users and no addresses
    TOO_MANY_CONNECTIONS: "the database server has no connection left",
    "53100": "the disk of the database is full",
    "28": "the database refuses this login",
    "3D": "the database does not exist",
    "42501": "the database role lacks a privilege",
    "57P": "the database is starting or shutting down",
}


def describe_error(error: BaseException) -> str:
    """Returns the server's first line and SQLSTATE, or the operating system's message.

    Statements, parameters and URLs are left out. Any other error is described by its type alone.
    """
    error = _cause(error)
    if isinstance(error, PoolTimeout):
        return "no connection of the pool was free in time"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return _system_message(error)
    if not isinstance(error, DATABASE_ERRORS):
        return type(error).__name__
    state, message = sqlstate(error), _first_line(error) or type(error).__name__
    if state.startswith(_DATA_EXCEPTION):
        message = type(error).__name__
    if state == TOO_MANY_CONNECTIONS:
        message = f"the server has no connection left: {message}"
    return f"{message} ({state})" if state else message


def log_fields(error: BaseException) -> dict[str, str]:
    """Returns the fields of a log line about an error: `error`, and `sqlstate` if it has one."""
    state = sqlstate(error)
    return {"error": describe_error(error)} | ({"sqlstate": state} if state else {})


def hint_for(error: BaseException) -> str | None:
    """Returns advice for the operator about an error that waiting does not fix, if there is any."""
    if is_certificate_untrusted(error):
        return _CERTIFICATE_HINT
    state = sqlstate(error)
    if state.startswith("28"):
        said = _first_line(_cause(error))
        for words, hint in _LOGIN_HINTS.items():
            if words in said:
                return hint
    return next((hint for start, hint in _HINTS.items() if state.startswith(start)), None)


def is_certificate_untrusted(error: BaseException) -> bool:
    """Tells whether we refused the server, since its certificate or its name is not as we want."""
    return isinstance(_cause(error), ssl.SSLCertVerificationError)


def is_shortage(error: BaseException) -> bool:
    """Tells whether the server has no connection left, or the pool had none free in time."""
    return isinstance(error, PoolTimeout) or sqlstate(error) == TOO_MANY_CONNECTIONS


def is_collision(error: BaseException) -> bool:
    """Tells whether a transaction was rolled back because of locks that others held for long."""
    return sqlstate(error) in {DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE}


def public_reason(error: BaseException) -> str:
    """Describes an error for `/readyz`, without the server's text: it may name users and hosts."""
    error, state = _cause(error), sqlstate(error)
    if not isinstance(error, DATABASE_ERRORS):
        return "an internal error, see the log"
    for start, words in _PUBLIC_REASONS.items():
        if state.startswith(start):
            return f"{words} ({state})"
    if isinstance(error, PoolTimeout):
        return "no database connection was free in time"
    if is_certificate_untrusted(error):
        return "the certificate of the database is not trusted"
    reason = "the database " + ("does not answer" if is_outage(error) else "refuses a statement")
    return f"{reason} ({state})" if state else reason


@dataclass
class _OngoingFailure:
    """The time of a failure's last log line, and its repetitions since then."""

    logged_at: float
    count: int = 0


@dataclass
class FailureLog:
    """Logs a failure when it begins, and then once a minute with its count.

    Failures are distinguished by name and by SQLSTATE, or else by type. The log event is `outage`
    if the database is at fault, and `event` for any other error.
    """

    log: BoundLogger
    event: str
    outage: str
    _ongoing: dict[tuple[str, str], _OngoingFailure] = field(default_factory=dict)
    _last: dict[str, BaseException] = field(default_factory=dict)

    def failed(self, name: str, error: BaseException, **fields: Any) -> None:
        """Logs the failure unless it was logged within a minute; adds a traceback the first time.

        An outage of the database gets no traceback.
        """
        now, key = time.monotonic(), (name, sqlstate(error) or type(_cause(error)).__name__)
        self._last[name] = error
        known = self._ongoing.get(key)
        if known is not None and now - known.logged_at < REPEAT_AFTER_SECONDS:
            known.count += 1
            return
        line = log_fields(error) | ({} if known is None else {"count": known.count + 1}) | fields
        self._ongoing[key] = _OngoingFailure(now)
        if is_outage(error):
            self.log.warning(self.outage, **line)
        else:
            self.log.error(self.event, **line, exc_info=error if known is None else None)

    def succeeded(self, name: str) -> None:
        """Ends a failure; if it returns within a minute, it is counted and not logged again."""
        self._last.pop(name, None)
        if self._ongoing:
            now = time.monotonic()
            self._ongoing = {
                key: one
                for key, one in self._ongoing.items()
                if key[0] != name or now - one.logged_at < REPEAT_AFTER_SECONDS
            }

    def last(self, name: str) -> BaseException | None:
        """Returns the latest failure under this name, or None if it has succeeded since."""
        return self._last.get(name)


def _cause(error: BaseException) -> BaseException:
    """Returns the driver's error inside SQLAlchemy's, whose own text contains the statement."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    inner = getattr(cause, "orig", None)
    return inner if isinstance(inner, BaseException) else cause or error


def _system_message(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):  # its errno is none of the system's
        return f"TLS failed: {(error.reason or 'for no known reason').replace('_', ' ').lower()}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return _first_line(error) or type(error).__name__


def _first_line(error: BaseException) -> str:
    """Uses only the first argument: SQLAlchemy appends links to the text, and asyncpg details."""
    return str(error.args[0] if error.args else "").partition("\n")[0][:_LONGEST_MESSAGE]
