"""Names the outcomes of an instant, and gives a sentence for each reason on record."""

from datetime import timedelta
from enum import StrEnum

from event_trigger.models import UnfiredReason
from event_trigger.triggers.schedule.plan import MAX_CAUGHT_UP, MISSED_AFTER, CatchUp, Plan


class Outcome(StrEnum):
    FIRED = "fired"
    PENDING = "pending"
    MISSED = "missed"
    COALESCED = "coalesced"
    PAUSED = "paused"
    NOT_SCHEDULED = "not_scheduled"
    EXCEPTED = "excepted"
    EXPIRED = "expired"


OUTCOMES = {
    UnfiredReason.MISSED: Outcome.MISSED,
    UnfiredReason.COALESCED: Outcome.COALESCED,
    UnfiredReason.EXPIRED: Outcome.EXPIRED,
    UnfiredReason.PAUSED: Outcome.PAUSED,
    UnfiredReason.REPLACED: Outcome.MISSED,
    UnfiredReason.DELETED: Outcome.MISSED,
    UnfiredReason.FAILED: Outcome.MISSED,
}
_SENTENCES = {
    UnfiredReason.MISSED: (
        f"Nothing could fire within {MISSED_AFTER.total_seconds():.0f} s of its time, and with"
        " catch_up 'none' it does not fire later."
    ),
    UnfiredReason.COALESCED: (
        "Nothing could fire in time; with catch_up 'latest' one event, for the newest instant"
        " that was missed, stands for all that were."
    ),
    UnfiredReason.EXPIRED: (
        "When firing was possible again, it was longer ago than catch_up_window looks back:"
    ),
    UnfiredReason.PAUSED: "The trigger was paused; instants in a pause do not fire.",
    UnfiredReason.REPLACED: "The schedule was changed before this due instant could fire.",
    UnfiredReason.DELETED: "The trigger was deleted before this due instant could fire.",
    UnfiredReason.FAILED: (
        "The trigger could not fire: it was set aside (see its 'error'), or the project's events"
        " had reached their limit, EVENT_TRIGGER_MAX_EVENT_BYTES (see GET /info)."
    ),
}


UNJUDGED = (  # a deadline of a heartbeat
    "The service did not run for a part of the time in which the ping was to come, so it may have"
    " been lost. The next ping was awaited instead, a full period from when the service ran again."
)


def sentence_for(reason: UnfiredReason, plan: Plan) -> str:
    """Says why an instant of that plan has no event."""
    sentence = _SENTENCES[reason]
    if reason is not UnfiredReason.EXPIRED:
        return sentence
    minutes = plan.catch_up_window / timedelta(minutes=1)
    most = f", at most {MAX_CAUGHT_UP} instants" if plan.catch_up is CatchUp.ALL else ""
    return f"{sentence} {minutes:g} minutes{most}."
