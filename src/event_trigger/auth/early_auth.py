"""Refuses callers without a good credential before their body is read: parsing costs more."""

import time
from collections.abc import Callable
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.principal import Principal
from event_trigger.auth.project_header import (
    ALL_PROJECTS,
    PROJECT_HEADER,
    InvalidProjectHeader,
    Unnamed,
    WantedProject,
    wanted_project,
)
from event_trigger.auth.session_cookie import COOKIE_PREFIX, read_cookie
from event_trigger.db.engine import is_outage
from event_trigger.errors import Problem, Unauthorized
from event_trigger.web.problems import answer, unavailable
from event_trigger.web.request_head import RepeatedHeader, only_header
from event_trigger.web.request_meter import note_caller

# with the 0.9 s that CredentialCache trusts an answer, a revocation holds within a second
RESOLVED_FOR_SECONDS = 0.05
_PUBLIC_PATHS = (
    "/auth/token",
    "/auth/refresh",
    "/auth/register",
    "/console/session",
    "/auth/forgot",
    "/auth/reset",
    "/hooks/",
    "/invitations/accept",
    "/healthz",
    "/readyz",
)
# X-Project-ID has no effect there, but that admins list all projects with *
_OUTSIDE_PROJECTS = (
    "/auth/logout",
    "/auth/password",
    "/auth/sessions",
    "/console",
    "/info",
    "/invitations",
    "/metrics",
    "/projects",
    "/users",
)
_METHODS_WITH_BODY = frozenset({"DELETE", "PATCH", "POST", "PUT"})


class EarlyAuthMiddleware:
    """Answers 401 to requests that may have a body, and have no good credential.

    Their scopes are checked later, by the operation that they call.
    """

    def __init__(self, app: ASGIApp, *, credentials: CredentialCache) -> None:
        self.app = app
        self.credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = None if self._is_public(scope) else await self._problem_with(scope)
        await (self.app if problem is None else answer(problem))(scope, receive, send)

    async def _problem_with(self, scope: Scope) -> Problem | None:
        try:
            principal = await resolve_principal(scope, self.credentials)
        except Problem as problem:
            return problem
        except Exception as error:
            if not is_outage(error):
                raise
            return unavailable(error)
        return Unauthorized() if principal is None else None

    def _is_public(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] not in _METHODS_WITH_BODY:
            return True
        path: str = scope["path"]
        return path.startswith(_PUBLIC_PATHS)


class _Resolved(NamedTuple):
    """The principal of a request, and the `time.monotonic()` at which the cache was asked."""

    principal: Principal | None
    asked_at: float


async def resolve_principal(
    scope: Scope, credentials: CredentialCache, *, clock: Callable[[], float] = time.monotonic
) -> Principal | None:
    """Finds the principal of a bearer token, or else of `X-API-Key`, or else of a session's cookie.

    It does so once a request.

    Raises RepeatedHeader for a credential that is sent twice, and NotFound, InvalidProjectHeader or
    RepeatedHeader for the `X-Project-ID` of a caller who is known.
    The result stays in the request's state. It is looked up again once it is 50 ms old: a slow
    body must not carry a revoked credential past the second in which a revocation has to hold.
    """
    now, state = clock(), scope.setdefault("state", {})
    known: _Resolved | None = state.get("principal")
    if known is None or now - known.asked_at > RESOLVED_FOR_SECONDS:
        token = _read_token(scope)
        principal = None if token is None else await _identify(scope, credentials, token)
        known = state["principal"] = _Resolved(principal, now)
        if principal is not None:
            note_caller(scope, principal.user_id, principal.key_id)
    return known.principal


async def _identify(scope: Scope, credentials: CredentialCache, token: str) -> Principal | None:
    """Refuses a bad credential before the header is looked at."""
    try:
        wanted = _wanted_project(scope)
    except (InvalidProjectHeader, RepeatedHeader):
        if await credentials.identify(token) is None:
            return None
        raise
    return await credentials.identify(token, wanted)


def sends_credential(headers: Headers) -> bool:
    return "authorization" in headers or "x-api-key" in headers


def _wanted_project(scope: Scope) -> WantedProject:
    path, named = scope["path"], only_header(scope, PROJECT_HEADER)
    if path == "/projects" and scope["method"] == "GET" and named == ALL_PROJECTS:
        return Unnamed.ALL
    if path.startswith(_OUTSIDE_PROJECTS):
        return Unnamed.DEFAULT
    return wanted_project(named)


def _read_token(scope: Scope) -> str | None:
    """Reads a bearer token, or else a key, or else a cookie, whose value is neither of both."""
    if (authorization := only_header(scope, "Authorization")) is not None:
        scheme, _, token = authorization.partition(" ")
        is_token = scheme.lower() == "bearer" and not token.startswith(COOKIE_PREFIX)
        return token if is_token else None
    if (key := only_header(scope, "X-API-Key")) is not None:
        return None if key.startswith(COOKIE_PREFIX) else key
    return read_cookie(scope)
