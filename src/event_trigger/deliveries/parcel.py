"""What is sent in one attempt, and what becomes of the delivery after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from event_trigger.deliveries.backoff import backoff, parse_retry_after
from event_trigger.deliveries.cloud_event import MEDIA_TYPE, CloudEvent
from event_trigger.deliveries.queue import Claimed, Recorded
from event_trigger.deliveries.sender import Answer
from event_trigger.deliveries.signature import sign
from event_trigger.destinations.secrets import Secrets
from event_trigger.models import DeliveryError, DeliveryStatus

_NO_RETRY = frozenset({DeliveryError.GONE})


@dataclass(frozen=True, slots=True)
class Parcel:
    """One attempt of a delivery that is leased: what goes out, byte for byte, and where to."""

    shard: int
    delivery_id: int
    destination_id: int
    lease: int
    tries: int
    url: str
    headers: dict[str, str]
    body: bytes
    timeout: float


def pack(shard: int, row: Claimed, destination: Claimed, secrets: Secrets) -> Parcel:
    """Writes and signs the body; `webhook-id` is the event's, whichever attempt this is."""
    event = CloudEvent(
        id=str(row.event_id),
        source=f"/triggers/{row.trigger_id}",
        type=row.event_type,
        time=row.triggered_at,
        payload=row.payload,
        trigger_name=row.trigger_name,
        scheduled_for=row.scheduled_for,
        is_test=row.is_test,
    )
    body = event.body()
    headers = signed_headers(
        body,
        secrets,
        message_id=f"evt_{row.event_id}",
        at=destination.now,
        previous_until=destination.previous_secret_until,
    )
    return Parcel(
        shard=shard,
        delivery_id=row.id,
        destination_id=row.destination_id,
        lease=row.lease,
        tries=row.tries,
        url=destination.url,
        headers=headers,
        body=body,
        timeout=destination.timeout,
    )


def signed_headers(
    body: bytes, secrets: Secrets, *, message_id: str, at: datetime, previous_until: datetime | None
) -> dict[str, str]:
    signing = secrets.signing(previous_until=previous_until, now=at)
    proof = sign(body, message_id=message_id, at=at, secrets=signing)
    return {**secrets.headers, **proof, "Content-Type": MEDIA_TYPE}


def recorded(
    parcel: Parcel,
    answer: Answer,
    *,
    attempted_at: datetime,
    ended_at: datetime,
    schedule: Sequence[float],
    jitter: float,
) -> Recorded:
    """Delivered, to be tried again at an instant, or exhausted."""
    wait = _wait(parcel, answer, now=ended_at, schedule=schedule, jitter=jitter)
    if answer.error is None:
        status = DeliveryStatus.DELIVERED
    else:
        status = DeliveryStatus.EXHAUSTED if wait is None else DeliveryStatus.RETRYING
    return Recorded(
        delivery_id=parcel.delivery_id,
        lease=parcel.lease,
        status=status,
        next_attempt_at=None if wait is None else ended_at + wait,
        finished_at=ended_at if wait is None else None,
        attempted_at=attempted_at,
        duration_ms=round((ended_at - attempted_at) / timedelta(milliseconds=1), 3),
        status_code=answer.status_code,
        error=answer.error,
        response=answer.response,
    )


def _wait(
    parcel: Parcel, answer: Answer, *, now: datetime, schedule: Sequence[float], jitter: float
) -> timedelta | None:
    if answer.error is None or answer.error in _NO_RETRY:
        return None
    wait = backoff(parcel.tries + 1, schedule, jitter=jitter)
    if wait is None or answer.retry_after is None:
        return wait
    asked = parse_retry_after(answer.retry_after, now=now)
    return wait if asked is None else max(wait, asked)
