"""Writes the mail of a delivery: by templates, or as text that a reader understands."""

import json
from collections.abc import Iterator

from event_trigger.deliveries.http.cloud_event import CloudEvent
from event_trigger.deliveries.mail.indenting import indented
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.mail_urls import recipient_of
from event_trigger.destinations.templates.jobs import Rendered
from event_trigger.instants import instant_text
from event_trigger.mail.message import Mail, one_line
from event_trigger.models import DestinationFormat, SubjectKind

# the views of the console that show what a notice is about
_VIEWS = {
    SubjectKind.TRIGGER: "triggers/{id}?project={project}",
    SubjectKind.DESTINATION: "destinations?open={id}&project={project}",
    SubjectKind.KEY: "keys?project={project}",
    SubjectKind.PROJECT: "?project={project}",
}
_EXHAUSTED = "deliveries?status=exhausted&destination_id={id}&open={delivery}&project={project}"
_NO_PAYLOAD = "There is no payload."


def mail_of(event: CloudEvent, form: RequestForm, rendered: Rendered | None, *, id_: str) -> Mail:
    """Writes the mail; every attempt has the same `id_` and content.

    Its date is the event's. A form with templates needs what is `rendered`.
    """
    subject = "" if rendered is None else one_line(rendered.subject or "")
    body = None if rendered is None else rendered.body
    text = _text_of(event, form.format) if body is None else body.decode()
    return Mail(id_, recipient_of(form.url), subject or _subject_of(event), text, event.time)


def _subject_of(event: CloudEvent) -> str:
    if (message := _message_of(event)) is not None:
        return one_line(message)
    named = f"Event {event.id}" if (title := _title_of(event)) is None else f"{title} ({event.id})"
    return f"[test] {named}" if event.is_test else named


def _message_of(event: CloudEvent) -> str | None:
    """Returns what a notice says in words; None for an event."""
    if event.subject is None or event.payload is None:
        return None
    return str(json.loads(event.payload)["message"])


def _title_of(event: CloudEvent) -> str | None:
    return event.trigger_name or event.trigger_key


def _text_of(event: CloudEvent, format_: DestinationFormat) -> str:
    payload = _NO_PAYLOAD if event.payload is None else indented(event.payload)
    if format_ is DestinationFormat.PAYLOAD:
        return payload
    facts = "\n".join(f"{name}: {value}" for name, value in _facts_of(event))
    parts = [_message_of(event), facts, payload]
    return "\n\n".join(one for one in parts if one is not None)


def _link_of(event: CloudEvent) -> str | None:
    """Returns the console's view of what a notice is about, in its project.

    None for events, and where EVENT_TRIGGER_PUBLIC_URL does not say how the service is reached.
    """
    if event.subject is None or event.payload is None or not event.source.startswith("http"):
        return None
    kind, _, id_ = event.subject.partition("s/")
    notice = json.loads(event.payload)
    delivery_id = notice["details"]["delivery_id"]
    view = _VIEWS[SubjectKind(kind)] if delivery_id is None else _EXHAUSTED
    shown = view.format(id=id_, project=notice["project_id"], delivery=delivery_id)
    return f"{event.source}/console/{shown}"


def _facts_of(event: CloudEvent) -> Iterator[tuple[str, str]]:
    if (title := _title_of(event)) is not None:
        yield "Trigger", title
    kind = "Event" if event.subject is None else "Notice"
    yield kind, f"{event.id}, {event.type}" + (", a test" if event.is_test else "")
    if event.subject is not None:
        yield "About", event.subject
    if (link := _link_of(event)) is not None:
        yield "Console", link
    yield "Time", instant_text(event.time)
    if event.scheduled_for is not None:
        yield "Scheduled for", instant_text(event.scheduled_for)
    if event.replay_of is not None:
        yield "Replay of", f"event {event.replay_of}"
    yield "Source", event.source
