"""The commands' work on the database: each returns the text to print, or prints line by line."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.audit.recorder import AuditedSession
from event_trigger.auth.email_addresses import normalise_email
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.passwords.policy import check_new_password
from event_trigger.auth.users import add_user, disable_user, set_password
from event_trigger.bootstrap import (
    SettingsError,
    check_urls,
    command_database,
    with_signing_secret,
)
from event_trigger.config import Settings
from event_trigger.db.backup import restore_backup, write_backup
from event_trigger.db.citus.detect import is_distributed
from event_trigger.db.distribute import distribute, planned_statements
from event_trigger.db.embedded.server import has_data
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.db.migrate import migrate, migrate_back
from event_trigger.db.revisions import current_revision, is_migrated
from event_trigger.destinations.lifecycle import rotate_keys
from event_trigger.diagnosis import Diagnosis, diagnose
from event_trigger.erasure.command import erase_by_address
from event_trigger.hooks.rotation import rotate_hook_keys
from event_trigger.models import ActorKind, Role
from event_trigger.reconciliation.verify import Verification, counted, verify
from event_trigger.triggers.schedule.zone_rules import describe_rules
from event_trigger.triggers.zone_updates.report import moves_in_words
from event_trigger.upgrade import upgrade_data
from event_trigger.vault import Vault

_KEY_HINT = (
    "The secrets in it are encrypted: they need the same EVENT_TRIGGER_ENCRYPTION_KEY or, without"
    " one, EVENT_TRIGGER_JWT_SECRET, which the embedded database has in jwt-secret beside its data."
)
_NODES_APART = (
    "the rows of all nodes of the cluster, for one server or a new cluster. They were not read at"
    " one instant: it adds up only if every replica was stopped."
)
_CONNECTIONS = 2  # a command runs beside the service, perhaps on a small server
T = TypeVar("T")
DatabaseWork = Callable[[AsyncEngine, Sessions], Awaitable[T]]


def run(wanted: argparse.Namespace, settings: Settings) -> int:
    """Runs any command but `serve`; returns the exit code."""
    match wanted.command:
        case "migrate":
            work = migrate_database if wanted.back_to is None else go_back(wanted.back_to)
            print(with_database(settings, work, may_make=wanted.back_to is None))
        case "distribute":
            work = plan_distribution if wanted.dry_run else distribute_tables
            print(with_database(settings, work))
        case "check":
            check_urls(settings)
            return _report(check(settings))
        case "backup":
            print(with_database(settings, back_up(wanted.file)))
        case "restore":
            print(with_database(settings, restore(wanted.file), may_make=True))
        case "upgrade":
            return upgrade_data(settings, wanted.old_binaries)
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


def with_database(
    settings: Settings, work: DatabaseWork[T], command: str = "", *, may_make: bool = False
) -> T:
    """Runs `work` on the database; the audit log names `command` as the action of its changes.

    Makes an embedded database only if it `may_make` one.
    """

    async def run(url: str) -> T:
        engine = create_engine(url, connections=_CONNECTIONS)
        try:
            with acting_as(Actor(ActorKind.OPERATOR, command=command)):
                return await work(engine, create_sessions(engine, AuditedSession))
        finally:
            await engine.dispose()

    with command_database(settings, may_make=may_make) as complete:
        assert complete.database_url is not None
        return asyncio.run(run(complete.database_url.get_secret_value()))


async def migrate_database(engine: AsyncEngine, _: Sessions) -> str:
    await migrate(engine)
    async with engine.connect() as connection:
        return f"The database is at revision {await connection.run_sync(current_revision)}."


def go_back(revision: str) -> DatabaseWork[str]:
    async def work(engine: AsyncEngine, _: Sessions) -> str:
        await migrate_back(engine, revision)
        return (
            f"The database is at revision {revision}. Start only the version of the service that"
            " belongs to it: any newer one migrates it again."
        )

    return work


async def plan_distribution(engine: AsyncEngine, _: Sessions) -> str:
    statements = await planned_statements(engine)
    if not statements:
        return "-- Nothing to do: every table is in its place."
    return "\n".join(f"{one};" for one in statements)


async def distribute_tables(engine: AsyncEngine, _: Sessions) -> str:
    if await distribute(engine, lambda statement: print(statement, flush=True)):
        return "Every table is in its place."
    return "Nothing to do: every table is in its place."


def check(settings: Settings) -> Diagnosis:
    """Diagnoses the database; without embedded data, an empty one that is deleted again."""
    if settings.database_url is not None or has_data(settings.data_dir):
        return with_database(settings, diagnosing(settings))
    with TemporaryDirectory(prefix="event-trigger-check-") as folder:
        Path(folder).chmod(0o711)  # for the account of root's server
        elsewhere = settings.model_copy(update={"data_dir": Path(folder) / "data"})
        found = with_database(elsewhere, diagnosing(settings), may_make=True)
    found.facts.append(
        f"There is no database in {settings.data_dir} yet: 'serve' or 'migrate' makes it. This"
        " looked at an empty one, which is deleted again."
    )
    return found


def diagnosing(settings: Settings) -> DatabaseWork[Diagnosis]:
    async def work(engine: AsyncEngine, _: Sessions) -> Diagnosis:
        return await diagnose(engine, settings)

    return work


def _report(found: Diagnosis) -> int:
    """Prints failures on stderr, and everything else on stdout; returns the exit code."""
    print(*found.facts, *(f"Warning: {one}" for one in found.warnings), sep="\n")
    for one in found.failures:
        print(f"Failure: {one}", file=sys.stderr)
    return 1 if found.failures else 0


def back_up(file: Path) -> DatabaseWork[str]:
    async def work(engine: AsyncEngine, _: Sessions) -> str:
        await asyncio.to_thread(write_backup, engine.url, file)
        async with engine.connect() as connection:
            in_cluster = await is_distributed(connection)
        when = _NODES_APART if in_cluster else "the database as it was when this began."
        return f"{file} has {when} {_KEY_HINT}"

    return work


def restore(file: Path) -> DatabaseWork[str]:
    async def work(engine: AsyncEngine, _: Sessions) -> str:
        async with engine.connect() as connection:
            if await connection.run_sync(current_revision) is not None:
                raise SettingsError(
                    "The database has our tables already: restore into an empty one. Nothing was"
                    " changed."
                )
        await asyncio.to_thread(restore_backup, engine.url, file)
        return f"The database is restored from {file}. {_KEY_HINT}"

    return work


def verify_instants(settings: Settings) -> DatabaseWork[Verification]:
    async def work(engine: AsyncEngine, sessions: Sessions) -> Verification:
        async with engine.connect() as connection:
            if not await connection.run_sync(is_migrated):
                raise SettingsError("The database is not migrated to this version: run 'migrate'.")
        return await verify(sessions, keep_for=settings.keep_for)

    return work


async def list_moves(_: AsyncEngine, sessions: Sessions) -> None:
    print(f"Zone rules: {describe_rules()}.")
    async for line in moves_in_words(sessions):
        print(line)


def rotate_all_keys(settings: Settings) -> DatabaseWork[str]:
    async def work(engine: AsyncEngine, sessions: Sessions) -> str:
        await migrate(engine)
        vault = Vault.of(with_signing_secret(settings))
        destinations = await rotate_keys(sessions, vault)
        hooks = await rotate_hook_keys(sessions, vault)
        count = f"{counted(destinations.count, 'destination')} and {counted(hooks.count, 'hook')}"
        done = f"Re-encrypted: {count}"
        lost = {"destinations": destinations.unreadable, "hooks of triggers": hooks.unreadable}
        if not any(lost.values()):
            return f"{done}. All have the current key."
        named = [f"{kind} {', '.join(map(str, ids))}" for kind, ids in lost.items() if ids]
        raise SettingsError(
            f"{done}. The keys of {' and '.join(named)} are not set. Set the previous key, or"
            " rotate their secrets over HTTP."
        )

    return work


def manage_user(wanted: argparse.Namespace) -> DatabaseWork[str]:
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
