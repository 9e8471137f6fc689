"""Answers calls below FastAPI's routing, which takes most of their time: what each way in shares.

Only calls that are plainly right are answered so. All others go on to the operation that describes
them, which says what is wrong: there is one place for that.
"""

import json
from collections.abc import Awaitable, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.db.engine import is_outage
from event_trigger.errors import Problem
from event_trigger.firing.fire import CallAnswer, SentBody
from event_trigger.firing.rate_limits import headers_of
from event_trigger.firing.schemas import Fired
from event_trigger.web.problems import answer, outage
from event_trigger.web.strict_json import loads

_FIRED = Fired().model_dump_json().encode()


def headers_of_plain_post(scope: Scope) -> Mapping[bytes, bytes] | None:
    """The headers of a POST without a query whose headers each come once, or None."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
        return None
    if scope["query_string"]:
        return None
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]) or b"transfer-encoding" in headers:
        return None
    return headers


async def read_body(receive: Receive) -> bytes | None:
    """The whole body, or None if the caller has hung up."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def read_object(body: bytes) -> tuple[SentBody | None, bool]:
    """The JSON object in a body, or None if there is none; and whether that is what it is."""
    if not body:
        return None, True
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return None, False
    return (SentBody(value, body.decode()), True) if isinstance(value, dict) else (None, False)


async def answered(scope: Scope, firing: Awaitable[CallAnswer]) -> Response:
    """Answers once the event is committed, or with the problem that kept it from being made."""
    try:
        fired = await firing
    except Problem as problem:
        return answer(problem)
    except Exception as error:
        if not is_outage(error):
            raise
        return outage(scope["path"], error)
    return Response(_FIRED, headers=headers_of(fired), media_type="application/json")


async def pass_on(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, body: bytes | None
) -> None:
    """Lets the described operation answer, which reads again the body that was read here."""
    messages: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]
    if body is None:
        messages = [{"type": "http.disconnect"}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    await app(scope, receive_again, send)
