"""Checks and previews of templates take turns by project, beside the deliveries."""

import asyncio

from tests.support.destinations import try_out
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.rendering import SLOW, rendering_processes
from tests.support.services import ADA, BOB, idle_service
from tests.support.waiting import eventually

FORM = {"format": "template", "content_type": "text/plain"}


async def test_a_project_with_slow_templates_does_not_hold_up_another(
    database_url: str, receiver: Receiver
) -> None:
    slow = {
        f"slow-{n}": {"url": "https://1.1.1.1/", "template": f"{n} {SLOW}", **FORM}
        for n in range(90)
    }

    async with idle_service(database_url, **ALLOW_LOOPBACK) as service:
        ada, bob = service.client(ADA), service.client(BOB)
        saving = asyncio.create_task(
            ada.put("/sets/slow", json={"destinations": slow, "triggers": {}})
        )

        async def count() -> int:
            return len(rendering_processes())

        await eventually(count, lambda found: found > 0, within=20)
        attempt = await try_out(bob, receiver.url, template="{{ data.message }}", **FORM)

        assert attempt["status_code"] == 204
        assert receiver.received[0].body == b"This is a test of your destination."
        assert not saving.done() or saving.result().status_code == 503  # it has run out of time
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
