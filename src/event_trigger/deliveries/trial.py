"""Tries a destination out: one signed sample, now, and what was answered."""

import time
from datetime import timedelta
from uuid import uuid4

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.deliveries.cloud_event import CloudEvent
from event_trigger.deliveries.parcel import signed_headers
from event_trigger.deliveries.schemas import AttemptRead
from event_trigger.deliveries.sender import Sender
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.secrets import secrets_of
from event_trigger.errors import NotFound
from event_trigger.triggers.repository import OwnedId
from event_trigger.vault import Vault

SAMPLE = '{"message":"This is a test of your destination."}'


async def try_out(sessions: Sessions, vault: Vault, sender: Sender, key: OwnedId) -> AttemptRead:
    """No transaction is open while the answer is waited for, and nothing is stored."""
    async with sessions.begin() as session:
        destination = await Destinations(session).get(key)
        if destination is None:
            raise NotFound
        now = await database_now(session)
    name = f"test_{uuid4().hex}"
    body = CloudEvent(
        id=name,
        source=f"/destinations/{key.id}",
        type="test",
        time=now,
        payload=SAMPLE,
        is_test=True,
    ).body()
    headers = signed_headers(
        body,
        secrets_of(destination, vault),
        message_id=name,
        at=now,
        previous_until=destination.previous_secret_until,
    )
    began = time.perf_counter()
    answer = await sender.post(destination.url, headers, body, within=destination.timeout)
    took = timedelta(seconds=time.perf_counter() - began)
    return AttemptRead(
        attempted_at=now,
        duration_ms=round(took / timedelta(milliseconds=1), 3),
        status_code=answer.status_code,
        error=answer.error,
        response=answer.response,
    )
