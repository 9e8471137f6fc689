"""Answers plain GETs outside FastAPI, whose layers take most of the time of a read.

A plain GET has no body and no repeated headers, its query is short and has no escapes, and its
caller names one project at most. It is answered in these steps. All other requests, and all errors
but an outage or too many counts at once, are left to the operation of FastAPI, the one place that
describes errors.

1. A door has the path.
2. The caller is known, and has the scopes of the door.
3. The door reads the query, and remembers it; queries of strangers could fill its memory.
4. It reads the rows with a PlainSession, and makes the answer.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import resolve_principal
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope as AuthScope
from event_trigger.db.engine import is_outage
from event_trigger.db.plain_session import Pooled
from event_trigger.errors import Problem
from event_trigger.web.compression import Compression
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.pagination import PageQuery
from event_trigger.web.plain_queries import NoQuery, PagedQuery, PlainQuery

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PlainRead:
    """A plain GET of a caller who may make it; headers of the answer are set in `response`."""

    request: Request
    response: Response
    principal: Principal
    project_id: int
    path: re.Match[str]
    query: PagedQuery[Any]

    @property
    def paging(self) -> PageQuery:
        return PageQuery(self.request, self.response, self.query.limit, self.query.cursor)

    def answered(self, body: bytes) -> Response:
        return self.paging.answered(body)


@dataclass(frozen=True, slots=True)
class PlainDoor:
    """One operation: its path, its scopes, its parameters, and the function that answers.

    The function returns None, or raises, for what the operation of FastAPI has to answer.
    """

    path: re.Pattern[str]
    scopes: frozenset[AuthScope]
    query: PlainQuery[Any] | NoQuery
    read: Callable[[PlainRead], Awaitable[Response | None]]


@dataclass(frozen=True, slots=True)
class ReadFastPath:
    credentials: CredentialCache
    compression: Compression
    doors: Sequence[PlainDoor]

    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Answers a plain GET; see web/fast_paths.py."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_plain(scope):
            return receive
        for door in self.doors:
            if (path := door.path.fullmatch(scope["path"])) is not None:
                found = await self._read(scope, door, path)
                return receive if found is None else found
        return receive

    async def _read(self, scope: Scope, door: PlainDoor, path: re.Match[str]) -> Response | None:
        try:
            principal = await resolve_principal(scope, self.credentials)
            if principal is None or principal.project_id is None:
                return None
            if not door.scopes <= principal.scopes:
                return None
            if (query := door.query.read(scope["query_string"])) is None:
                return None
            request, response = Request(scope), Response()
            found = await door.read(
                PlainRead(request, response, principal, principal.project_id, path, query)
            )
        except TooManyExpensiveCalls:  # which has waited for its turn in vain
            raise
        except (Problem, Pooled):
            return None
        except Exception as error:
            if not is_outage(error):
                log.debug("plain_read_left", exc_info=True)
                return None
            raise
        if found is not None:
            found.body = await self.compression.compress(scope, found.headers, bytes(found.body))
        return found


def _is_plain(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    has_body = b"content-length" in headers or b"transfer-encoding" in headers
    return len(headers) == len(scope["headers"]) and not has_body and not scope.get("root_path")
