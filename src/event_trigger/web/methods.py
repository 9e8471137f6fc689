"""Answers OPTIONS, answers HEAD as GET without a body, and lists the methods of a path."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


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


def allowed_methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Lists the methods of all routes with the path of `scope`; none if there is no such path."""
    found = [one for one in iter_route_contexts(routes) if one.matches(scope)[0] is not Match.NONE]
    methods = {method for one in found for method in one.methods or ()} - {"HEAD"}
    if methods:
        methods.add("OPTIONS")
    read = next((one for one in found if "GET" in (one.methods or ())), None)
    if read is not None and not _is_stream(read):
        methods.add("HEAD")
    return [method for method in _METHODS if method in methods]


def _is_stream(route: RouteContext) -> bool:
    kind = getattr(route, "response_class", None)
    return isinstance(kind, type) and issubclass(kind, StreamingResponse)
