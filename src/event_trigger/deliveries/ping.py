"""Tries a destination out: one signed sample, now, and what was answered."""

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

SAMPLE = '{"message":"This is a test of your destination."}'
MOST_OF_ONE_OWNER = 4  # each may last as long as its destination's timeout
_under_way: Counter[int] = Counter()  # in this process, by owner


class TooManySamples(Problem):
    """Answers 429: one of the owner's trials has to end first."""

    status, slug, title = 429, "too-many-tests", "Too many tests"
    default_detail = f"{MOST_OF_ONE_OWNER} tests are under way. Wait until one of them has ended."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class SampleSender:
    """What a trial is made with; `hops` deliveries have led to it."""

    sessions: Sessions
    vault: Vault
    sender: Sender
    public_url: str | None
    hops: int


async def send_sample(using: SampleSender, key: OwnedId) -> AttemptRead:
    """No transaction is open while the answer is waited for, and nothing is stored.

    A disabled destination is tried out like any other: that is how its owner learns whether it
    works again. Raises TooManyTrials, since nothing else limits how often this is called.
    """
    with _place_of(key.owner_id):
        return await _try_out(using, key)


@contextmanager
def _place_of(owner_id: int) -> Iterator[None]:
    if _under_way[owner_id] >= MOST_OF_ONE_OWNER:
        raise TooManySamples
    _under_way[owner_id] += 1
    try:
        yield
    finally:
        _under_way[owner_id] -= 1
        if not _under_way[owner_id]:
            del _under_way[owner_id]


async def _try_out(using: SampleSender, key: OwnedId) -> AttemptRead:
    async with using.sessions.begin() as session:
        destination = await Destinations(session).get(key)
        if destination is None:
            raise NotFound
        now = await database_now(session)
        installation = await read_installation(session)
    name = f"test_{uuid4().hex}"
    body = CloudEvent(
        id=name,
        source=source_of(
            "destination", key.id, installation=installation, public_url=using.public_url
        ),
        type="test",
        time=now,
        payload=SAMPLE,
        is_test=True,
    ).body()
    headers = signed_headers(
        body,
        secrets_of(destination, using.vault),
        message_id=name,
        at=now,
        hops=using.hops + 1,
    )
    began = time.perf_counter()
    answer = await using.sender.post(destination.url, headers, body, within=destination.timeout)
    took = timedelta(seconds=time.perf_counter() - began)
    return AttemptRead(
        attempted_at=now,
        duration_ms=round(took / timedelta(milliseconds=1), 3),
        status_code=answer.status_code,
        error=answer.error,
        response=answer.response,
    )
