"""Writes and signs the request of an event: deliveries, tests and previews have the same."""

from collections.abc import Mapping
from datetime import datetime

from event_trigger.deliveries.http.cloud_event import CloudEvent
from event_trigger.deliveries.http.hops import HOPS_HEADER
from event_trigger.deliveries.http.message import Message, write_message
from event_trigger.deliveries.http.signature import sign
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.destinations.templates.jobs import Rendered


def write_signed(
    event: CloudEvent,
    form: RequestForm,
    rendered: Rendered | None,
    secrets: Secrets,
    *,
    message_id: str,
    at: datetime,
    hops: int,
) -> Message:
    """Writes the whole request; `hops` is the number that it carries."""
    message = write_message(event, form, rendered)
    signature = sign(message.body, message_id=message_id, at=at, secrets=secrets.signing(now=at))
    ours = {**signature, HOPS_HEADER: str(hops), **message.headers}
    headers = _merged(secrets.headers, ours)
    return Message(message.method, message.url, headers, message.body)


def _merged(own: Mapping[str, str], ours: dict[str, str]) -> dict[str, str]:
    """Adds the destination's own headers to the service's, which they cannot replace."""
    if not own:
        return ours
    names = {name.lower() for name in ours}
    return {name: value for name, value in own.items() if name.lower() not in names} | ours
