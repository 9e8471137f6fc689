"""Measures each request that has ended, and writes its line of the log, whatever answered it."""

import time

from starlette.types import Scope

from event_trigger.logs import loggable
from event_trigger.request_log import RequestEnd, log_request
from event_trigger.web.addresses import client_address
from event_trigger.web.request_meter import RequestMeter

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_NOBODY = (None, None)


def note_end(meter: RequestMeter, scope: Scope, status: int | None, began: float) -> None:
    """Notes a request with an id that began at this time of `perf_counter`.

    `status` is None if nothing was answered.
    """
    seconds = time.perf_counter() - began
    route = meter.observe(scope, status, seconds)
    user_id, key_id = caller_of(scope) or _NOBODY
    log_request(
        RequestEnd(
            scope["method"],
            loggable(scope["path"]),
            status,
            round(seconds * 1000, 1),
            user_id,
            key_id,
            client_address(scope),
            scope["state"]["request_id"],
            route in PROBES,
        )
    )


def note_caller(scope: Scope, user_id: int, key_id: int | None) -> None:
    """Remembers the user of a credential that was found, and the key if it is one."""
    scope["state"]["caller"] = user_id, key_id


def caller_of(scope: Scope) -> tuple[int, int | None] | None:
    found: tuple[int, int | None] | None = scope["state"].get("caller")
    return found
