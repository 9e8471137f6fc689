"""Says which of a batch's decisions listening destinations are told of."""

from collections.abc import Iterable, Iterator

from event_trigger.instants import instant_text
from event_trigger.models import NoticeKind, SubjectKind, UnfiredReason
from event_trigger.notices.changes import Change, Subject
from event_trigger.scheduling.repository import ClaimedTrigger, DecidedTrigger

# others fired a newer instant instead, or are as a person wanted it
_MISSED = frozenset({UnfiredReason.MISSED, UnfiredReason.EXPIRED, UnfiredReason.FAILED})


def missed_news(decided: Iterable[DecidedTrigger]) -> Iterator[Change]:
    """Returns the instants that did not fire although they should have."""
    for trigger, decision in decided:
        for unfired in decision.unfired:
            if unfired.reason not in _MISSED:
                continue
            instants = unfired.instants
            details = {
                "reason": unfired.reason,
                "first_at": instant_text(instants.first),
                "last_at": instant_text(instants.last),
            }
            yield Change(
                NoticeKind.INSTANTS_MISSED,
                trigger.owner_id,
                Subject(SubjectKind.TRIGGER, trigger.id),
                instants.count,
                details=details,
            )


def set_aside_news(trigger: ClaimedTrigger, error: str) -> Change:
    subject = Subject(SubjectKind.TRIGGER, trigger.id)
    details = {"error": error}
    return Change(NoticeKind.TRIGGER_SET_ASIDE, trigger.owner_id, subject, details=details)
