"""Lists all operations, and builds the OpenAPI document at its first visit, once a process.

The document takes half a second, or several on a small machine, and few processes are asked for it.
So it delays no start, and a thread of its own builds it, beside the event loop.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from importlib import import_module

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from event_trigger import __version__
from event_trigger.auth.dependencies import CALLERS
from event_trigger.auth.scopes import MissingScope
from event_trigger.idempotency.document import describe_idempotency
from event_trigger.web.cpu_bound import yield_often
from event_trigger.web.dependencies import app_state
from event_trigger.web.docs import ServedDocument
from event_trigger.web.openapi.document import describe
from event_trigger.web.routes import ImportedRoute, LazyRoute

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="openapi", initializer=yield_often)

TITLE = "Event Trigger Platform"
DESCRIPTION = """
A *trigger* fires on a schedule (a time, an interval, or a cron expression in your time zone), when
it is called (through the API, or through a webhook URL), or when an expected ping does not come.
Each firing is an *event*: it is recorded exactly once, however many replicas of this service run.

1. Sign in with `POST /auth/token`, or with *Authorize* below.
2. Create a trigger with `POST /triggers`.
3. List its events with `GET /events`, or follow them with `GET /events/stream`.
4. Deliver events to a URL: create it with `POST /destinations`, and add its id to a trigger's
   `destinations`.

Errors are `application/problem+json` (RFC 9457). Times are RFC 3339 in UTC. Unknown query
parameters are errors, as unknown fields are.
"""
TAGS = {  # in the order of use; the docs show operations by it
    "triggers": "Triggers fire by a schedule, by a call, or for want of a ping. See their next"
    " instants, and why they fired or did not.",
    "events": "The log of all firings: lists, counts, a stream, an export, and replays.",
    "hooks": "URLs that fire a trigger, or ping a heartbeat, for senders that cannot hold a token.",
    "calendars": "Named lists of dates on which schedules do not fire; national holidays.",
    "destinations": "URLs that events are delivered to, and the secrets that sign them.",
    "deliveries": "The deliveries of events to destinations and their attempts; send them again.",
    "sets": "Files that own triggers, destinations and calendars: a plan, then all in one step.",
    "overview": "Whether everything is all right, and numbers over time.",
    "auth": "Signing in and out, and your own account.",
    "keys": "API keys for machines.",
    "projects": "Projects own all of the above; members share them.",
    "users": "All accounts, for admins.",
    "audit": "The log of all changes, with their authors and times.",
    "service": "The installation, its limits, its health and its metrics.",
}
# The module that has each operation, and the name of its router if that is not `router`. The first
# path that fits a request answers it: a word comes before an id. A `stream` has no HEAD.
_OPERATIONS = """
POST     /auth/token                                        auth.logins.router:forms
POST     /auth/refresh                                      auth.logins.router
POST     /auth/logout                                       auth.logins.router
POST     /auth/register                                     auth.logins.router
GET      /auth/me                                           auth.account.router
PATCH    /auth/me                                           auth.account.router
POST     /auth/password                                     auth.account.router
POST     /auth/forgot                                       auth.recovery.router
POST     /auth/reset                                        auth.recovery.router
GET,HEAD /auth/reset                                        auth.recovery.router:pages
GET      /auth/sessions                                     auth.sessions.router
DELETE   /auth/sessions/{session_id}                        auth.sessions.router
DELETE   /auth/sessions                                     auth.sessions.router
POST     /console/session                                   console.router
DELETE   /console/session                                   console.router
POST     /auth/keys                                         auth.keys.router
GET      /auth/keys                                         auth.keys.router
GET      /auth/keys/{key_id}                                auth.keys.router
PATCH    /auth/keys/{key_id}                                auth.keys.router
DELETE   /auth/keys/{key_id}                                auth.keys.router
GET      /users                                             auth.admin.router
POST     /users                                             auth.admin.router
POST     /users/{user_id}/password-link                     auth.admin.router
PATCH    /users/{user_id}                                   auth.admin.router
GET      /audit                                             auth.audit_log.router
POST     /projects                                          projects.router
GET      /projects                                          projects.router
GET      /projects/{project_id}                             projects.router
PATCH    /projects/{project_id}                             projects.router
GET      /projects/{project_id}/members                     projects.members.router
POST     /projects/{project_id}/members                     projects.members.router
PATCH    /projects/{project_id}/members/{user_id}           projects.members.router
DELETE   /projects/{project_id}/members/{user_id}           projects.members.router
POST     /projects/{project_id}/invitations                 projects.invitations.router
GET      /projects/{project_id}/invitations                 projects.invitations.router
DELETE   /projects/{project_id}/invitations/{invitation_id} projects.invitations.router
POST     /invitations/accept                                projects.invitations.router:accepting
GET,HEAD /invitations/accept                                projects.invitations.router:pages
GET      /triggers/by-key/{key}                             triggers.by_key.router
PUT      /triggers/by-key/{key}                             triggers.by_key.router
DELETE   /triggers/by-key/{key}                             triggers.by_key.router
POST     /triggers/by-key/{key}/pause                       triggers.by_key.router
POST     /triggers/by-key/{key}/resume                      triggers.by_key.router
POST     /triggers                                          triggers.router
GET      /triggers                                          triggers.router
GET      /triggers/{trigger_id:id}                          triggers.router
PUT      /triggers/{trigger_id:id}                          triggers.router
PATCH    /triggers/{trigger_id:id}                          triggers.router
DELETE   /triggers/{trigger_id:id}                          triggers.router
POST     /triggers/{trigger_id:id}/pause                    triggers.router
POST     /triggers/{trigger_id:id}/resume                   triggers.router
GET      /triggers/{trigger_id:id}/versions                 triggers.history.router
POST     /triggers/actions                                  actions.triggers.router
GET      /triggers/{trigger_id:id}/schedule                 triggers.preview.router
POST     /schedules/preview                                 triggers.preview.router
POST     /triggers/by-key/{key}/trigger                     firing.router:by_key
POST     /triggers/by-key/{key}/test                        firing.router:by_key
GET      /upcoming                                          triggers.upcoming.router
GET      /triggers/recent                                   overview.recent.router
POST     /triggers/trigger-batch                            firing.batch.router
POST     /triggers/{trigger_id:id}/trigger                  firing.router
POST     /triggers/{trigger_id:id}/test                     firing.router
POST     /hooks/{token}                                     hooks.router
PUT      /hooks/{token}                                     hooks.router
GET      /hooks/{token}                                     hooks.router
POST     /hooks/{token}/{signal}                            hooks.pings.router
GET      /hooks/{token}/{signal}                            hooks.pings.router
POST     /triggers/{trigger_id:id}/hook/rotate              hooks.router:rotations
GET      /triggers/{trigger_id:id}/refusals                 hooks.refusals.router
GET      /triggers/{trigger_id:id}/explain                  reconciliation.router
GET      /triggers/{trigger_id:id}/accounting               reconciliation.router
POST     /events/{event_id}/replay                          firing.router:replays
GET      /calendars/holidays                                calendars.holidays.router
GET      /calendars/holidays/{country}                      calendars.holidays.router
GET      /calendars/holidays/{country}/{region}             calendars.holidays.router
POST     /calendars                                         calendars.router
GET      /calendars                                         calendars.router
GET      /calendars/{key:calendar_key}                      calendars.router
PUT      /calendars/{key:calendar_key}                      calendars.router
GET      /calendars/{key:calendar_key}/triggers             calendars.router
DELETE   /calendars/{key:calendar_key}                      calendars.router
GET      /destinations/by-key/{key}                         destinations.by_key.router
PUT      /destinations/by-key/{key}                         destinations.by_key.router
DELETE   /destinations/by-key/{key}                         destinations.by_key.router
POST     /destinations/by-key/{key}/disable                 destinations.by_key.router
POST     /destinations/by-key/{key}/enable                  destinations.by_key.router
GET      /destinations/by-key/{key}/secret                  destinations.by_key.router
POST     /destinations/by-key/{key}/rotate-secret           destinations.by_key.router
POST     /destinations                                      destinations.router
GET      /destinations                                      destinations.router
GET      /destinations/{destination_id:id}                  destinations.router
PUT      /destinations/{destination_id:id}                  destinations.router
PATCH    /destinations/{destination_id:id}                  destinations.router
DELETE   /destinations/{destination_id:id}                  destinations.router
POST     /destinations/{destination_id:id}/disable          destinations.router
POST     /destinations/{destination_id:id}/enable           destinations.router
GET      /destinations/{destination_id:id}/secret           destinations.router
POST     /destinations/{destination_id:id}/rotate-secret    destinations.router
POST     /destinations/render                               deliveries.preview.router
PUT      /sets/{name}                                       sets.router
GET      /sets                                              sets.router
GET      /sets/{name}                                       sets.router
DELETE   /sets/{name}                                       sets.router
GET      /deliveries                                        deliveries.router
GET      /deliveries/{delivery_id:id}                       deliveries.router
POST     /deliveries/{delivery_id:id}/redeliver             deliveries.router
POST     /deliveries/{delivery_id:id}/cancel                deliveries.router
POST     /destinations/{destination_id:id}/redeliver        deliveries.router
POST     /destinations/{destination_id:id}/test             deliveries.router
POST     /destinations/by-key/{key}/test                    deliveries.router
POST     /deliveries/actions                                actions.deliveries.router
GET      /notices                                           notices.router
GET      /events/stream                                     stream.router stream
GET      /events                                            events.router
GET      /events/counts                                     events.router
GET      /events/export                                     events.router stream
GET      /events/{event_id}                                 events.router
GET      /overview                                          overview.router
GET      /stats                                             overview.stats.router
GET      /info                                              info.router
GET      /metrics                                           metrics.router
DELETE   /projects/{project_id}                             erasure.router
DELETE   /users/{user_id}                                   erasure.router
DELETE   /auth/me                                           erasure.router
GET      /healthz                                           web.health
GET      /readyz                                            web.health
GET,HEAD /                                                  web.docs
GET,HEAD /api/docs                                          web.docs
GET,HEAD /api/redoc                                         web.docs
GET,HEAD /api/docs/assets/{path:path}                       web.docs
GET,HEAD /console                                           console.pages
GET,HEAD /console/assets/{name}                             console.pages
GET,HEAD /console/{path:path}                               console.pages
"""


@cache
def built_api() -> FastAPI:
    """Lists the routes. All applications of a process share them.

    A request finds the AppState of its own application through its scope.
    """
    api = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=__version__,
        openapi_url=None,
        openapi_tags=[{"name": name, "description": words} for name, words in TAGS.items()],
        separate_input_output_schemas=False,
    )
    describe_idempotency(api)
    describe(api, missing_scopes=MissingScope, callers=CALLERS)
    # not `include_router`, which analyses every route again, and matches each request twice
    api.router.routes += [_operation(*line.split()) for line in _OPERATIONS.strip().splitlines()]
    api.add_route("/openapi.json", serve_document, include_in_schema=False)
    return api


def _operation(methods: str, path: str, place: str, kind: str = "") -> ImportedRoute:
    """Makes the route of one line; the module with its router is imported at its first call."""
    module, _, name = place.partition(":")
    wanted = set(methods.split(","))

    def find() -> LazyRoute:
        router = getattr(import_module(f"event_trigger.{module}"), name or "router")
        routes: list[LazyRoute] = router.routes
        return next(one for one in routes if one.path == path and one.methods == wanted)

    response_class = StreamingResponse if kind == "stream" else JSONResponse
    return ImportedRoute(path, wanted, response_class, find)


@lru_cache(maxsize=4)  # a process has one prefix
def built_document(prefix: str) -> ServedDocument:
    return ServedDocument.of(built_api().openapi(), prefix=prefix)


async def serve_document(request: Request) -> Response:
    prefix = app_state(request).settings.prefix
    build = partial(built_document, prefix)
    document = await asyncio.get_running_loop().run_in_executor(_THREAD, build)
    return document.answer(request.headers)
