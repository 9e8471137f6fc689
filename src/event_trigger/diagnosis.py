"""Finds what `serve` would stumble over, before it is started: for the command `check`."""

import os
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from event_trigger.bootstrap import SIGNING_HELP, SettingsError, check_first_admin
from event_trigger.clock import utc_now
from event_trigger.config import MIN_CONNECTIONS, Settings
from event_trigger.db.citus.detect import is_distributed
from event_trigger.db.engine import DATABASE_ERRORS, create_engine, create_sessions
from event_trigger.db.errors import describe_error
from event_trigger.db.installation import read_installation
from event_trigger.db.nodes import check_nodes
from event_trigger.db.notify import LISTEN_URL_SETTING
from event_trigger.db.pgbouncer import is_direct
from event_trigger.db.replica.replica import REPLICA_URL_SETTING, find_mismatch
from event_trigger.db.revisions import (
    current_revision,
    is_migrated,
    known_revisions,
    newest_revision,
)
from event_trigger.db.server_facts import ServerFacts, free_connections, read_facts
from event_trigger.db.tls import TlsMode, TlsParameters
from event_trigger.deliveries.mail.server import try_mail_server
from event_trigger.misspelt_settings import misspelt_settings
from event_trigger.triggers.schedule.zone_rules import describe_rules, zone_rules

OLDEST_MAJOR = 13
CLOCK_DIFFERENCE = timedelta(seconds=2)
LEAST_DISK_BYTES = 1024**3
OLD_RULES_AFTER = timedelta(days=180)  # from the end of the year that their version names
_SHOWN_TABLES = 5
Find = Callable[[AsyncEngine], Awaitable[str | None]]
_YEAR = re.compile(r"[0-9]{4}")


@dataclass
class Diagnosis:
    """The findings: facts, warnings, and failures, which `serve` would not get over."""

    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


async def diagnose(engine: AsyncEngine, settings: Settings) -> Diagnosis:
    """Looks at the settings, the database and the machine; raises the database's errors."""
    found = Diagnosis()
    found.warnings += map(str, misspelt_settings())
    if settings.database_url is not None and settings.jwt_secret is None:
        found.failures.append(SIGNING_HELP)
    else:
        found.facts.append("Settings are valid.")
    async with engine.connect() as connection:
        facts, off_by = await _facts_and_clock(connection)
        await _look_at_schema(connection, settings, found)
        found.failures += failures_of(facts)
        found.warnings += _warnings_of(facts, off_by)
        free = await free_connections(connection) + 1  # this one ends with the command
        _look_at_connections(free, settings, found)
    await _look_at_first_admin(engine, settings, found)
    if settings.database_url is not None:
        _look_at_tls(engine.url, found)
    else:
        _look_at_disk(settings.data_dir, found)
    _look_at_zone_rules(facts.now, found)
    await _look_at_other_urls(engine, settings, found)
    await _look_at_mail(settings, found)
    return found


async def _look_at_mail(settings: Settings, found: Diagnosis) -> None:
    try:
        answered = await try_mail_server(settings)
    except ValueError as error:
        found.failures.append(str(error))
        return
    if answered is not None:
        found.facts.append(answered)


async def _facts_and_clock(connection: AsyncConnection) -> tuple[ServerFacts, timedelta]:
    """Returns the facts, and how far the database's clock is ahead of this machine's."""
    await read_facts(connection)  # prepares the statement, which takes longer than its answer
    before = utc_now()
    facts = await read_facts(connection)
    return facts, facts.now - (before + (utc_now() - before) / 2)


async def _look_at_schema(
    connection: AsyncConnection, settings: Settings, found: Diagnosis
) -> None:
    current = await connection.run_sync(current_revision)
    migrated = await connection.run_sync(is_migrated)
    version = ".".join(map(str, connection.dialect.server_version_info or ()))
    kind = "your own" if settings.database_url is not None else "embedded"
    at = f"revision {current}" if current else "no revision yet"
    if not migrated:
        at += f"; 'serve' or 'migrate' will migrate it to {newest_revision()}"
    found.facts.append(f"The database ({kind}, PostgreSQL {version}) answers, and is at {at}.")
    if migrated:
        found.facts.append(f"This is installation {await read_installation(connection)}.")
    if current is not None and current not in known_revisions():
        found.warnings.append(
            f"A newer version of the service has migrated the database to {current}. This one"
            " works with the schema of the next version, and of no later one."
        )
    if await is_distributed(connection):
        nodes = await check_nodes(connection)
        if away := [address for address, is_reached in nodes.items() if not is_reached]:
            found.failures.append(f"Nodes of the cluster do not answer: {', '.join(away)}.")
        else:
            found.facts.append(f"The {len(nodes)} nodes of the cluster answer.")


async def _look_at_first_admin(engine: AsyncEngine, settings: Settings, found: Diagnosis) -> None:
    async with engine.connect() as connection:
        migrated = await connection.run_sync(is_migrated)
    try:
        await check_first_admin(create_sessions(engine), settings, migrated=migrated)
    except SettingsError as error:
        found.failures.append(str(error))


def failures_of(facts: ServerFacts) -> Iterator[str]:
    """Says what the service cannot work with, and what to do about it."""
    if facts.major < OLDEST_MAJOR:
        yield f"PostgreSQL {facts.major} is too old: {OLDEST_MAJOR} or newer is needed."
    if facts.encoding != "UTF8":
        yield (
            f"The database {facts.database} has the encoding {facts.encoding}: make one with UTF8"
            " (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)."
        )
    if facts.is_read_only:
        yield (
            "The server is read-only: a standby, or set to default_transaction_read_only."
            " DATABASE_URL must lead to the primary; among several hosts,"
            " ?target_session_attrs=read-write finds it."
        )
    elif facts.schema is None:
        yield "No schema of the role's search_path exists: CREATE SCHEMA public."
    elif not facts.may_create:
        yield (
            f"The role {facts.role} may not create tables, which the events need every hour:"
            f' GRANT USAGE, CREATE ON SCHEMA {facts.schema} TO "{facts.role}".'
        )
    if facts.foreign_tables:
        shown = ", ".join(facts.foreign_tables[:_SHOWN_TABLES])
        more = len(facts.foreign_tables) - _SHOWN_TABLES
        yield (
            f"Tables do not belong to the role {facts.role}, which must change and drop them:"
            f" {shown}{f' and {more} more' if more > 0 else ''}. As their owner:"
            f' ALTER TABLE … OWNER TO "{facts.role}", or REASSIGN OWNED.'
        )


def _warnings_of(facts: ServerFacts, off_by: timedelta) -> Iterator[str]:
    if abs(off_by) > CLOCK_DIFFERENCE:
        way = "ahead of" if off_by > timedelta(0) else "behind"
        yield (
            f"The database's clock is {abs(off_by).total_seconds():.0f} s {way} this machine's."
            " Triggers fire by the database's: set both by NTP."
        )
    if not facts.may_read_identity:
        yield (
            f"The role {facts.role} may not call pg_control_system(), so a copy of the database"
            " elsewhere is not recognised: delete the row of the table installation there before"
            " the service starts."
        )


def _look_at_connections(free: float, settings: Settings, found: Diagnosis) -> None:
    most = settings.database_connections
    if free < MIN_CONNECTIONS:
        found.failures.append(
            f"The server, the database or the role has {free:.0f} connections left, and a process"
            f" needs {MIN_CONNECTIONS}: end others, or raise the limit."
        )
    elif free < most + MIN_CONNECTIONS:
        found.warnings.append(
            f"{free:.0f} connections are left, of which a process leaves {MIN_CONNECTIONS} to"
            f" others: one more process gets fewer than its {most}. Lower"
            " EVENT_TRIGGER_DATABASE_CONNECTIONS, or raise the limit of the server, the database"
            " or the role."
        )
    else:
        left = "a pooler divides them" if free == float("inf") else f"{free:.0f} are left"
        found.facts.append(f"Connections: {most} for each process; {left}.")


def _look_at_tls(url: URL, found: Diagnosis) -> None:
    """Says how connections to another machine are protected; to this one, nothing."""
    if not _is_elsewhere(url):
        return
    parameters = TlsParameters.of(url.query)
    if parameters.verifies:
        found.facts.append("Connections are encrypted, and the server's certificate is checked.")
        return
    is_required = parameters.mode is TlsMode.REQUIRE
    lack = (
        "are encrypted, but nothing checks the server's certificate"
        if is_required
        else "need not be encrypted"
    )
    found.warnings.append(
        f"Connections to the database {lack}: unless the network is your own, set"
        " sslmode=verify-full in DATABASE_URL."
    )


def _is_elsewhere(url: URL) -> bool:
    host = url.host or url.query.get("host") or "localhost"
    names = [host] if isinstance(host, str) else [one.rpartition(":")[0] for one in host]
    return not all(one.startswith("/") or _is_loopback(one) for one in names)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _look_at_disk(data_dir: Path, found: Diagnosis) -> None:
    parents = data_dir.resolve().parents
    there = next(one for one in (data_dir.resolve(), *parents) if one.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        found.failures.append(
            f"{there} is no folder that this account may write to: set EVENT_TRIGGER_DATA_DIR to"
            " one."
        )
    free = shutil.disk_usage(there).free
    if free < LEAST_DISK_BYTES:
        found.warnings.append(
            f"{free / 1024**2:,.0f} MiB are free where the data directory {data_dir} is. On a full"
            " disk PostgreSQL ends, and nothing fires."
        )
    else:
        found.facts.append(f"Disk: {free / 1024**3:,.0f} GiB are free.")


def _look_at_zone_rules(now: datetime, found: Diagnosis) -> None:
    found.facts.append(f"Zone rules: {describe_rules()}.")
    year = _YEAR.match(zone_rules().version)
    ended = None if year is None else datetime(int(year[0]) + 1, 1, 1, tzinfo=now.tzinfo)
    if ended is None or now > ended + OLD_RULES_AFTER:
        found.warnings.append(
            f"The zone rules are old ({zone_rules().version or 'of an unknown version'}): install"
            " a newer tzdata, or local times may be wrong where rules have changed since."
        )


async def _look_at_other_urls(engine: AsyncEngine, settings: Settings, found: Diagnosis) -> None:
    """Says what is wrong with a replica, or with the URL for notifications; serving goes on."""
    for url, setting, find, effect in (
        (
            settings.read_database_url,
            REPLICA_URL_SETTING,
            lambda other: find_mismatch(engine, other),
            "reads go to the primary",
        ),
        (
            settings.listen_database_url,
            LISTEN_URL_SETTING,
            _find_pooler,
            "changes of other processes are found by polling",
        ),
    ):
        if url is not None:
            reason = await _problem_of(url.get_secret_value(), setting, find)
            if reason is not None:
                found.warnings.append(f"{setting}: {reason}. Until that is mended, {effect}.")


async def _problem_of(url: str, setting: str, find: Find) -> str | None:
    other = create_engine(url, setting=setting, connections=1)
    try:
        return await find(other)
    except DATABASE_ERRORS as error:
        return describe_error(error)
    finally:
        await other.dispose()


async def _find_pooler(engine: AsyncEngine) -> str | None:
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        is_heard = await is_direct(raw.driver_connection)
    return None if is_heard else "it leads to a pooler, through which no notification comes"
