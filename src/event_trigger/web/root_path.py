"""Serves the API under a prefix, and writes the URLs that callers reach it at."""

from functools import lru_cache

from fastapi import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.web.single_headers import first_header
from event_trigger.web.state import app_state


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


def base_url(request: Request) -> str:
    """Returns the URL that callers reach the service at, without a slash at its end.

    It is `EVENT_TRIGGER_PUBLIC_URL`, or else made of the request's `Host` and the prefix.
    """
    settings = app_state(request).settings
    if settings.public_url is not None:
        return settings.public_url
    scope = request.scope
    parts = scope.get("scheme", "http"), scope.get("server"), first_header(scope, b"host")
    root_path = scope.get("app_root_path", scope.get("root_path", ""))
    return _base_url(*parts, root_path).rstrip("/") + settings.prefix


@lru_cache(maxsize=64)  # few names lead here, and calls are many; a stranger's may be long
def _base_url(
    scheme: str, server: tuple[str, int | None] | None, host: str | None, root_path: str
) -> str:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": "http", "scheme": scheme, "server": server, "headers": headers}
    return str(Request({**scope, "path": "/", "root_path": root_path}).base_url)
