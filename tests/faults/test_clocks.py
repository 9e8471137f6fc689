"""Replicas whose clocks are an hour off fire nothing early and nothing twice, and miss nothing."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.checker import Grid, check
from tests.faults.site import make, seconds_behind, site
from tests.support.waiting import eventually

HOUR = 3600
SKEWED = Path(__file__).with_name("skewed.py")


async def test_a_clock_that_is_an_hour_off_changes_nothing() -> None:
    async with site() as built:
        await built.start(1)
        for off_by in (HOUR, -HOUR):
            await built.start(1, str(SKEWED), str(off_by), "serve")
        grids = {}
        async with built.client() as client:
            for _ in range(50):
                made = await make(client, {"interval": "PT1S", "recurring": True})
                first = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=1)
                grids[made["id"]] = Grid(first)
        await asyncio.sleep(5)
        built.kill(0)  # those whose clocks are wrong go on alone
        await asyncio.sleep(5)
        await eventually(lambda: seconds_behind(built.url), lambda late: late < 1)
        clocks = [one.printed.splitlines()[0] for one in built.replicas[1:]]
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    print(f"clocks an hour off: {'; '.join(clocks)}\n  {report}\n  audit: {said.strip()}")
    assert report.is_clean
    assert report.planned > 50 * 8
    assert code == 0
