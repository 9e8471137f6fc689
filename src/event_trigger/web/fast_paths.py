"""Answers plain requests outside FastAPI, whose layers take most of such a call's time.

A fast path answers the plain, valid requests of one kind, and leaves all others to the FastAPI
operation, which is the one place that describes errors.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.db.engine import is_outage
from event_trigger.errors import Problem
from event_trigger.logs import loggable
from event_trigger.tracing import TRACING
from event_trigger.web.answers import send_whole
from event_trigger.web.middleware import refused_head, with_safe_headers
from event_trigger.web.problems import answer, crashed, outage
from event_trigger.web.request_head import request_id_of
from event_trigger.web.request_meter import RequestMeter, note_end

log = structlog.get_logger()


class FastPath(Protocol):
    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Returns the response; for a request that FastAPI answers, what that reads it by.

        Raises Problem, and errors of the database.
        """
        ...


class FastPaths:
    """Asks the fast paths behind the middleware, in front of FastAPI's routes."""

    def __init__(self, app: ASGIApp, *, paths: Sequence[FastPath]) -> None:
        self.app = app
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found: Response | Receive = receive
        if scope["type"] == "http":
            try:
                found = await first_answer(self.paths, scope, receive)
            except Exception as error:
                found = response_to(scope, error)
        if isinstance(found, Response):
            await found(scope, receive, send)
        else:
            await self.app(scope, found, send)


class OutermostFastPaths:
    """Asks the fast paths in front of everything else, and does what the middleware would do.

    That is an id, safe headers, a line of the log, and the limit of a body. Everything else about a
    request is passed on before it is read: it is only for a service whose settings need no other
    middleware.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        paths: Sequence[FastPath],
        largest: int,
        has_started: Callable[[], bool],
        meter: RequestMeter,
    ) -> None:
        self.app = app
        self.paths = paths
        self.meter = meter
        self.largest = largest
        self.has_started = has_started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found: Response | Receive = receive
        began = time.perf_counter()
        if self._takes(scope):
            try:
                found = await first_answer(self.paths, scope, receive)
            except Exception as error:
                found = _response_to_any(scope, error)
        if isinstance(found, Response):
            await self._send(found, scope, send, began)
        else:
            await self.app(scope, found, send)

    def _takes(self, scope: Scope) -> bool:
        is_read = scope["type"] == "http" and self.has_started()
        return is_read and refused_head(scope, self.largest) is None

    async def _send(self, response: Response, scope: Scope, send: Send, began: float) -> None:
        request_id, status = request_id_of(scope), response.status_code
        headers = with_safe_headers(response.raw_headers, scope, request_id, status=status)
        body = b"" if scope["method"] == "HEAD" else bytes(response.body)
        if TRACING.tracer is not None:
            self.meter.name_span(scope)
        try:
            await send_whole(scope, send, status, headers, body)
        finally:
            note_end(self.meter, scope, status, began)


async def first_answer(
    paths: Sequence[FastPath], scope: Scope, receive: Receive
) -> Response | Receive:
    """Returns the answer of the first fast path that has one; raises what that raises."""
    for path in paths:
        found = await path.answer(scope, receive)
        if found is not receive:
            return found
    return receive


def response_to(scope: Scope, error: Exception) -> Response:
    """Returns the response to a problem or an outage; raises any other error."""
    if isinstance(error, Problem):
        return answer(error)
    if is_outage(error):
        return outage(scope["path"], error)
    raise error


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


def reading_again(receive: Receive, body: bytes | None) -> Receive:
    """Returns a `Receive` with the body that was read already; None stands for a hang-up."""
    first: Message = {"type": "http.request", "body": body or b"", "more_body": False}
    messages = [{"type": "http.disconnect"} if body is None else first]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def plain_headers(scope: Scope) -> Mapping[bytes, bytes] | None:
    """Returns the headers of a POST without a query and without repeated headers, or else None."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
        return None
    if scope["query_string"]:
        return None
    headers = dict(scope["headers"])
    if len(headers) < len(scope["headers"]) or b"transfer-encoding" in headers:
        return None
    return headers


def _response_to_any(scope: Scope, error: Exception) -> Response:
    request_id, path = request_id_of(scope), loggable(scope["path"])
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            return response_to(scope, error)
        except Exception:
            log.exception("request_crashed", method=scope["method"], path=path)
            return crashed()
