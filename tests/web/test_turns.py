"""Long work over many items lets other tasks run in between."""

import asyncio

from event_trigger.web.turns import taking_turns


async def test_other_tasks_run_after_each_part() -> None:
    seen: list[int | str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    async for one in taking_turns(range(4), at_once=2):
        seen += [one]
    running.cancel()

    assert seen == [0, 1, "other", 2, 3, "other"]
