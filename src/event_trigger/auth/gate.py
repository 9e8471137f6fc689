"""Reads no body from somebody without a token: parsing it would cost more than refusing it."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.auth.tokens import Tokens
from event_trigger.errors import Unauthorized
from event_trigger.web.problems import answer

_OPEN = "/auth/"  # where strangers come to sign in
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class TokenGate:
    """Refuses calls that bring a body and no token of ours; who is calling is found out later."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        self.app = app
        self.tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._may_pass(scope):
            await self.app(scope, receive, send)
        else:
            await answer(Unauthorized())(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            return True
        if scope["path"].startswith(_OPEN):
            return True
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.tokens.read(token) is not None
