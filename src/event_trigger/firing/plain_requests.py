"""Reads the body of a plain call, and makes its answer; the fast paths of triggers and hooks do."""

import json

from starlette.responses import Response

from event_trigger.firing.fire import CallAnswer, SentBody
from event_trigger.firing.rate_limits import headers_of
from event_trigger.firing.schemas import Fired
from event_trigger.web.strict_json import loads

_FIRED_BODY = Fired().model_dump_json().encode()


def read_object(body: bytes) -> tuple[SentBody | None, bool]:
    """Parses a body, and says whether it is valid: a JSON object, or empty (then None)."""
    if not body:
        return None, True
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return None, False
    return (SentBody(value, body.decode()), True) if isinstance(value, dict) else (None, False)


def fired_response(fired: CallAnswer) -> Response:
    return Response(_FIRED_BODY, headers=headers_of(fired), media_type="application/json")
