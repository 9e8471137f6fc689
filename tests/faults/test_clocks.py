"""Replicas with clocks two hours off fire each instant once, and none early.

Each accepts tokens and keys of the others, and hook calls that are signed now.
"""

import asyncio
from collections import Counter
from pathlib import Path

from tests.faults.checker import check
from tests.faults.site import Site, make_secondly, site, until_on_time
from tests.support.hooks import BODY, make_hook, standard
from tests.support.keys import make_key
from tests.support.services import PASSWORD

OFF_BY = 2 * 3600  # seconds
SKEWED = Path(__file__).with_name("skewed.py")


async def test_a_clock_that_is_two_hours_off_changes_nothing() -> None:
    async with site() as built:
        await built.start(1)
        for off_by in (OFF_BY, -OFF_BY):
            await built.start(1, str(SKEWED), str(off_by), "serve")
        async with built.client() as client:
            grids = await make_secondly(client, 50)
        statuses = await calls_across(built)
        await asyncio.sleep(5)
        built.kill(0)  # those whose clocks are wrong go on alone
        await asyncio.sleep(5)
        await until_on_time(built.url)
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
    """Counts the statuses of each replica for tokens and keys of each, and for a hook's call."""
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
