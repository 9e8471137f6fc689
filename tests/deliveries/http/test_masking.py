"""Own headers that a receiver repeats are masked; the headers of the service are no secret."""

from datetime import UTC, datetime

from event_trigger.deliveries.http.cloud_event import CloudEvent
from event_trigger.deliveries.http.masking import masked
from event_trigger.web.http_headers import EVENT_HEADERS
from event_trigger.web.mask import MASK

SOME_TIME = datetime.fromtimestamp(0, UTC)
WITH_EVERY_ATTRIBUTE = CloudEvent(
    id="1",
    source="/",
    type="api",
    time=SOME_TIME,
    payload="{}",
    trigger_key="key",
    trigger_name="name",
    scheduled_for=SOME_TIME,
    is_test=True,
    replay_of=1,
    source_kind="replay",
    subject="triggers/1",
)


def test_every_attribute_of_an_event_is_shown_and_own_headers_are_not() -> None:
    sent = {name: f"canary-{name}" for name in WITH_EVERY_ATTRIBUTE.headers()}
    own = {"X-Own": "canary-own", "ce-other": "canary-other"}

    shown = masked(" ".join([*sent.values(), *own.values()]), sent | own)

    assert all(WITH_EVERY_ATTRIBUTE)
    assert shown == " ".join([*sent.values(), MASK, MASK])


def test_the_headers_that_a_destination_cannot_have_are_those_of_an_event() -> None:
    assert WITH_EVERY_ATTRIBUTE.headers().keys() == EVENT_HEADERS
