"""`/readyz` reports problems long before they stop the firing; the log does so once a minute."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.services import running_service
from tests.support.waiting import eventually


async def reasons(client: httpx.AsyncClient) -> str:
    answer = await client.get("/readyz")
    return "" if answer.status_code == 200 else str(answer.json()["detail"])


async def test_partitions_that_run_out_are_said_while_everything_still_fires(
    database_url: str, database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_service(database_url, retention_interval=timedelta(seconds=1)) as service:
        client = service.client()
        await eventually(lambda: reasons(client), lambda found: found == "")
        # the job thinks that it has to make them, and cannot: the tables are there
        await database.execute("CREATE TABLE hidden AS SELECT * FROM event_partitions")
        await database.execute(
            "DELETE FROM event_partitions WHERE ends_at > now() + interval '3 hours'"
        )
        found = await eventually(
            lambda: reasons(client),
            lambda found: "partitions" in found and "job make_partitions" in found,
        )
        await database.execute("INSERT INTO event_partitions TABLE hidden ON CONFLICT DO NOTHING")
        recovered = await eventually(lambda: reasons(client), lambda found: found == "")

    logged = capsys.readouterr().out
    assert " s, of 28800 s that are made ahead: without a partition nothing can fire" in found
    assert "the job make_partitions last succeeded 1" in found
    assert "(the database refuses a statement (42P07))" in found
    assert recovered == ""
    failures = [line for line in logged.splitlines() if "job_failed" in line]
    assert len(failures) == 1 or all("count=" in line for line in failures[1:])
    assert "already exists (42P07)'" in failures[0]
    assert "sqlstate=42P07" in failures[0]
    assert logged.count("Traceback") <= 3  # those of one failure, each the cause of the next
