"""`check` finds what `serve` would stumble over, and says it in words."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from event_trigger.db.server_facts import ServerFacts
from event_trigger.diagnosis import failures_of
from tests.support.certificates import Authority, server_context
from tests.support.clock import name_of
from tests.support.commands import Done, Here
from tests.support.databases import connect, drop_database, in_database
from tests.support.pgbouncer import PROGRAM, pgbouncer, until_it_listens
from tests.support.processes import with_database
from tests.support.tls_front import tls_front

ROLE = "an_app"


async def check(here: Here, url: str, **settings: str) -> Done:
    return await asyncio.to_thread(here, "check", **with_database(url), **settings)


def as_role(url: str) -> str:
    return make_url(url).set(username=ROLE).render_as_string(hide_password=False)


@pytest.fixture
async def role(database: Any, database_url: str) -> AsyncIterator[str]:
    """A role that may connect and read, and owns nothing; and the URL to connect as it."""
    await database.execute(f"CREATE ROLE {ROLE} LOGIN; GRANT pg_read_all_data TO {ROLE}")
    yield as_role(database_url)
    await database.execute(f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER; DROP OWNED BY {ROLE}")
    await database.execute(f"DROP ROLE {ROLE}")


async def test_a_database_in_order_has_no_finding(here: Here, database_url: str) -> None:
    done = await check(here, database_url)

    assert (done.code, done.err) == (0, "")
    assert "Warning" not in done.out
    assert "Connections: 16 for each process; " in done.out
    assert "Zone rules: 20" in done.out


async def test_a_role_without_rights_is_told_which_it_needs(
    here: Here, role: str, database: Any
) -> None:
    await database.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")

    done = await check(here, role)

    assert done.code == 1
    assert f"Failure: The role {ROLE} may not create tables" in done.err
    assert f'GRANT USAGE, CREATE ON SCHEMA public TO "{ROLE}".' in done.err
    assert f"Failure: Tables do not belong to the role {ROLE}" in done.err
    assert f"Warning: The role {ROLE} may not call pg_control_system()" in done.out


async def test_a_role_that_was_given_what_it_needs_passes(
    here: Here, role: str, database: Any
) -> None:
    await database.execute(f"""
        GRANT USAGE, CREATE ON SCHEMA public TO {ROLE};
        DO $$ DECLARE one text; BEGIN
            FOR one IN SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'
            LOOP EXECUTE 'ALTER TABLE ' || one || ' OWNER TO {ROLE}'; END LOOP;
        END $$
    """)

    done = await check(here, role)

    assert (done.code, done.err) == (0, "")
    assert "Warning" not in done.out


@pytest.mark.parametrize(
    ("limit", "code", "words"),
    [
        ("3", 1, "has 3 connections left, and a process needs 4"),
        ("12", 0, "Warning: 12 connections are left, of which a process leaves 4 to others"),
        ("-1", 0, "Connections: 16 for each process; "),
    ],
)
async def test_connections_that_are_left_are_counted(
    here: Here, role: str, database: Any, limit: str, code: int, words: str
) -> None:
    await database.execute(f"ALTER ROLE {ROLE} SUPERUSER")
    await database.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT {limit}")

    done = await check(here, role)

    assert done.code == code
    assert words in done.out + done.err


async def test_a_server_that_only_reads_is_said(
    here: Here, database_url: str, database: Any
) -> None:
    name = name_of(database_url)
    await database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    done = await check(here, database_url)

    assert done.code == 1
    assert "Failure: The server is read-only" in done.err
    assert "target_session_attrs=read-write" in done.err


async def test_an_encoding_that_is_not_utf8_is_said(here: Here, server_url: str) -> None:
    url = in_database(server_url, "in_latin")
    server = await connect(server_url)
    try:
        await server.execute(
            "CREATE DATABASE in_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
            + (" LOCALE_PROVIDER libc" if server.get_server_version() >= (15,) else "")
        )
        done = await check(here, url)
    finally:
        await server.close()
        await drop_database(url)

    assert done.code == 1
    assert "Failure: The database in_latin has the encoding LATIN1: make one with UTF8" in done.err


async def test_a_clock_and_zone_rules_that_are_off_are_said(
    here: Here, database_url: str, database: Any
) -> None:
    await database.execute("""
        CREATE SCHEMA testing;
        CREATE FUNCTION testing.clock_timestamp() RETURNS timestamptz LANGUAGE sql
            AS $$ SELECT pg_catalog.clock_timestamp() + interval '5 years' $$
    """)
    await database.execute(
        f"ALTER DATABASE {name_of(database_url)} SET search_path = testing, pg_catalog, public"
    )

    done = await check(here, database_url)

    assert done.code == 0
    assert "Warning: The database's clock is 157" in done.out
    assert " s ahead of this machine's. Triggers fire by the database's" in done.out
    assert "Warning: The zone rules are old (20" in done.out


async def test_a_newer_schema_is_said(here: Here, database_url: str, database: Any) -> None:
    await database.execute("UPDATE alembic_version SET version_num = 'of_tomorrow'")

    done = await check(here, database_url)

    assert done.code == 0
    assert "Warning: A newer version of the service has migrated the database" in done.out


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("prefer", "Warning: Connections to the database need not be encrypted"),
        ("require", "Warning: Connections to the database are encrypted, but nothing checks"),
        ("verify-ca", "Connections are encrypted, and the server's certificate is checked."),
    ],
)
async def test_how_connections_to_another_machine_are_protected_is_said(
    here: Here, database_url: str, tmp_path: Path, mode: str, words: str
) -> None:
    authority = Authority()
    certificate = authority.issue("localhost").save(tmp_path)
    query = {"sslmode": mode} | (
        {"sslrootcert": str(authority.save(tmp_path))} if mode == "verify-ca" else {}
    )

    async with tls_front(database_url, server_context(certificate)) as front:
        elsewhere = await check(here, front.at("0.0.0.0", **query))
        on_this_machine = await check(here, front.at("127.0.0.1", **query))

    assert (elsewhere.code, words in elsewhere.out) == (0, True), elsewhere
    assert (on_this_machine.code, "ncrypted" in on_this_machine.out) == (0, False)


async def test_a_certificate_that_is_not_trusted_is_said_in_words(
    here: Here, database_url: str, tmp_path: Path
) -> None:
    certificate = Authority().issue("localhost").save(tmp_path)

    async with tls_front(database_url, server_context(certificate)) as front:
        done = await check(here, front.at("localhost", sslmode="verify-full"))

    assert (done.code, "_ssl.c" in done.err) == (1, False)
    assert "the server's certificate is not trusted: " in done.err
    assert "Name its authority in DATABASE_URL (sslrootcert)" in done.err


@pytest.mark.parametrize(
    ("setting", "is_away", "words"),
    [
        ("EVENT_TRIGGER_READ_DATABASE_URL", False, "it follows no primary. Until"),
        ("EVENT_TRIGGER_READ_DATABASE_URL", True, "connection refused. Until"),
        ("EVENT_TRIGGER_LISTEN_DATABASE_URL", True, "connection refused. Until"),
    ],
)
async def test_a_second_server_that_will_not_be_used_is_said(
    here: Here, database_url: str, setting: str, is_away: bool, words: str
) -> None:
    url = "postgresql://nobody:canary@127.0.0.1:9/nothing" if is_away else database_url

    done = await check(here, database_url, **{setting: url})

    assert done.code == 0
    assert f"Warning: {setting}: {words}" in done.out
    assert "canary" not in done.out


@pytest.mark.skipif(PROGRAM is None, reason="this machine has no PgBouncer")
async def test_a_pooler_is_no_place_to_listen_and_divides_connections(
    here: Here, database_url: str
) -> None:
    with pgbouncer(database_url) as pooled:
        await until_it_listens(pooled)
        done = await check(here, pooled, EVENT_TRIGGER_LISTEN_DATABASE_URL=pooled)

    assert done.code == 0
    assert "a pooler divides them." in done.out
    assert "Warning: EVENT_TRIGGER_LISTEN_DATABASE_URL: it leads to a pooler" in done.out


async def test_a_first_admin_that_cannot_be_made_is_said(here: Here, empty_url: str) -> None:
    done = await check(here, empty_url, EVENT_TRIGGER_ADMIN_PASSWORD="short")

    assert done.code == 1
    assert "Failure: EVENT_TRIGGER_ADMIN_PASSWORD: " in done.err
    assert "no revision yet" in done.out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 500 MiB, in memory; every account may pass through its folder."""
    disk = Path(tempfile.mkdtemp(prefix="small-disk-"))
    options = "size=500m,mode=0711"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=False)
    if mounted.returncode != 0:
        disk.rmdir()
        pytest.skip("this account may not mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()


@pytest.mark.xdist_group("embedded servers")
def test_a_disk_with_little_room_for_embedded_data_is_said(here: Here, small_disk: Path) -> None:
    data = str(small_disk / "data")
    made = here("migrate", EVENT_TRIGGER_DATA_DIR=data)

    done = here("check", EVENT_TRIGGER_DATA_DIR=data)

    assert (made.code, done.code) == (0, 0)
    assert f"MiB are free where the data directory {data} is. On a full disk" in done.out


@pytest.mark.xdist_group("embedded servers")
def test_before_the_first_start_a_new_machine_passes_and_nothing_is_made(
    here: Here, folder: Path
) -> None:
    (folder / "a-file").touch()
    for setting, code in ((".event-trigger", 0), ("a-file/data", 1)):
        done = here("check", EVENT_TRIGGER_DATA_DIR=setting)

        assert done.code == code, done.err
        assert [one.name for one in folder.iterdir()] == ["a-file"]
    made = here("check")
    assert "Settings are valid." in made.out
    assert "There is no database in .event-trigger yet: 'serve' or 'migrate' makes it." in made.out
    refused = here("check", EVENT_TRIGGER_ADMIN_PASSWORD="short")
    assert (refused.code, "Failure: EVENT_TRIGGER_ADMIN_PASSWORD: " in refused.err) == (1, True)


def test_a_postgresql_that_is_too_old_is_said() -> None:
    facts = ServerFacts(
        major=12,
        role="app",
        schema="public",
        database="name",
        encoding="UTF8",
        now=datetime(2026, 11, 30, tzinfo=UTC),
        is_read_only=False,
        may_create=True,
        may_read_identity=True,
        foreign_tables=[],
    )

    assert [*failures_of(facts)] == ["PostgreSQL 12 is too old: 13 or newer is needed."]
    assert [*failures_of(facts._replace(major=13))] == []
