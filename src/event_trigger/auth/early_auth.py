"""Reads no body from somebody without a token: parsing it would cost more than refusing it."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.principal import Principal
from event_trigger.db.engine import is_outage
from event_trigger.errors import Problem, Unauthorized
from event_trigger.web.problems import answer, unavailable

_OPEN = (  # where strangers come
    "/auth/token",
    "/auth/refresh",
    "/auth/register",
    "/hooks/",
    "/healthz",
    "/readyz",
)
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class EarlyAuthMiddleware:
    """Refuses calls that bring a body and no good credential; what for is found out later."""

    def __init__(self, app: ASGIApp, *, credentials: CredentialCache) -> None:
        self.app = app
        self.credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = None if self._is_open(scope) else await self._problem_with(scope)
        await (self.app if problem is None else answer(problem))(scope, receive, send)

    async def _problem_with(self, scope: Scope) -> Problem | None:
        try:
            principal = await principal_in(scope, self.credentials)
        except Exception as error:
            if not is_outage(error):
                raise
            return unavailable(error)
        return Unauthorized() if principal is None else None

    def _is_open(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            return True
        path: str = scope["path"]
        return path.startswith(_OPEN)


async def principal_in(scope: Scope, credentials: CredentialCache) -> Principal | None:
    """Reads `Authorization: Bearer …`, or else `X-API-Key`.

    Asked for again once the body is there: that may take longer than a revocation may.
    """
    token = _token_in(Headers(scope=scope))
    return None if token is None else await credentials.identify(token)


def _token_in(headers: Headers) -> str | None:
    if (authorization := headers.get("authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        return token if scheme.lower() == "bearer" else None
    return headers.get("x-api-key")
