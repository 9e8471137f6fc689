"""Tests a destination with one signed sample, and gives the attempt without storing it."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.installation import read_installation
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.attempt import signed_headers
from event_trigger.deliveries.http.cloud_event import CloudEvent, source_of
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.schemas import AttemptRead
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.signing_secrets import secrets_of
from event_trigger.errors import NotFound, Problem
from event_trigger.vault import Vault

PING_PAYLOAD = '{"message":"This is a test of your destination."}'
MOST_PINGS_OF_OWNER = 4  # at a time; each may last as long as its destination's timeout
_pings_in_flight: Counter[int] = Counter()  # in this process, by owner


class TooManyPings(Problem):
    """Answers 429 until one of the owner's pings has ended."""

    status, slug, title = 429, "too-many-tests", "Too many tests"
    default_detail = f"{MOST_PINGS_OF_OWNER} tests are under way. Wait until one of them has ended."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Pinger:
    """Sends pings on behalf of one request, which `hops` deliveries have led to."""

    sessions: Sessions
    vault: Vault
    sender: Sender
    public_url: str | None
    hops: int

    async def ping(self, key: OwnedId) -> AttemptRead:
        """Sends a signed sample now; no transaction is open while it waits for the response.

        A disabled destination gets one too, so that its owner can see whether it works again.
        Raises NotFound, and TooManyPings, since no other limit applies to the caller.
        """
        with _counted(key.owner_id):
            return await self._ping(key)

    async def _ping(self, key: OwnedId) -> AttemptRead:
        async with self.sessions.begin() as session:
            destination = await Destinations(session).get(key)
            if destination is None:
                raise NotFound
            now = await database_now(session)
            installation = await read_installation(session)
        message_id = f"test_{uuid4().hex}"
        body = CloudEvent(
            id=message_id,
            source=source_of(
                "destination", key.id, installation=installation, public_url=self.public_url
            ),
            type="test",
            time=now,
            payload=PING_PAYLOAD,
            is_test=True,
        ).body()
        secrets = secrets_of(destination, self.vault)
        headers = signed_headers(body, secrets, message_id=message_id, at=now, hops=self.hops + 1)
        began = time.perf_counter()
        result = await self.sender.post(destination.url, headers, body, within=destination.timeout)
        duration = timedelta(seconds=time.perf_counter() - began)
        return AttemptRead(
            attempted_at=now,
            duration_ms=round(duration / timedelta(milliseconds=1), 3),
            status_code=result.status_code,
            error=result.error,
            response=result.response,
        )


@contextmanager
def _counted(owner_id: int) -> Iterator[None]:
    if _pings_in_flight[owner_id] >= MOST_PINGS_OF_OWNER:
        raise TooManyPings
    _pings_in_flight[owner_id] += 1
    try:
        yield
    finally:
        _pings_in_flight[owner_id] -= 1
        if not _pings_in_flight[owner_id]:
            del _pings_in_flight[owner_id]
