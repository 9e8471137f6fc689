"""The command line: serve, migrate, distribute, manage users, and check settings and events."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger import __version__
from event_trigger.audit.actor import Actor, acting_as
from event_trigger.audit.session import AuditedSession
from event_trigger.auth.email_addresses import normalise_email
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.passwords.policy import check_new_password
from event_trigger.auth.users import add_user, disable_user, set_password
from event_trigger.bootstrap import SettingsError, command_database, with_signing_secret
from event_trigger.config import Settings
from event_trigger.db.citus.distribute import distribute, planned_statements
from event_trigger.db.embedded.server import EmbeddedPostgresError
from event_trigger.db.engine import Sessions, create_engine, create_sessions, is_outage
from event_trigger.db.errors import describe_error, hint_for
from event_trigger.db.installation import read_installation
from event_trigger.db.migrate import current_revision, is_migrated, migrate, newest_revision
from event_trigger.destinations.lifecycle import rotate_keys
from event_trigger.erasure.command import erase_by_address
from event_trigger.errors import Problem
from event_trigger.hooks.lifecycle import rotate_hook_keys
from event_trigger.logs import configure_logs
from event_trigger.models import ActorKind, Role
from event_trigger.reconciliation.verify import Verification, verify
from event_trigger.startup import CannotStart
from event_trigger.triggers.schedule.zone_rules import describe_rules
from event_trigger.triggers.zone_updates.report import moves_in_words
from event_trigger.vault import Vault

_CONNECTIONS = 2  # a command runs beside the service, perhaps on a small server
T = TypeVar("T")
DatabaseWork = Callable[[AsyncEngine, Sessions], Awaitable[T]]


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
            print(_with_database(settings, _migrate))
        case "distribute":
            print(_with_database(settings, _dry_run if wanted.dry_run else _distribute))
        case "check":
            print(_with_database(settings, _check(settings)))
        case "verify" | "audit":
            verification = _with_database(settings, _verify(settings))
            print(*verification.findings, verification.summary(), sep="\n")
            return 0 if verification.adds_up else 1
        case "tzdata":
            _with_database(settings, _list_moves)
        case "rotate-keys":
            print(_with_database(settings, _rotate_keys(settings), "rotate-keys"))
        case "user":
            print(_with_database(settings, _user(wanted), f"user {wanted.action}"))
    return 0


def _with_database(settings: Settings, work: DatabaseWork[T], command: str = "") -> T:
    """Runs `work` on the database; the audit log names `command` as the action of its changes."""

    async def run(url: str) -> T:
        engine = create_engine(url, connections=_CONNECTIONS)
        try:
            with acting_as(Actor(ActorKind.OPERATOR, command=command)):
                return await work(engine, create_sessions(engine, AuditedSession))
        finally:
            await engine.dispose()

    with command_database(settings) as complete:
        assert complete.database_url is not None
        return asyncio.run(run(complete.database_url.get_secret_value()))


async def _migrate(engine: AsyncEngine, _: Sessions) -> str:
    await migrate(engine)
    async with engine.connect() as connection:
        return f"The database is at revision {await connection.run_sync(current_revision)}."


async def _dry_run(engine: AsyncEngine, _: Sessions) -> str:
    statements = await planned_statements(engine)
    if not statements:
        return "-- Nothing to do: every table is in its place."
    return "\n".join(f"{one};" for one in statements)


async def _distribute(engine: AsyncEngine, _: Sessions) -> str:
    if await distribute(engine, lambda statement: print(statement, flush=True)):
        return "Every table is in its place."
    return "Nothing to do: every table is in its place."


def _check(settings: Settings) -> DatabaseWork[str]:
    async def check(engine: AsyncEngine, _: Sessions) -> str:
        if settings.database_url is not None and settings.jwt_secret is None:
            raise SettingsError(
                "EVENT_TRIGGER_JWT_SECRET is not set: 'serve' would refuse to start."
            )
        async with engine.connect() as connection:
            current = await connection.run_sync(current_revision)
            migrated = await connection.run_sync(is_migrated)
            installation = await read_installation(connection) if migrated else None
            server = connection.dialect.server_version_info or ()
        at = f"revision {current}" if current else "no revision yet"
        if not migrated:
            at += f"; 'serve' or 'migrate' will migrate it to {newest_revision()}"
        kind = "your own" if settings.database_url is not None else "embedded"
        return (
            f"Settings are valid.\nThe database ({kind}, PostgreSQL {'.'.join(map(str, server))})"
            f" answers, and is at {at}.\nZone rules: {describe_rules()}."
            + ("" if installation is None else f"\nThis is installation {installation}.")
        )

    return check


def _verify(settings: Settings) -> DatabaseWork[Verification]:
    async def work(engine: AsyncEngine, sessions: Sessions) -> Verification:
        async with engine.connect() as connection:
            if not await connection.run_sync(is_migrated):
                raise SettingsError("The database is not migrated to this version: run 'migrate'.")
        return await verify(sessions, keep_for=settings.keep_for)

    return work


async def _list_moves(_: AsyncEngine, sessions: Sessions) -> None:
    print(f"Zone rules: {describe_rules()}.")
    async for line in moves_in_words(sessions):
        print(line)


def _rotate_keys(settings: Settings) -> DatabaseWork[str]:
    async def work(engine: AsyncEngine, sessions: Sessions) -> str:
        await migrate(engine)
        vault = Vault.of(with_signing_secret(settings))
        destinations = await rotate_keys(sessions, vault)
        hooks = await rotate_hook_keys(sessions, vault)
        done = f"{destinations.count} destinations and {hooks.count} hooks were re-encrypted"
        lost = {"destinations": destinations.unreadable, "hooks of triggers": hooks.unreadable}
        if not any(lost.values()):
            return f"{done}; all have the current key."
        named = [f"{kind} {', '.join(map(str, ids))}" for kind, ids in lost.items() if ids]
        raise SettingsError(
            f"{done}. The keys of {' and '.join(named)} are not set. Set the previous key, or"
            " rotate their secrets over HTTP."
        )

    return work


def _user(wanted: argparse.Namespace) -> DatabaseWork[str]:
    email = normalise_email(wanted.email) if wanted.action == "add" else wanted.email
    password = _new_password() if wanted.action in {"add", "password"} else ""

    async def work(engine: AsyncEngine, sessions: Sessions) -> str:
        await migrate(engine)
        match wanted.action:
            case "add":
                role = Role.ADMIN if wanted.admin else Role.USER
                user = await add_user(
                    sessions, PasswordHasher(), email=email, password=password, role=role
                )
                return f"{user.email} is now user {user.id} ({role})."
            case "password":
                await set_password(sessions, PasswordHasher(), email=email, password=password)
                return (
                    f"{email} has a new password; all older logins have ended."
                    " API keys stay: see GET /auth/keys."
                )
            case "erase":
                confirm = _confirm_always if wanted.yes else _confirm
                return await erase_by_address(sessions, email, confirm=confirm)
            case _:
                await disable_user(sessions, email=email)
                return f"{email} is disabled; all logins and keys have ended."

    return work


def _new_password() -> str:
    if sys.stdin.isatty():
        password = getpass.getpass("New password: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    return check_new_password(password)


def _confirm(question: str) -> bool:
    """Asks on the terminal, or reads a line of standard input."""
    print(question)
    print("Write 'erase' to go on: ", end="", flush=True)
    return sys.stdin.readline().strip() == "erase"


def _confirm_always(question: str) -> bool:
    print(question)
    return True


def _setting(location: tuple[int | str, ...]) -> str:
    name = str(location[0]).upper() if location else "settings"
    return name if name in {"DATABASE_URL", "HOST", "PORT", "SETTINGS"} else f"EVENT_TRIGGER_{name}"


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
