"""Answers `GET /metrics` without a login on a port of its own, in front of the application."""

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.metrics.exposition import MEDIA_TYPE, Metrics

_PATH = "/metrics"
_ASKS = frozenset({"GET", "HEAD"})


class MetricsPort:
    """Answers what comes in at the port of metrics, also before the service has started.

    Requests know by which socket they came, whatever their headers say.
    """

    def __init__(self, app: ASGIApp, *, port: int, metrics: Metrics) -> None:
        self.app = app
        self.port = port
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _port_of(scope) != self.port:
            await self.app(scope, receive, send)
        else:
            await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["path"] != _PATH:
            return PlainTextResponse(f"Only {_PATH} is here.\n", status_code=404)
        if scope["method"] not in _ASKS:
            return PlainTextResponse("Use GET.\n", status_code=405, headers={"Allow": "GET, HEAD"})
        return Response(await self.metrics.text(), media_type=MEDIA_TYPE)


def _port_of(scope: Scope) -> int | None:
    """Returns the port of the socket; None for one that has no port."""
    server: tuple[str, int | None] | None = scope.get("server")
    return None if server is None else server[1]
