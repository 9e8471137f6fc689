"""The HTTP interface: every operation and the document that describes them, built once a process.

FastAPI builds included routes in the first request, and the document in the first visit to it:
half a second of work, and several on a small machine, in which nothing fires.
"""

import json
from functools import cache, lru_cache
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from event_trigger import __version__
from event_trigger.auth.admin import router as admin
from event_trigger.auth.keys import router as keys
from event_trigger.auth.logins import router as logins
from event_trigger.deliveries import router as deliveries
from event_trigger.destinations import router as destinations
from event_trigger.events import router as events
from event_trigger.firing import router as firing
from event_trigger.hooks import router as hooks
from event_trigger.reconciliation import router as reconciliation
from event_trigger.stream import router as live
from event_trigger.triggers import router as triggers
from event_trigger.triggers.preview import router as preview
from event_trigger.web import docs, health
from event_trigger.web.problems import describe_problems

TITLE = "Event Trigger Platform"
DESCRIPTION = """
Describe **when** something should happen (a time, an interval, a cron line in your own time zone)
or **who may make it happen** (a call with a predefined payload). Each firing is an *event*: on
record, exactly once, however many replicas run.

1. `POST /auth/token`, or *Authorize* below, to sign in.
2. `POST /triggers` to create a trigger.
3. `GET /events` to see what it did, `GET /events/stream` to follow.
4. `POST /destinations`, and name its id in a trigger's `destinations`, to have events delivered.

Errors are `application/problem+json` (RFC 9457). Times are RFC 3339 in UTC.
"""
_ROUTERS = (
    logins.forms,
    logins.router,
    keys.router,
    admin.router,
    triggers.router,
    preview.router,
    firing.router,
    hooks.router,
    hooks.rotations,
    reconciliation.router,
    firing.replays,
    destinations.router,
    deliveries.router,
    live.router,
    events.router,
    health.router,
    docs.router,
)


@cache
def built_api() -> FastAPI:
    """Builds all routes and the OpenAPI document; every application shares these routes.

    They know no application: each request finds the AppState of the one that it came to.
    """
    api = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=__version__,
        openapi_url=None,
        generate_unique_id_function=operation_id,
    )
    describe_problems(api)
    for router in _ROUTERS:
        api.include_router(router)
    _serve_document(api)
    return api


def operation_id(route: APIRoute) -> str:
    return route.name


def _serve_document(api: FastAPI) -> None:
    """Adds `/openapi.json`, serialised here and not for each visit."""
    document = api.openapi()  # to describe a route builds it

    @lru_cache(maxsize=4)  # a server has one root path
    def as_served(root_path: str) -> bytes:
        servers: dict[str, Any] = {"servers": [{"url": root_path}]} if root_path else {}
        return json.dumps(document | servers, ensure_ascii=False, separators=(",", ":")).encode()

    async def openapi(request: Request) -> Response:
        root_path: str = request.scope.get("root_path", "").rstrip("/")
        return Response(as_served(root_path), media_type="application/json")

    as_served("")
    api.add_route("/openapi.json", openapi, include_in_schema=False)
