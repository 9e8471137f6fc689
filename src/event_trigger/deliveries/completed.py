"""Says what completed attempts mean for the health of their destinations."""

from collections.abc import Sequence
from dataclasses import dataclass

from event_trigger.deliveries.attempt import Attempt
from event_trigger.deliveries.queue.deliveries import FIRST_LEASE
from event_trigger.deliveries.queue.destinations import DestinationHealth, LockedDestination
from event_trigger.deliveries.queue.outcomes import AttemptOutcome
from event_trigger.deliveries.queue.requests import NewRequest
from event_trigger.destinations.circuit_breaker import Verdict
from event_trigger.destinations.templates.jobs import Rendered
from event_trigger.models import DeliveryError, DeliveryStatus, DisabledReason


@dataclass(frozen=True, slots=True)
class CompletedAttempt:
    """An attempt and its outcome; `rendered` is its request, if a template made it."""

    attempt: Attempt
    outcome: AttemptOutcome
    verdict: Verdict
    rendered: Rendered | None = None

    @property
    def shard(self) -> int:
        return self.attempt.shard

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing but the delivery, if the destination is healthy."""
        is_delivered = self.outcome.status is DeliveryStatus.DELIVERED
        return is_delivered and not (self.changes_destination or self.is_kept_in_vain)

    @property
    def changes_destination(self) -> bool:
        """Whether the destination's row changes even if its breaker is closed, without failures."""
        if not self.was_sent:
            return False
        gone = self.outcome.error is DeliveryError.GONE
        return gone or self.verdict is not Verdict.ALIVE

    @property
    def was_sent(self) -> bool:
        """Whether the attempt says anything about the destination."""
        return self.outcome.error is not DeliveryError.TEMPLATE_FAILED

    @property
    def request_to_keep(self) -> NewRequest | None:
        """The request that later attempts send again; None if there are none, or it is large."""
        form, rendered = self.attempt.form, self.rendered
        if rendered is None or form is None or self.outcome.finished_at is not None:
            return None
        attempt = self.attempt
        request = NewRequest(
            attempt.delivery_id, form.digest, rendered.url, rendered.body, rendered.subject
        )
        return request if request.is_small else None

    @property
    def is_kept_in_vain(self) -> bool:
        """Whether an attempt before has kept the request, and no later one needs it."""
        is_later = self.attempt.lease > FIRST_LEASE
        return self.attempt.form is not None and is_later and self.outcome.finished_at is not None


def held_bytes(attempt: Attempt, rendered: Rendered | None) -> int:
    """Returns the bytes that an attempt holds in memory: the payload's and the rendered body's."""
    return attempt.size + len((rendered and rendered.body) or b"")


def health_of(
    destination: LockedDestination, group: Sequence[CompletedAttempt]
) -> DestinationHealth:
    """Applies the outcomes to a destination's breaker, in the order in which they came.

    Ignores attempts that went to the URL that the destination had before a change.
    """
    breaker, held_until, disabled_reason = destination.breaker, destination.held_until, None
    now = destination.now
    for one in group:
        attempt = one.attempt
        if (attempt.destination_id, attempt.url) != (destination.id, destination.url):
            continue
        if not one.was_sent:
            continue
        breaker = breaker.after(one.verdict, max_concurrency=destination.max_concurrency, now=now)
        held_until = max((at for at in (held_until, one.outcome.held_until) if at), default=None)
        if one.outcome.error is DeliveryError.GONE:
            disabled_reason = DisabledReason.GONE
    is_held = held_until is not None and held_until > now
    if destination.is_disabled:  # by an attempt before, or by a person
        disabled_reason = None
    return DestinationHealth(
        destination.id, breaker, held_until if is_held else None, disabled_reason
    )
