"""Writes a request in the format of its destination: method, URL, content headers and body."""

from typing import NamedTuple, assert_never

from event_trigger.deliveries.http.cloud_event import CLOUD_EVENT_MEDIA_TYPE, CloudEvent
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.templates.jobs import JSON_MEDIA_TYPE, Rendered
from event_trigger.models import DestinationFormat, DestinationMethod

_NO_PAYLOAD = "{}"  # some receivers of JSON read nothing but objects and arrays


class Message(NamedTuple):
    """A request; `body` is empty for one without a body, and the same in every attempt."""

    method: DestinationMethod
    url: str
    headers: dict[str, str]
    body: bytes


def write_message(event: CloudEvent, form: RequestForm, rendered: Rendered | None) -> Message:
    """Writes the message without a signature and the destination's own headers.

    A form with templates needs the `rendered` request.
    """
    assert (rendered is not None) == form.is_rendered
    url = form.url if rendered is None else rendered.url
    headers, body = _content(event, form, None if rendered is None else rendered.body)
    if not form.has_body:
        body = b""
    if not body:
        headers.pop("Content-Type", None)
    return Message(form.method, url, headers, body)


def _content(
    event: CloudEvent, form: RequestForm, rendered: bytes | None
) -> tuple[dict[str, str], bytes]:
    match form.format:
        case DestinationFormat.CLOUDEVENTS:
            return {"Content-Type": CLOUD_EVENT_MEDIA_TYPE}, event.body()
        case DestinationFormat.CLOUDEVENTS_BINARY:
            headers = {**event.headers(), "Content-Type": JSON_MEDIA_TYPE}
            return headers, (event.payload or "").encode()
        case DestinationFormat.PAYLOAD:
            return {"Content-Type": JSON_MEDIA_TYPE}, (event.payload or _NO_PAYLOAD).encode()
        case DestinationFormat.TEMPLATE:
            return {"Content-Type": form.media_type}, rendered or b""
    assert_never(form.format)
