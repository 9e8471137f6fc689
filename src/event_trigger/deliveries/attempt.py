"""What is sent in one attempt, and what becomes of the delivery after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from event_trigger.deliveries.backoff import backoff, parse_retry_after, wait_while_held
from event_trigger.deliveries.http.cloud_event import MEDIA_TYPE, CloudEvent, source_of
from event_trigger.deliveries.http.hops import HOPS_HEADER, MOST_HOPS, LoopDetected
from event_trigger.deliveries.http.sender import AttemptResult
from event_trigger.deliveries.http.signature import sign
from event_trigger.deliveries.queue import AttemptOutcome, Claimed
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.models import DeliveryError, DeliveryStatus

_NO_RETRY = frozenset({DeliveryError.GONE})
_HOLDING = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Leased:
    """One delivery, for one attempt; `size` is its payload's, in bytes, and `url` where it goes.

    `hops` is what it says: one more than its event has.
    """

    shard: int
    delivery_id: int
    owner_id: int
    destination_id: int
    lease: int
    tries: int
    queued_at: datetime
    size: int
    url: str
    hops: int


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """What goes out, byte for byte; `timeout` is in seconds."""

    headers: dict[str, str]
    body: bytes
    timeout: float


def leased(shard: int, row: Claimed, destination: Claimed) -> Leased:
    return Leased(
        shard=shard,
        delivery_id=row.id,
        owner_id=destination.owner_id,
        destination_id=row.destination_id,
        lease=row.lease,
        tries=row.tries,
        queued_at=row.queued_at,
        size=row.payload_size,
        url=destination.url,
        hops=row.hops + 1,
    )


def pack(
    row: Claimed, destination: Claimed, secrets: Secrets, *, public_url: str | None
) -> OutgoingRequest:
    """Writes and signs the body; `webhook-id` is the event's, whichever attempt this is."""
    installation = row.installation
    event = CloudEvent(
        id=str(row.event_id),
        source=source_of(
            "trigger", row.trigger_id, installation=installation, public_url=public_url
        ),
        type=row.event_type,
        time=row.triggered_at,
        payload=row.payload,
        trigger_name=row.trigger_name,
        scheduled_for=row.scheduled_for,
        is_test=row.is_test,
        replay_of=row.replay_of,
    )
    body = event.body()
    headers = signed_headers(
        body,
        secrets,
        message_id=f"evt_{installation}_{row.event_id}" if installation else f"evt_{row.event_id}",
        at=destination.now,
        hops=row.hops + 1,
    )
    return OutgoingRequest(headers, body, destination.timeout)


def signed_headers(
    body: bytes, secrets: Secrets, *, message_id: str, at: datetime, hops: int
) -> dict[str, str]:
    """The destination's own headers and ours, which none of its own stands in for."""
    own = {name: value for name, value in secrets.headers.items() if name.lower() != HOPS_HEADER}
    proof = sign(body, message_id=message_id, at=at, secrets=secrets.signing(now=at))
    return {**own, **proof, HOPS_HEADER: str(hops), "Content-Type": MEDIA_TYPE}


def recorded(
    delivery: Leased,
    answer: AttemptResult,
    *,
    attempted_at: datetime,
    ended_at: datetime,
    schedule: Sequence[float],
    jitter: float,
) -> AttemptOutcome:
    """Delivered, to be tried again at an instant, or exhausted.

    A 429 or 503 with `Retry-After` holds the destination, and for a day costs none of the tries.
    """
    asked = _asked(answer, now=ended_at)
    held = asked if answer.status_code in _HOLDING else None
    free = None if held is None else wait_while_held(held, age=ended_at - delivery.queued_at)
    wait = (
        _wait(delivery, answer, asked, schedule=schedule, jitter=jitter) if free is None else free
    )
    if answer.error is None:
        status = DeliveryStatus.DELIVERED
    else:
        status = DeliveryStatus.EXHAUSTED if wait is None else DeliveryStatus.RETRYING
    return AttemptOutcome(
        delivery_id=delivery.delivery_id,
        lease=delivery.lease,
        status=status,
        next_attempt_at=None if wait is None else ended_at + wait,
        finished_at=ended_at if wait is None else None,
        attempted_at=attempted_at,
        duration_ms=round((ended_at - attempted_at) / timedelta(milliseconds=1), 3),
        status_code=answer.status_code,
        error=answer.error,
        response=answer.response,
        held_until=None if held is None else ended_at + held,
        cost=1 if free is None else 0,
    )


def _asked(answer: AttemptResult, *, now: datetime) -> timedelta | None:
    if answer.error is None or answer.retry_after is None:
        return None
    return parse_retry_after(answer.retry_after, now=now)


def _wait(
    delivery: Leased,
    answer: AttemptResult,
    asked: timedelta | None,
    *,
    schedule: Sequence[float],
    jitter: float,
) -> timedelta | None:
    if answer.error is None or answer.error in _NO_RETRY or _ends_loop(delivery, answer):
        return None
    wait = backoff(delivery.tries + 1, schedule, jitter=jitter)
    return wait if wait is None or asked is None else max(wait, asked)


def _ends_loop(delivery: Leased, answer: AttemptResult) -> bool:
    """Whether a delivery was refused as one too many of a loop: it would be so again."""
    return delivery.hops >= MOST_HOPS and answer.status_code == LoopDetected.status
