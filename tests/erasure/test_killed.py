"""A process that is killed while it deletes the rows of a project loses nothing."""

import asyncio

import pytest

from tests.erasure.contents import fill, make_project, projects_left, rows_left, settle
from tests.faults.site import make_secondly, site, until_on_time
from tests.support.databases import connect
from tests.support.locks import until_somebody_waits
from tests.support.processes import until_ready
from tests.support.services import BOB
from tests.support.waiting import eventually


@pytest.mark.xdist_group("embedded servers")
async def test_the_next_process_goes_on_where_a_killed_one_was() -> None:
    async with site() as built:
        await built.start(1)
        project = await make_project(built.url)
        async with built.client() as ada, built.client(user_id=BOB) as bob:
            await make_secondly(bob, 3)
            ada.headers["X-Project-ID"] = str(project)
            await fill(ada)
            before = await asyncio.to_thread(built.audit)
            database, holder = await connect(built.url), await connect(built.url)
            await database.execute(
                "INSERT INTO block_counts (shard, starts_at, owner_id, trigger_id, type, is_test,"
                " count) VALUES ($1::bigint % 64, now(), $1, 1, 'api', false, 1)",
                project,
            )
            async with holder.transaction():
                await holder.execute("LOCK TABLE block_counts IN ACCESS EXCLUSIVE MODE")
                answer = await ada.delete(f"/projects/{project}", params={"purge": "true"})
                await until_somebody_waits(database)
                built.kill(0)
        halfway = await rows_left(database, project)
        during = await asyncio.to_thread(built.audit)

        built.restart(0)
        await until_ready(built.replicas[0])
        await eventually(lambda: rows_left(database, project), lambda left: not left)
        await settle(database)
        await eventually(lambda: projects_left(database), lambda ids: project not in ids)

        await until_on_time(built.url)
        after = await asyncio.to_thread(built.audit)
        bobs = await rows_left(database, BOB)
        await asyncio.gather(database.close(), holder.close())
    assert answer.status_code == 204
    assert "block_counts" in halfway
    assert not {"triggers", "hooks", "destinations", "events"} & halfway.keys()
    assert [code for code, _ in (before, during, after)] == [0, 0, 0], (before, during, after)
    assert bobs["triggers"] == 3
