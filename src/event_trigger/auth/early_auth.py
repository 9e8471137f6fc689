"""Refuses unauthenticated requests before their bodies are read, because parsing is expensive."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.principal import Principal
from event_trigger.db.engine import is_outage
from event_trigger.errors import Problem, Unauthorized
from event_trigger.web.problems import answer, unavailable

_OPEN_PATHS = (  # need no credential
    "/auth/token",
    "/auth/refresh",
    "/auth/register",
    "/hooks/",
    "/healthz",
    "/readyz",
)
_METHODS_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class EarlyAuthMiddleware:
    """Answers 401 to requests that may have a body and lack a valid credential.

    Scopes are checked later, by the endpoint.
    """

    def __init__(self, app: ASGIApp, *, credentials: CredentialCache) -> None:
        self.app = app
        self.credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = None if self._is_open(scope) else await self._problem_with(scope)
        await (self.app if problem is None else answer(problem))(scope, receive, send)

    async def _problem_with(self, scope: Scope) -> Problem | None:
        try:
            principal = await read_principal(scope, self.credentials)
        except Exception as error:
            if not is_outage(error):
                raise
            return unavailable(error)
        return Unauthorized() if principal is None else None

    def _is_open(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in _METHODS_WITH_BODY:
            return True
        path: str = scope["path"]
        return path.startswith(_OPEN_PATHS)


async def read_principal(scope: Scope, credentials: CredentialCache) -> Principal | None:
    """Identifies the caller by `Authorization: Bearer …`, or else by `X-API-Key`.

    The endpoint calls it again after the body has arrived: the credential may be revoked by then.
    """
    token = _read_token(Headers(scope=scope))
    return None if token is None else await credentials.identify(token)


def _read_token(headers: Headers) -> str | None:
    if (authorization := headers.get("authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        return token if scheme.lower() == "bearer" else None
    return headers.get("x-api-key")
