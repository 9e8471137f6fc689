"""A request that cannot be rendered now is neither sent nor lost, and costs no attempt."""

import asyncio
from ipaddress import ip_network
from typing import Any

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.attempts import RENDERED_AT_ONCE, AttemptParts
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.rendering import RENDER_SECONDS
from event_trigger.deliveries.worker import DeliveryWorker
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.vault import Vault
from tests.support.destinations import fire, make_destination
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, BOB, idle_service, make_settings
from tests.support.triggers import make_api

COUNT = RENDERED_AT_ONCE + 6  # so many that they are rendered in two parts
AGED = "UPDATE deliveries SET queued_at = now() - interval '8 days' WHERE destination_id = $1"
STATE = """
    SELECT count(*), leased_until IS NULL AS is_free, next_attempt_at <= now() AS is_due, status,
        lease, (SELECT count(*) FROM delivery_attempts) AS attempts
    FROM deliveries GROUP BY 2, 3, 4, 5 ORDER BY 1
"""


async def test_deliveries_that_are_not_rendered_are_put_back_with_their_token_for_a_week(
    database_url: str, database: Any, receiver: Receiver
) -> None:
    """One of them is to a destination that has a single token for a long time."""
    async with idle_service(database_url, **ALLOW_LOOPBACK) as service:
        ada, bob = service.client(ADA), service.client(BOB)
        form = {"format": "template", "template": "{{ data | json }}", "max_concurrency": 100}
        made = await make_destination(ada, receiver.url + "/hook", **form)
        trigger = await make_api(ada, destinations=[made["id"]])
        for _ in range(COUNT - 1):
            await fire(ada, trigger)
        slow = await make_destination(bob, receiver.url + "/slow", **form, rate_limit=0.01)
        await fire(bob, await make_api(bob, destinations=[slow["id"]]))
    await database.execute("UPDATE destinations SET tokens = 1, tokens_at = now()")
    engine, settings = create_engine(database_url), make_settings(database_url)
    sender = Sender(AddressPolicy([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
    closed = Renderer()
    await closed.aclose()
    worker = DeliveryWorker(
        create_sessions(engine),
        AttemptParts(sender, closed, Vault.of(settings), (), public_url=None),
        on_capacity=lambda: None,
    )

    await worker.deliver_due()
    claimed = await database.fetch(STATE)
    await worker.drain(0)
    drained = await database.fetch(STATE)
    await database.execute(AGED, slow["id"])
    await worker.deliver_due()
    await asyncio.sleep(RENDER_SECONDS + 2)
    waited_for = await database.fetch(STATE)

    await sender.aclose()
    await engine.dispose()
    assert [*map(tuple, claimed)] == [(COUNT, False, False, "pending", 2, 0)]
    assert [*map(tuple, drained)] == [(COUNT, True, True, "pending", 2, 0)]
    assert [*map(tuple, waited_for)] == [
        (1, True, None, "exhausted", 4, 0),
        (COUNT - 1, True, True, "pending", 4, 0),
    ]
    assert await database.fetchval("SELECT count(*) FROM deliveries WHERE error = 'expired'") == 1
    assert receiver.received == []
