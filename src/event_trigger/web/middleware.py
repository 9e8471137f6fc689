"""Wraps every request: its id, log line, safe headers, checks of host and size, prefix and HEAD."""

import re
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from http import HTTPStatus

import structlog
from anyio import BrokenResourceError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.errors import EncodedBody, NotStarted, Problem, TooLarge, UnknownHost
from event_trigger.logs import loggable
from event_trigger.tracing import TRACING
from event_trigger.web.problems import answer, crashed
from event_trigger.web.request_head import request_id_of
from event_trigger.web.request_meter import RequestMeter, note_end
from event_trigger.web.routes import allowed_methods

log = structlog.get_logger()

SAFE_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
_SAFE_NAMES = frozenset({name for name, _ in SAFE_HEADERS} | {b"strict-transport-security"})
_HSTS = (b"strict-transport-security", b"max-age=63072000")
_PORT = re.compile(r":[0-9]*$", re.ASCII)
_NOT_ENCODED = frozenset({b"", b"identity"})
_PROBED = frozenset({"/healthz", "/readyz"})  # probes call by address, without a name


class RequestMiddleware:
    """Gives each request an id (or keeps its `X-Request-ID`), safe headers and a log line.

    The `meter` measures each.
    """

    def __init__(self, app: ASGIApp, *, meter: RequestMeter) -> None:
        self.app = app
        self.meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = code = message["status"]
                message["headers"] = with_safe_headers(
                    message["headers"], scope, request_id, status=code
                )
                if TRACING.tracer is not None:
                    self.meter.name_span(scope)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.info("caller_hung_up", path=loggable(scope["path"]))
        except Exception as error:
            if status is not None and _is_reader_gone(error):
                return
            log.exception("request_crashed", method=scope["method"], path=loggable(scope["path"]))
            if status is not None:  # the head is sent: only a broken connection can tell the client
                raise
            await crashed()(scope, receive, send_with_headers)
        finally:
            note_end(self.meter, scope, status, began)


def _is_reader_gone(error: Exception) -> bool:
    """Tells that FastAPI was about to write to a stream whose reader has gone: its usual end."""
    return isinstance(error, ExceptionGroup) and error.split(BrokenResourceError)[1] is None


class StartMiddleware:
    """Answers 503 until the service has started, except to probes."""

    def __init__(self, app: ASGIApp, *, has_started: Callable[[], bool]) -> None:
        self.app = app
        self.has_started = has_started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        passes = scope["type"] != "http" or self.has_started() or scope["path"] in _PROBED
        await (self.app if passes else answer(NotStarted()))(scope, receive, send)


class HostMiddleware:
    """Rejects unknown `Host` headers (DNS rebinding); `*.example.com` trusts all subdomains."""

    def __init__(self, app: ASGIApp, *, trusted: Sequence[str]) -> None:
        self.app = app
        self.names = frozenset(trusted)
        self.suffixes = tuple(one.removeprefix("*") for one in trusted if one.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_known = scope["type"] != "http" or scope["path"] in _PROBED or self._trusts(scope)
        await (self.app if is_known else answer(UnknownHost()))(scope, receive, send)

    def _trusts(self, scope: Scope) -> bool:
        hosts = [_PORT.sub("", one).lower() for one in Headers(scope=scope).getlist("host")]
        return len(hosts) == 1 and (hosts[0] in self.names or hosts[0].endswith(self.suffixes))


class BodyLimitMiddleware:
    """Refuses encoded bodies, and those of more than `largest` bytes, unread if the head says so.

    `largest_at` gives some paths a limit of their own. FastAPI's own limit would answer in plain
    text, and without the safe headers.
    """

    def __init__(self, app: ASGIApp, *, largest: int, largest_at: Mapping[str, int]) -> None:
        self.app = app
        self.largest = largest
        self.largest_at = largest_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        largest = self.largest_at.get(scope.get("path", ""), self.largest)
        if scope["type"] == "http" and (refused := refused_head(scope, largest)) is not None:
            await answer(refused)(scope, receive, send)
            return
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > largest:  # while it is read, FastAPI lets no other error through
                raise HTTPException(TooLarge.status)
            return message

        await self.app(scope, receive_within_limit, send)


class RootPathMiddleware:
    """Takes the prefix off each path, unless a proxy has, and puts it before each `Location`.

    Everything behind it sees the paths of the API, whatever the prefix is.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == self.prefix:  # relative links of a page need the slash
            await RedirectResponse(f"{self.prefix}/")(scope, receive, send)
        else:
            path = scope["path"]
            if path.startswith(f"{self.prefix}/"):
                path = path.removeprefix(self.prefix)
            await self.app({**scope, "path": path}, receive, self._with_prefix(send))

    def _with_prefix(self, send: Send) -> Send:
        async def send_with_prefix(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [self._moved(*one) for one in message["headers"]]
            await send(message)

        return send_with_prefix

    def _moved(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        is_path = name.lower() == b"location" and value.startswith(b"/")
        return name, self.prefix.encode() + value if is_path else value


class MethodsMiddleware:
    """Answers OPTIONS of every path, and turns HEAD into GET where that is not a stream.

    The operation runs once, and the client gets its status and headers.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        allowed = allowed_methods(self.routes, scope)
        if scope["method"] == "HEAD":
            await self._answer_head(scope, receive, send, as_get="HEAD" in allowed)
        elif allowed:
            headers = {"Allow": ", ".join(allowed)}
            await Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer_head(
        self, scope: Scope, receive: Receive, send: Send, *, as_get: bool
    ) -> None:
        """Runs GET in the scope itself: the audit log reads the route from it."""

        async def send_without_body(message: Message) -> None:
            scope["method"] = "HEAD"  # the server has to know that no body follows
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if as_get:
            scope["method"] = "GET"
        try:
            await self.app(scope, receive, send_without_body)
        finally:
            scope["method"] = "HEAD"


def refused_head(scope: Scope, largest: int) -> Problem | None:
    """Returns the problem of a head whose body is not read: it is encoded, or says it is too large.

    It reads all headers once: every call that fires comes through here.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > largest:
            return TooLarge()
        if name == b"content-encoding" and value.strip().lower() not in _NOT_ENCODED:
            return EncodedBody()
    return None


def with_safe_headers(
    sent: Iterable[tuple[bytes, bytes]], scope: Scope, request_id: str, *, status: int
) -> list[tuple[bytes, bytes]]:
    """Returns the headers of an answer with its id and those that keep browsers safe."""
    headers = [(name.lower(), value) for name, value in sent]
    if status == HTTPStatus.NO_CONTENT:  # FastAPI sets a type for an empty body
        headers = [one for one in headers if one[0] != b"content-type"]
    names = dict(headers).keys()
    safe = SAFE_HEADERS if scope["scheme"] == "http" else [*SAFE_HEADERS, _HSTS]
    headers += safe if _SAFE_NAMES.isdisjoint(names) else _without(safe, names)
    headers.append((b"x-request-id", request_id.encode()))
    return headers


def _without(
    headers: Iterable[tuple[bytes, bytes]], names: Container[bytes]
) -> list[tuple[bytes, bytes]]:
    return [one for one in headers if one[0] not in names]
