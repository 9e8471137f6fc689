"""Unfired instants are logged once they are stored, and not before."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.downtime import set_back, until_caught_up
from tests.support.one_server import one_server
from tests.support.services import ADA, idle_service, running_service
from tests.support.triggers import make_scheduled
from tests.support.waiting import eventually

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON unfired_ranges
        FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


@one_server("it has database triggers, which distributed tables cannot have")
async def test_unfired_instants_are_logged_once_and_only_when_they_are_stored(
    database_url: str, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with idle_service(database_url) as quiet:
        made = await make_scheduled(
            quiet.client(ADA), {"interval": "PT1M", "recurring": True, "catch_up": "none"}
        )
    await set_back(database, made["id"], timedelta(minutes=30))
    await database.execute(REFUSE)

    async with running_service(database_url):

        async def logged() -> str:
            read.append(capsys.readouterr().out)
            return "".join(read)

        read: list[str] = []
        while_refused = await eventually(logged, lambda found: "no space left (53100)" in found)
        await database.execute("DROP TRIGGER refuse ON unfired_ranges")
        await until_caught_up(database, made["id"])
        in_all = await eventually(logged, lambda found: "instants_unfired" in found)

    assert "instants_unfired" not in while_refused
    assert in_all.count("instants_unfired") == 1
    assert await database.fetchval("SELECT count(*) FROM unfired_ranges") == 1
