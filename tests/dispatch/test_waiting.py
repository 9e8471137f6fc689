"""Who waits for an instant fires when it comes, whatever the clock of the event loop says."""

import asyncio
from datetime import UTC, datetime, timedelta

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.dispatch.dispatcher import LOCKED_WAIT, fire_due
from tests.support.databases import connect
from tests.support.planting import plant_triggers


class HastyLoop(asyncio.SelectorEventLoop):
    """A millisecond too fast with each look: uvloop's clock can be that much ahead of the time."""

    looks = 0

    def time(self) -> float:
        self.looks += 1
        return super().time() + self.looks / 1000


async def wait_and_fire(database_url: str) -> tuple[list[float], int]:
    """The seconds that the dispatcher asked for until it had waited, and the events of that."""
    database = await connect(database_url)
    await plant_triggers(database, due_at=datetime.now(UTC) + timedelta(seconds=0.1))
    engine, waits = create_engine(database_url), list[float]()
    while not waits or waits[-1] > 0:
        waits.append(await fire_due(create_sessions(engine), lambda: None))
    stored = await database.fetchval("SELECT count(*) FROM events")
    await engine.dispose()
    await database.close()
    return waits, stored


def test_an_instant_that_is_waited_for_is_not_looked_for_in_vain(database_url: str) -> None:
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        waits, stored = runner.run(wait_and_fire(database_url))

    assert LOCKED_WAIT not in waits  # nobody else has it
    assert stored == 1
