"""Writes the payload of a notice: the same members for every kind, and a sentence for people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from event_trigger.instants import instant_text
from event_trigger.models import ChangeReason, DisabledReason, NoticeKind, SubjectKind
from event_trigger.notices.changes import Subject

# every notice has all of them, so that a template may name each
DETAILS: Mapping[str, Any] = {
    "delivery_id": None,
    "error": None,
    "expires_at": None,
    "failures": None,
    "first_at": None,
    "last_at": None,
    "reason": None,
    "status_code": None,
    "subjects": [],
}


class Told(NamedTuple):
    """Changes of one kind that a notice tells of; `name` is the subject's, `details` the
    last's. `times` is the number of changes, instants or deliveries."""

    kind: NoticeKind
    subject: Subject
    name: str | None
    project_id: int
    project_name: str | None
    times: int
    since: datetime
    details: Mapping[str, Any]


def payload_of(told: Told) -> dict[str, Any]:
    """Returns the payload of a notice, which templates also know as `notice`."""
    return {
        "kind": told.kind,
        "subject": told.subject.path,
        "name": told.name,
        "project_id": told.project_id,
        "project_name": told.project_name,
        "count": told.times,
        "since": instant_text(told.since),
        "message": message_of(told),
        "details": {**DETAILS, **told.details},
    }


def message_of(told: Told) -> str:
    """Says in a sentence or two what has changed, and how often if it was more than once."""
    if told.subject.kind is SubjectKind.PROJECT and told.kind is not NoticeKind.BACKLOG_FULL:
        return _message_of_many(told)
    message = _message_of_one(told, _shown(told))
    counts_itself = told.kind in {NoticeKind.DELIVERY_EXHAUSTED, NoticeKind.INSTANTS_MISSED}
    if told.times == 1 or counts_itself:
        return message
    return f"{message} This happened {told.times} times since {instant_text(told.since)}."


_WORDS = {
    NoticeKind.DESTINATION_OPENED: "The {name} does not answer: {failures} attempts in a row"
    " failed. It is only probed until it answers.",
    NoticeKind.DESTINATION_CLOSED: "The {name} answers again, and gets its deliveries.",
    NoticeKind.DESTINATION_DISABLED: "The {name} was disabled{why}.",
    NoticeKind.DELIVERY_EXHAUSTED: "{deliveries} to the {name} failed for good, the last with"
    " {failure}. A failed delivery can be sent again for 7 days.",
    NoticeKind.TRIGGER_SET_ASIDE: "The {name} was set aside: {error}",
    NoticeKind.INSTANTS_MISSED: "{instants} of the {name} did not fire ({reason}), the last of"
    " {last_at}.",
    NoticeKind.TRIGGER_SILENT: "The {name} is silent: {silence}.",
    NoticeKind.KEY_EXPIRING: "The {name} expires at {expires_at}.",
    NoticeKind.BACKLOG_FULL: "The backlog of the {name} is full: new deliveries with a payload are"
    " exhausted at once, with backlog_full, until fewer bytes wait.",
}


_SILENCES = {
    ChangeReason.FAILED: "its job said that it failed",
    ChangeReason.EXIT_CODE: "its job ended with an exit code that is not 0",
}


def _message_of_one(told: Told, name: str) -> str:
    details: dict[str, Any] = {**DETAILS, **told.details}
    is_gone = details["reason"] == DisabledReason.GONE
    return _WORDS[told.kind].format_map(
        details
        | {
            "name": name,
            "deliveries": _number(told.times, "delivery", "deliveries"),
            "instants": _number(told.times, "instant", "instants"),
            "failure": _failure(details),
            "silence": _SILENCES.get(details["reason"], "no ping came in time"),
            "why": ", since it answered 410 Gone" if is_gone else " by a person",
        }
    )


_MANY = {
    NoticeKind.DESTINATION_OPENED: "destinations opened: they do not answer",
    NoticeKind.DESTINATION_CLOSED: "destinations closed: they answer again",
    NoticeKind.DESTINATION_DISABLED: "destinations were disabled",
    NoticeKind.DELIVERY_EXHAUSTED: "deliveries to several destinations failed for good",
    NoticeKind.TRIGGER_SET_ASIDE: "triggers could not fire, and were set aside",
    NoticeKind.INSTANTS_MISSED: "instants of several triggers did not fire",
    NoticeKind.TRIGGER_SILENT: "heartbeats are silent",
    NoticeKind.KEY_EXPIRING: "API keys expire within 7 days",
    NoticeKind.BACKLOG_FULL: "backlogs are full",
}


def _message_of_many(told: Told) -> str:
    named: Sequence[str] = told.details.get("subjects", ())
    among = f", among them {', '.join(named)}" if named else ""
    return f"In the {_shown(told)}, {told.times} {_MANY[told.kind]}{among}."


def _shown(told: Told) -> str:
    noun = "API key" if told.subject.kind is SubjectKind.KEY else told.subject.kind.value
    return f"{noun} {told.subject.id}" if told.name is None else f"{noun} {told.name}"


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _failure(details: Mapping[str, Any]) -> str:
    status = details["status_code"]
    return f"{details['error']}" if status is None else f"the status {status}"


_SAMPLES: Mapping[NoticeKind, tuple[Subject, str, Mapping[str, Any]]] = {
    NoticeKind.DESTINATION_OPENED: (
        Subject(SubjectKind.DESTINATION, 1),
        "billing",
        {"failures": 5},
    ),
    NoticeKind.DESTINATION_CLOSED: (Subject(SubjectKind.DESTINATION, 1), "billing", {}),
    NoticeKind.DESTINATION_DISABLED: (
        Subject(SubjectKind.DESTINATION, 1),
        "billing",
        {"reason": DisabledReason.GONE},
    ),
    NoticeKind.DELIVERY_EXHAUSTED: (
        Subject(SubjectKind.DESTINATION, 1),
        "billing",
        {"delivery_id": 1, "error": "rejected", "status_code": 503},
    ),
    NoticeKind.TRIGGER_SET_ASIDE: (
        Subject(SubjectKind.TRIGGER, 1),
        "nightly",
        {"error": "This trigger could not fire (ValueError) and was set aside."},
    ),
    NoticeKind.INSTANTS_MISSED: (
        Subject(SubjectKind.TRIGGER, 1),
        "nightly",
        {
            "reason": "missed",
            "first_at": "2026-11-30T09:00:00Z",
            "last_at": "2026-11-30T09:00:00Z",
        },
    ),
    NoticeKind.TRIGGER_SILENT: (Subject(SubjectKind.TRIGGER, 1), "nightly", {}),
    NoticeKind.KEY_EXPIRING: (
        Subject(SubjectKind.KEY, 1),
        "backups",
        {"expires_at": "2026-12-07T09:00:00Z"},
    ),
    NoticeKind.BACKLOG_FULL: (Subject(SubjectKind.PROJECT, 1), "Operations", {}),
}


def sample_of(kind: NoticeKind) -> dict[str, Any]:
    """Returns the payload of a notice that never was: templates are checked and tried with it."""
    subject, name, details = _SAMPLES[kind]
    since = datetime(2026, 11, 30, 9, tzinfo=UTC)
    return payload_of(Told(kind, subject, name, 1, "Operations", 1, since, details))
