"""Reads and answers plain calls outside FastAPI, whose routing takes most of a call's time.

The fast paths of triggers and hooks share these functions. They answer only plain, valid calls, and
pass all others on to the FastAPI operation, which is the one place that describes errors.
"""

import json
from collections.abc import Awaitable, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.db.engine import is_outage
from event_trigger.errors import Problem
from event_trigger.firing.fire import CallAnswer, KeyMoved, SentBody
from event_trigger.firing.rate_limits import headers_of
from event_trigger.firing.schemas import Fired
from event_trigger.web.problems import answer, outage
from event_trigger.web.strict_json import loads

_FIRED_BODY = Fired().model_dump_json().encode()


def headers_of_plain_post(scope: Scope) -> Mapping[bytes, bytes] | None:
    """Returns the headers of a POST without a query and without repeated headers, or else None."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
        return None
    if scope["query_string"]:
        return None
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]) or b"transfer-encoding" in headers:
        return None
    return headers


async def read_body(receive: Receive) -> bytes | None:
    """Returns the whole body, or None if the client has disconnected."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def read_object(body: bytes) -> tuple[SentBody | None, bool]:
    """Parses a body, and says whether it is valid: a JSON object, or empty (then None)."""
    if not body:
        return None, True
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return None, False
    return (SentBody(value, body.decode()), True) if isinstance(value, dict) else (None, False)


async def response_to(scope: Scope, firing: Awaitable[CallAnswer]) -> Response:
    """Waits until the event is committed, and gives the response, or that of its problem.

    Raises KeyMoved, so that the trigger can be looked up again.
    """
    try:
        fired = await firing
    except KeyMoved:
        raise
    except Problem as problem:
        return answer(problem)
    except Exception as error:
        if not is_outage(error):
            raise
        return outage(scope["path"], error)
    return Response(_FIRED_BODY, headers=headers_of(fired), media_type="application/json")


async def pass_on(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, body: bytes | None
) -> None:
    """Passes a request on to FastAPI, with the body that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]
    if body is None:
        messages = [{"type": "http.disconnect"}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    await app(scope, receive_again, send)
