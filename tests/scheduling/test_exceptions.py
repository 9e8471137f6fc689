"""An instant on an excepted date does not fire, also if an older replica has planned it."""

from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.reading import read_all
from tests.support.waiting import eventually


async def test_an_excepted_instant_that_an_older_replica_planned_does_not_fire(
    ada: httpx.AsyncClient, database: Any
) -> None:
    today = datetime.now(UTC).date()
    dates = [f"{today.year + year}{today:-%m-%d}" for year in (0, 1)]
    await ada.put("/calendars/closed", json={"dates": dates})
    excepts: list[dict[str, Any]] = [{"except": dates}, {"except": [{"calendar": "closed"}]}]
    each: list[dict[str, Any]] = [
        {"cron": "* * * * *"},
        {"time": "2026-01-01T00:00Z", "interval": 1, "recurring": True},
    ]
    made = [
        await ada.post("/triggers", json={"type": "scheduled", "details": one | other})
        for one in each
        for other in excepts
    ]
    assert [one.status_code for one in made] == [201] * 4, made[0].text

    await database.execute(
        "UPDATE triggers SET next_fire_at = date_trunc('minute', now()),"
        " settled_until = now() - interval '2 min' WHERE shard = 2"
    )

    async def due() -> int:
        query = "SELECT count(*) FROM triggers WHERE shard = 2 AND next_fire_at <= now()"
        number: int = await database.fetchval(query)
        return number

    await eventually(due, lambda number: number == 0)
    nexts = [(await ada.get(one.headers["Location"])).json()["next_fire_at"] for one in made]
    assert nexts == [one.json()["next_fire_at"] for one in made]
    assert await read_all(ada, "/events") == []
