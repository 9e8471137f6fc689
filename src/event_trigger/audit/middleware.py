"""Sets each request's actor, which the audit log names as the author of its changes."""

from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.models import ActorKind
from event_trigger.web.request_head import client_address


class AuditMiddleware:
    """Makes the caller the actor of a request: anonymous until the credential is checked.

    It must run inside RequestMiddleware, which gives the request its id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        actor = Actor(
            ActorKind.ANONYMOUS, address=client_address(scope), request_id=request_id, scope=scope
        )
        with acting_as(actor):
            await self.app(scope, receive, send)
