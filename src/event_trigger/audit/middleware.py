"""Names the actor of each request, so that what it changes is recorded under that name."""

from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.audit.recorder import Actor, acting
from event_trigger.models import ActorKind


class AuditMiddleware:
    """Makes each request's caller the actor: anonymous, until the credential is known.

    It belongs inside RequestMiddleware, which gives the request its id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        actor = Actor(
            ActorKind.ANONYMOUS, address=_address(scope), request_id=request_id, scope=scope
        )
        with acting(actor):
            await self.app(scope, receive, send)


def _address(scope: Scope) -> str | None:
    """As the server knows it: a proxy's headers count only if FORWARDED_ALLOW_IPS names it."""
    client = scope.get("client")
    return client[0] if client else None
