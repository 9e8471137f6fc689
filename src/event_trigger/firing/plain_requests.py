"""Reads the body of a plain call, and makes its answer; the fast paths of triggers and hooks do."""

import json

from event_trigger.firing.fire import CallAnswer, SentBody
from event_trigger.firing.rate_limits import headers_of
from event_trigger.firing.schemas import Fired
from event_trigger.web.answers import ReadyAnswer
from event_trigger.web.strict_json import loads

_FIRED_BODY = Fired().model_dump_json().encode()
_BODY_HEADERS = (
    (b"content-length", b"%d" % len(_FIRED_BODY)),
    (b"content-type", b"application/json"),
)


def read_object(body: bytes) -> tuple[SentBody | None, bool]:
    """Parses a body, and says whether it is valid: a JSON object, or empty (then None)."""
    if not body:
        return None, True
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return None, False
    return (SentBody(value, body.decode()), True) if isinstance(value, dict) else (None, False)


def fired_response(fired: CallAnswer) -> ReadyAnswer:
    headers = [(name.lower().encode(), value.encode()) for name, value in headers_of(fired).items()]
    return ReadyAnswer(_FIRED_BODY, [*headers, *_BODY_HEADERS])
