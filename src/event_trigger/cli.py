"""The command line: serve, migrate, distribute, manage users, and check settings and events."""

import argparse
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from event_trigger import __version__
from event_trigger.bootstrap import SettingsError
from event_trigger.commands import (
    check,
    distribute_tables,
    list_moves,
    manage_user,
    migrate_database,
    plan_distribution,
    rotate_all_keys,
    verify_instants,
    with_database,
)
from event_trigger.config import Settings
from event_trigger.db.embedded.server import EmbeddedPostgresError
from event_trigger.db.engine import is_outage
from event_trigger.db.errors import describe_error, hint_for
from event_trigger.errors import Problem
from event_trigger.logs import configure_logs
from event_trigger.startup import CannotStart


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, or 1 after a message on stderr, or 2 for wrong usage."""
    wanted = _parser().parse_args(arguments)
    try:
        settings = Settings()
        configure_logs(settings.log_format, settings.log_level)
        return _run(wanted, settings)
    except ValidationError as error:
        return _fail("\n".join(f"{_setting(one['loc'])}: {one['msg']}" for one in error.errors()))
    except Problem as problem:
        return _fail(problem.detail)
    except (SettingsError, EmbeddedPostgresError, CannotStart, ValueError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        hint = hint_for(error)
        if hint is None and not is_outage(error):
            raise
        message = f"The database does not answer: {describe_error(error)}."
        return _fail(f"{message} {hint or 'Is DATABASE_URL right?'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="event-trigger",
        description="Event Trigger Platform: schedules and calls become events, exactly once.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve_ = commands.add_parser("serve", help="run the service until it is stopped")
    serve_.add_argument(
        "--workers", type=_positive, default=1, help="number of processes (default: 1)"
    )
    commands.add_parser("migrate", help="migrate the database to this version")
    distribute_ = commands.add_parser(
        "distribute", help="distribute the tables over a Citus cluster; can be repeated"
    )
    distribute_.add_argument(
        "--dry-run", action="store_true", help="print the statements without running them"
    )
    commands.add_parser("check", help="check the settings and the database")
    commands.add_parser(
        "verify",
        aliases=["audit"],
        help="reconcile every planned instant; exit 1 if one has no event and no reason",
    )
    commands.add_parser(
        "tzdata", help="list the triggers that newer time zone rules move or have moved"
    )
    commands.add_parser(
        "rotate-keys",
        help="re-encrypt the secrets of destinations and hooks with the current key",
    )
    user = commands.add_parser("user", help="manage user accounts").add_subparsers(
        dest="action", required=True
    )
    add = user.add_parser(
        "add", help="add a user; asks for the password, or reads it from standard input"
    )
    add.add_argument("email")
    add.add_argument("--admin", action="store_true", help="make an admin, who sees all users' data")
    for action, help_ in (
        ("disable", "disable a user and end the logins and keys; the triggers keep firing"),
        ("password", "change a user's password and end the logins"),
    ):
        user.add_parser(action, help=help_).add_argument("email")
    erase = user.add_parser(
        "erase", help="erase a user, with the projects that nobody else is in; asks before it does"
    )
    erase.add_argument("email")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _run(wanted: argparse.Namespace, settings: Settings) -> int:
    match wanted.command:
        case "serve":
            # other commands start a second sooner without the HTTP application
            from event_trigger.server import serve  # noqa: PLC0415

            serve(settings, workers=wanted.workers)
        case "migrate":
            print(with_database(settings, migrate_database))
        case "distribute":
            work = plan_distribution if wanted.dry_run else distribute_tables
            print(with_database(settings, work))
        case "check":
            print(with_database(settings, check(settings)))
        case "verify" | "audit":
            verification = with_database(settings, verify_instants(settings))
            print(*verification.findings, verification.summary(), sep="\n")
            return 0 if verification.adds_up else 1
        case "tzdata":
            with_database(settings, list_moves)
        case "rotate-keys":
            print(with_database(settings, rotate_all_keys(settings), "rotate-keys"))
        case "user":
            print(with_database(settings, manage_user(wanted), f"user {wanted.action}"))
    return 0


def _setting(location: tuple[int | str, ...]) -> str:
    name = str(location[0]).upper() if location else "settings"
    return name if name in {"DATABASE_URL", "HOST", "PORT", "SETTINGS"} else f"EVENT_TRIGGER_{name}"


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
