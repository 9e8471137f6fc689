"""Says which changes of deliveries and destinations are told of."""

from collections.abc import Iterable, Iterator

from event_trigger.deliveries.completed import CompletedAttempt
from event_trigger.deliveries.outcome_log import HealthChange
from event_trigger.destinations.circuit_breaker import BreakerState
from event_trigger.models import DeliveryStatus, NoticeKind, SubjectKind
from event_trigger.notices.changes import Change, Subject


def health_news(changes: Iterable[HealthChange]) -> Iterator[Change]:
    """Returns the breakers that opened or closed, and the destinations that are gone."""
    for before, after in changes:
        was, now = before.breaker.state, after.breaker.state
        details: dict[str, object] = {}
        if after.disabled_reason is not None:
            kind, details = NoticeKind.DESTINATION_DISABLED, {"reason": after.disabled_reason}
        elif now is BreakerState.OPEN and was is not BreakerState.OPEN:
            kind, details = NoticeKind.DESTINATION_OPENED, {"failures": after.breaker.failures}
        elif now is BreakerState.CLOSED and was is not BreakerState.CLOSED:
            kind = NoticeKind.DESTINATION_CLOSED
        else:
            continue
        subject = Subject(SubjectKind.DESTINATION, before.id)
        yield Change(kind, before.owner_id, subject, details=details)


def exhausted_news(ended: Iterable[CompletedAttempt]) -> Iterator[Change]:
    """Returns the deliveries whose recorded attempt was their last; those of notices are left out.

    The subject is the destination, so that all deliveries to it that fail are one notice.
    """
    for one in ended:
        attempt, outcome = one.attempt, one.outcome
        if outcome.status is DeliveryStatus.EXHAUSTED and not attempt.is_notice:
            yield Change(
                NoticeKind.DELIVERY_EXHAUSTED,
                attempt.owner_id,
                Subject(SubjectKind.DESTINATION, attempt.destination_id),
                hops=attempt.hops,
                details={
                    "delivery_id": attempt.delivery_id,
                    "error": outcome.error,
                    "status_code": outcome.status_code,
                },
            )
