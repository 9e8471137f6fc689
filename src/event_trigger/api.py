"""Builds all routes, and the OpenAPI document at its first visit, once a process.

The document takes half a second, or several on a small machine, and few processes are asked for it.
So it delays no start, and a thread of its own builds it, beside the event loop.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial

from fastapi import FastAPI, Request, Response

from event_trigger import __version__
from event_trigger.actions.deliveries import router as delivery_actions
from event_trigger.actions.triggers import router as trigger_actions
from event_trigger.auth.account import router as account
from event_trigger.auth.admin import router as admin
from event_trigger.auth.audit_log import router as audit_log
from event_trigger.auth.dependencies import CALLERS
from event_trigger.auth.keys import router as keys
from event_trigger.auth.logins import router as logins
from event_trigger.auth.recovery import router as recovery
from event_trigger.auth.scopes import MissingScope
from event_trigger.auth.sessions import router as own_sessions
from event_trigger.calendars import router as calendars
from event_trigger.calendars.holidays import router as holidays
from event_trigger.console import pages as console_pages
from event_trigger.console import router as console
from event_trigger.deliveries import router as deliveries
from event_trigger.deliveries.preview import router as delivery_preview
from event_trigger.destinations import router as destinations
from event_trigger.destinations.by_key import router as destinations_by_key
from event_trigger.erasure import router as erasure
from event_trigger.events import router as events
from event_trigger.firing import router as firing
from event_trigger.firing.batch import router as firing_batch
from event_trigger.hooks import router as hooks
from event_trigger.hooks.pings import router as pings
from event_trigger.hooks.refusals import router as hook_refusals
from event_trigger.idempotency.document import describe_idempotency
from event_trigger.info import router as info
from event_trigger.metrics import router as metrics
from event_trigger.notices import router as notices
from event_trigger.overview import router as overview
from event_trigger.overview.recent import router as recent
from event_trigger.overview.stats import router as stats
from event_trigger.projects import router as projects
from event_trigger.projects.invitations import router as invitations
from event_trigger.projects.members import router as members
from event_trigger.reconciliation import router as reconciliation
from event_trigger.sets import router as sets
from event_trigger.stream import router as stream
from event_trigger.triggers import router as triggers
from event_trigger.triggers.by_key import router as triggers_by_key
from event_trigger.triggers.history import router as history
from event_trigger.triggers.preview import router as preview
from event_trigger.triggers.upcoming import router as upcoming
from event_trigger.web import docs, health
from event_trigger.web.document import ServedDocument
from event_trigger.web.openapi.document import describe
from event_trigger.web.state import app_state
from event_trigger.web.turns import yield_often

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
_ROUTERS = (
    logins.forms,
    logins.router,
    account.router,
    recovery.router,
    recovery.pages,
    own_sessions.router,
    console.router,
    keys.router,
    admin.router,
    audit_log.router,
    projects.router,
    members.router,
    invitations.router,
    invitations.accepting,
    invitations.pages,
    triggers_by_key.router,  # before paths that would read "by-key" as an id
    triggers.router,
    history.router,
    trigger_actions.router,
    preview.router,
    firing.by_key,
    upcoming.router,
    recent.router,
    firing_batch.router,
    firing.router,
    hooks.router,
    pings.router,
    hooks.rotations,
    hook_refusals.router,
    reconciliation.router,
    firing.replays,
    holidays.router,
    calendars.router,
    destinations_by_key.router,  # before paths that would read "by-key" as an id
    destinations.router,
    delivery_preview.router,
    sets.router,
    deliveries.router,
    delivery_actions.router,
    notices.router,
    stream.router,
    events.router,
    overview.router,
    stats.router,
    info.router,
    metrics.router,
    erasure.router,
    health.router,
    docs.router,
    console_pages.router,  # last: all other paths under /console/ are its page
)


@cache
def built_api() -> FastAPI:
    """Builds the routes. All applications of a process share them.

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
    api.router.routes += [route for router in _ROUTERS for route in router.routes]
    api.add_route("/openapi.json", serve_document, include_in_schema=False)
    return api


@lru_cache(maxsize=4)  # a process has one prefix
def built_document(prefix: str) -> ServedDocument:
    return ServedDocument.of(built_api().openapi(), prefix=prefix)


async def serve_document(request: Request) -> Response:
    prefix = app_state(request).settings.prefix
    build = partial(built_document, prefix)
    document = await asyncio.get_running_loop().run_in_executor(_THREAD, build)
    return document.answer(request.headers)
