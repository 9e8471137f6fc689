"""Builds the request of a delivery attempt and decides its outcome: steps 4 and 6 of the attempt.

The whole attempt, and where each step is:

1. **Find** destinations with due deliveries, and reserve a fair part of the process's capacity
   for each (`worker.DeliveryWorker.deliver_due`, `queue.queued`, `capacity`).
2. **Claim**, in one transaction, or in a cluster in one for each shard (`claims`): lock the
   destinations, recover expired leases, ask circuit breaker and token bucket how many may be sent,
   and lease that many. The next claim waits for none of the other steps (`sending_queue`).
3. **Render**, if the destination has a template, in processes of their own (`rendering`). Step 7
   keeps a small result if the attempt fails, so that later ones send the same bytes. A template
   that fails ends the delivery, and says nothing about the destination. A delivery that has no turn
   in time is put back (`leases`), well before its lease ends.
4. **Build** the request in the destination's format, and sign it (`build_request`), or write the
   mail (`build_mail`).
5. **Send** it outside any transaction, within the destination's timeout (`outgoing`). The worker
   does not wait for the response: several hundred attempts are in flight at once (`attempts`).
6. **Decide** once the response or the failure is known (`decide_outcome`): delivered, retried after
   a back-off, or exhausted; a `Retry-After` may hold the destination.
7. **Record** outcomes and breakers in a second transaction, in batches, fenced by the lease's
   number (`completer`, `queue.outcomes`). Then the lease no longer counts; the attempt's place in
   this process was free from step 6 on (`capacity`).

A process that dies after step 2 leaves an expired lease, which step 2 of any process recovers. So a
delivery is sent at least once; receivers drop duplicates by `webhook-id`, the same in all attempts.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.attempt_trace import AttemptTrace
from event_trigger.deliveries.http.cloud_event import CloudEvent, source_of, source_of_notices
from event_trigger.deliveries.http.hops import MOST_HOPS, LoopDetected
from event_trigger.deliveries.http.signed_message import write_signed
from event_trigger.deliveries.mail.writing import mail_of
from event_trigger.deliveries.queue.deliveries import ClaimedDelivery
from event_trigger.deliveries.queue.destinations import LockedDestination
from event_trigger.deliveries.queue.outcomes import AttemptOutcome
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.destinations.templates.jobs import Rendered
from event_trigger.mail.message import Mail
from event_trigger.models import DeliveryError, DeliveryStatus, DestinationMethod
from event_trigger.tracing import TRACING

JITTER = 0.2  # share of a wait: deliveries that failed together do not come back together
LONGEST_RETRY_AFTER = timedelta(hours=24)
HOLDS_FREE_FOR = timedelta(hours=24)  # after that, being held costs tries like any failure
_HOLDS_PER_AGE = 10
_MILLISECOND = timedelta(milliseconds=1)
_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_NO_RETRY = frozenset({DeliveryError.GONE, DeliveryError.TEMPLATE_FAILED})
_HOLDING_STATUSES = frozenset({429, 503})


class Attempt(NamedTuple):
    """One attempt of a delivery under a lease; `tries` counts the retries used up before it.

    Holds and interruptions use up none.

    `size` is the payload's, in bytes. `url` is the destination's, which may be a template. `hops`
    is the number that the request carries: one more than its event has.
    `form` is that of its destination if templates make the request. `trace` has its spans, if there
    are any.
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
    form: RequestForm | None
    is_notice: bool = False
    trace: AttemptTrace | None = None


class WebhookRequest(NamedTuple):
    """The headers and the exact bytes of a request; `timeout` is in seconds."""

    method: DestinationMethod
    url: str
    headers: dict[str, str]
    body: bytes
    timeout: float


def new_attempt(delivery: ClaimedDelivery, destination: LockedDestination) -> Attempt:
    form = destination.form
    return Attempt(
        shard=delivery.shard,
        delivery_id=delivery.id,
        owner_id=destination.owner_id,
        destination_id=delivery.destination_id,
        lease=delivery.lease,
        tries=delivery.tries,
        queued_at=delivery.queued_at,
        size=delivery.payload_size,
        url=destination.url,
        hops=delivery.hops + 1,
        form=form if form.is_rendered else None,
        is_notice=delivery.subject is not None,
        trace=None
        if TRACING.tracer is None
        else AttemptTrace(TRACING.tracer, delivery, project_id=destination.owner_id),
    )


def build_mail(
    delivery: ClaimedDelivery,
    destination: LockedDestination,
    rendered: Rendered | None,
    *,
    public_url: str | None,
) -> Mail:
    """Writes the mail; every attempt has the same content and `Message-ID`."""
    event = _cloud_event_of(delivery, public_url)
    mail_id = f"{_message_id_of(delivery)}.{destination.id}"
    return mail_of(event, destination.form, rendered, id_=mail_id)


def build_request(
    delivery: ClaimedDelivery,
    destination: LockedDestination,
    secrets: Secrets,
    rendered: Rendered | None,
    *,
    at: datetime,
    public_url: str | None,
    trace: AttemptTrace | None,
) -> WebhookRequest:
    """Writes and signs the message; every attempt has the same body and `webhook-id`.

    Where attempts are traced, it starts the span of the request, whose headers name it.
    """
    message = write_signed(
        _cloud_event_of(delivery, public_url),
        destination.form,
        rendered,
        secrets,
        message_id=_message_id_of(delivery),
        at=at,
        hops=delivery.hops + 1,
    )
    if trace is not None:
        trace.begin_request(message.method, None if rendered else message.url, message.headers)
    return WebhookRequest(
        message.method, message.url, message.headers, message.body, destination.timeout
    )


def _message_id_of(delivery: ClaimedDelivery) -> str:
    installation = delivery.installation
    return f"evt_{installation}_{delivery.event_id}" if installation else f"evt_{delivery.event_id}"


def _cloud_event_of(delivery: ClaimedDelivery, public_url: str | None) -> CloudEvent:
    return CloudEvent(
        id=str(delivery.event_id),
        source=_source(delivery, public_url),
        type=delivery.event_type,
        time=delivery.triggered_at,
        payload=delivery.payload,
        trigger_key=delivery.trigger_key,
        trigger_name=delivery.trigger_name,
        scheduled_for=delivery.scheduled_for,
        is_test=delivery.is_test,
        replay_of=delivery.replay_of,
        source_kind=delivery.source_kind,
        subject=delivery.subject,
    )


def _source(delivery: ClaimedDelivery, public_url: str | None) -> str:
    installation = delivery.installation
    if delivery.subject is not None:
        return source_of_notices(installation=installation, public_url=public_url)
    return source_of(
        "trigger", delivery.trigger_id, installation=installation, public_url=public_url
    )


def decide_outcome(
    attempt: Attempt,
    result: AttemptResult,
    *,
    attempted_at: datetime,
    ended_at: datetime,
    schedule: Sequence[float],
    jitter: float,
) -> AttemptOutcome:
    """Decides whether the delivery is delivered, retried (and when), or exhausted.

    A 429 or 503 with `Retry-After` holds the destination. While the delivery is younger than
    HOLDS_FREE_FOR, such a response costs none of its tries.
    """
    retry_after = _retry_after(result, now=ended_at)
    hold = retry_after if result.status_code in _HOLDING_STATUSES else None
    free_wait = None if hold is None else wait_while_held(hold, age=ended_at - attempt.queued_at)
    wait = free_wait
    if wait is None:
        wait = _retry_wait(attempt, result, retry_after, schedule=schedule, jitter=jitter)
    if result.error is None:
        status = DeliveryStatus.DELIVERED
    else:
        status = DeliveryStatus.EXHAUSTED if wait is None else DeliveryStatus.RETRYING
    return AttemptOutcome(
        shard=attempt.shard,
        owner_id=attempt.owner_id,
        delivery_id=attempt.delivery_id,
        lease=attempt.lease,
        status=status,
        next_attempt_at=None if wait is None else ended_at + wait,
        finished_at=ended_at if wait is None else None,
        attempted_at=attempted_at,
        duration_ms=round((ended_at - attempted_at) / _MILLISECOND, 3),
        status_code=result.status_code,
        error=result.error,
        response=result.response,
        reason=result.reason,
        location=result.location,
        held_until=None if hold is None else ended_at + hold,
        cost=1 if free_wait is None else 0,
    )


def _retry_after(result: AttemptResult, *, now: datetime) -> timedelta | None:
    if result.error is None or result.retry_after is None:
        return None
    return parse_retry_after(result.retry_after, now=now)


def _retry_wait(
    attempt: Attempt,
    result: AttemptResult,
    retry_after: timedelta | None,
    *,
    schedule: Sequence[float],
    jitter: float,
) -> timedelta | None:
    """The wait until the next attempt; None when there is none."""
    if result.error is None or result.error in _NO_RETRY or result.is_final:
        return None
    if _is_in_loop(attempt, result):
        return None
    wait = backoff(attempt.tries + 1, schedule, jitter=jitter)
    return wait if wait is None or retry_after is None else max(wait, retry_after)


def _is_in_loop(attempt: Attempt, result: AttemptResult) -> bool:
    """Whether a service like this one refused the delivery for its hops, as it always would."""
    return attempt.hops >= MOST_HOPS and result.status_code == LoopDetected.status


def backoff(tries: int, schedule: Sequence[float], *, jitter: float) -> timedelta | None:
    """Returns the wait after `tries` failed attempts, at least 1; None after the last one.

    `schedule` holds the waits in seconds. `jitter`, from -1 to 1, moves a wait by up to a fifth.
    """
    if tries > len(schedule):
        return None
    return timedelta(seconds=schedule[tries - 1] * (1 + JITTER * jitter))


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Reads `Retry-After` as seconds or a date (RFC 9110, section 10.2.3), capped at 24 hours.

    Gives None for an unreadable value and for an instant in the past.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        longest = LONGEST_RETRY_AFTER // timedelta(seconds=1)
        wait = timedelta(seconds=longest if len(value) > 9 else min(int(value), longest))
    else:
        try:
            at = parsedate_to_datetime(value)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(wait, LONGEST_RETRY_AFTER) if wait > timedelta(0) else None


def wait_while_held(hold: timedelta, *, age: timedelta) -> timedelta | None:
    """Returns the wait of a held delivery that costs it no try; None once it costs one.

    It is at least a tenth of the delivery's `age` in the queue. So a receiver that keeps asking for
    one second gets about a hundred attempts of it in a day, and not one each second.
    """
    return max(hold, age / _HOLDS_PER_AGE) if age < HOLDS_FREE_FOR else None
