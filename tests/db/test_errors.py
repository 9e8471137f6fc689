"""Database errors are described with the server's text and SQLSTATE, and without secrets."""

import socket

import asyncpg
import pytest
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from event_trigger.db.engine import create_engine
from event_trigger.db.errors import FailureLog, describe_error, hint_for, public_reason


def said_by_server(kind: type[asyncpg.PostgresError], words: str) -> asyncpg.PostgresError:
    return kind(f"{words}\nDETAIL:  Key (payload)=(canary) is there.")


@pytest.mark.parametrize(
    ("error", "words", "kind"),
    [
        (
            said_by_server(asyncpg.InvalidPasswordError, 'password authentication failed for "x"'),
            'password authentication failed for "x" (28P01)',
            "the database refuses this login (28P01)",
        ),
        (
            said_by_server(asyncpg.TooManyConnectionsError, "sorry, too many clients already"),
            "the server has no connection left: sorry, too many clients already (53300)",
            "the database server has no connection left (53300)",
        ),
        (
            said_by_server(asyncpg.InsufficientPrivilegeError, "permission denied for schema x"),
            "permission denied for schema x (42501)",
            "the database role lacks a privilege (42501)",
        ),
        (
            said_by_server(asyncpg.DiskFullError, "could not extend file"),
            "could not extend file (53100)",
            "the disk of the database is full (53100)",
        ),
        (
            said_by_server(asyncpg.DataError, 'invalid input: "canary"'),
            "DataError (22000)",
            "the database refuses a statement (22000)",
        ),
        (
            DBAPIError("SELECT 'canary'", {"x": "canary"}, ConnectionRefusedError(111, "canary")),
            "connection refused",
            "the database does not answer",
        ),
        (
            socket.gaierror(-2, "canary"),
            "the host name cannot be resolved",
            "the database does not answer",
        ),
        (TimeoutError(), "no answer in time", "the database does not answer"),
        (
            PoolTimeout("canary"),
            "no connection of the pool was free in time",
            "no database connection was free in time",
        ),
        (ValueError("canary"), "ValueError", "an internal error, see the log"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_an_error_is_said_in_words(error: Exception, words: str, kind: str) -> None:
    assert describe_error(error) == words
    assert public_reason(error) == kind
    assert "canary" not in f"{hint_for(error)}"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('no pg_hba.conf entry for host "10.0.0.1", user "x", no encryption', "sslmode=require"),
        ("connection requires a valid client certificate", "sslcert and sslkey"),
        ('role "nobody" does not exist', "user and password"),
    ],
)
def test_a_refused_login_leads_to_what_the_server_wants(said: str, advice: str) -> None:
    error = said_by_server(asyncpg.InvalidAuthorizationSpecificationError, said)

    assert advice in f"{hint_for(error)}"


async def test_what_sqlalchemy_wraps_is_said_without_the_statement(database_url: str) -> None:
    engine = create_engine(database_url.replace("postgres@", "nobody:canary@"), connections=1)

    with pytest.raises(DBAPIError) as refused:
        async with engine.connect():
            pass
    await engine.dispose()

    assert describe_error(refused.value) == 'role "nobody" does not exist (28000)'


def test_a_failure_that_goes_on_is_logged_when_it_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = FailureLog(structlog.get_logger(), "failed", outage="waits")
    full, denied = asyncpg.TooManyConnectionsError("full"), asyncpg.UndefinedTableError("gone")

    for error in (full, full, denied, denied, full, denied):
        failures.failed("job", error)
    last = failures.last("job")
    failures.succeeded("job")

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert len(lines) == 2
    assert "waits" in lines[0]
    assert "sqlstate=53300" in lines[0]
    assert "failed" in lines[1]
    assert "sqlstate=42P01" in lines[1]
    assert last is denied
    assert failures.last("job") is None
