"""Several processes migrate an empty database at once, and serve from it: one does the work."""

import asyncio
import sys

from tests.faults.site import site
from tests.support.databases import connect, create_database
from tests.support.processes import environment, start, until_ready, with_database

PROCESSES = 6


async def migrate(url: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "event_trigger", "migrate"),
        env=environment(**with_database(url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_several_migrate_at_once() -> None:
    async with site() as built:
        url = await create_database(built.postgres.url)

        ended = await asyncio.gather(*(migrate(url) for _ in range(PROCESSES)))

        connection = await connect(url)
        revisions = await connection.fetch("SELECT version_num FROM alembic_version")
        await connection.close()
        code, said = built.audit()

    print(f"{PROCESSES} migrate at once: {ended[0][1].strip()}")
    assert {code for code, _ in ended} == {0}, ended
    assert len(revisions) == 1
    assert (code, said.splitlines()[-1].endswith("It adds up.")) == (0, True)


async def test_several_replicas_start_on_an_empty_database_at_once() -> None:
    async with site() as built:
        url = await create_database(built.postgres.url)
        settings = environment(**with_database(url))
        built.replicas += [start(built.folder, [], settings) for _ in range(3)]

        await asyncio.gather(*(until_ready(one) for one in built.replicas))

        assert [await one.end() for one in built.replicas] == [0, 0, 0]
