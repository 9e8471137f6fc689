"""Replicas whose clocks are hours off fire nothing early and nothing twice, and miss nothing.

What one of them signs, the others read; what a sender signs now, all of them do.
"""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.checker import Grid, check
from tests.faults.site import Site, make, seconds_behind, site
from tests.support.hooks import BODY, make_hook, standard
from tests.support.keys import make_key
from tests.support.services import PASSWORD
from tests.support.waiting import eventually

OFF_BY = 2 * 3600  # seconds
SKEWED = Path(__file__).with_name("skewed.py")


async def test_a_clock_that_is_two_hours_off_changes_nothing() -> None:
    async with site() as built:
        await built.start(1)
        for off_by in (OFF_BY, -OFF_BY):
            await built.start(1, str(SKEWED), str(off_by), "serve")
        grids = {}
        async with built.client() as client:
            for _ in range(50):
                made = await make(client, {"interval": "PT1S", "recurring": True})
                first = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=1)
                grids[made["id"]] = Grid(first)
        statuses = await calls_across(built)
        await asyncio.sleep(5)
        built.kill(0)  # those whose clocks are wrong go on alone
        await asyncio.sleep(5)
        await eventually(lambda: seconds_behind(built.url), lambda late: late < 1)
        clocks = [one.printed.splitlines()[0] for one in built.replicas[1:]]
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    print(f"clocks two hours off: {'; '.join(clocks)}\n  {report}\n  audit: {said.strip()}")
    print(f"  tokens and keys of each and signatures of now at all of them: {statuses}")
    assert statuses == Counter({200: 3 * 3 * 3})
    assert report.is_clean
    assert report.planned > 50 * 8
    assert code == 0


async def calls_across(built: Site) -> Counter[int]:
    """What each replica answers to a token and a key of each other, and to a hook's call."""
    statuses: Counter[int] = Counter()
    async with built.client() as client:
        hook = await make_hook(client, "standard_webhooks")
    for issuer in built.replicas:
        token = await issuer.sign_in("ada@example.com", PASSWORD)
        async with issuer.client(token) as client:
            key = (await make_key(client, "triggers:read"))["key"]
        for other in built.replicas:
            async with other.client() as client:
                for credential in (token, key):
                    headers = {"Authorization": f"Bearer {credential}"}
                    statuses[(await client.get("/triggers", headers=headers)).status_code] += 1
                path = f"/hooks/{hook.token}"
                called = await client.post(path, content=BODY, headers=standard(hook))
                statuses[called.status_code] += 1
    return statuses
