"""Says which changes of deliveries and destinations are told of."""

from collections.abc import Iterable, Iterator

from event_trigger.deliveries.completed import CompletedAttempt
from event_trigger.models import DeliveryStatus, NoticeKind, SubjectKind
from event_trigger.notices.changes import Change, Subject


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
