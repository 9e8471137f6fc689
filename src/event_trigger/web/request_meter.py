"""Measures each request that has ended, and writes its line of the log, whatever answered it."""

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from prometheus_client import Histogram
from starlette.routing import BaseRoute
from starlette.types import Scope

from event_trigger.logs import loggable
from event_trigger.request_log import RequestEnd, log_request
from event_trigger.telemetry import HTTP_DURATION
from event_trigger.tracing import name_request
from event_trigger.web.request_head import client_address

OTHER = "_OTHER"  # as OpenTelemetry names a method that is not known
NO_ROUTE = "none"  # never the path as it was sent: a stranger chooses that
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOST_PATHS, _LONGEST_PATH = 1_000, 100  # that are remembered, and characters of each
_CONVERTOR = re.compile(r":\w+(?=})")
_PARAMETER, _REST, _ROUTE = "{}", "{path}", "/"  # keys of the tree beside segments


class RequestMeter:
    """Finds the route of a path in a tree of segments, which takes a microsecond."""

    def __init__(self, routes: Sequence[BaseRoute], *, prefix: str) -> None:
        self._prefix = prefix
        self._tree: dict[str, Any] = {}
        self._known: dict[tuple[str, str, int | None], Histogram] = {}
        self._known_route = lru_cache(_MOST_PATHS)(self._find_route)
        for route in routes:
            self._add(_CONVERTOR.sub("", getattr(route, "path", "")))

    def observe(self, scope: Scope, status: int | None, seconds: float) -> str:
        """Measures a request that has ended, and gives its route.

        `status` is None if nothing was answered.
        """
        method, route = scope["method"], self._route_of(scope["path"])
        key = method if method in _METHODS else OTHER, route, status
        known = self._known.get(key)
        if known is None:
            labels = key[0], key[1], "none" if status is None else str(status)
            known = self._known[key] = HTTP_DURATION.labels(*labels)
        known.observe(seconds)
        return route

    def name_span(self, scope: Scope) -> None:
        """Names the span of a request by its route, before the answer ends the span."""
        route = self._route_of(scope["path"])
        if route != NO_ROUTE:
            name_request(scope["method"], route)

    def _add(self, template: str) -> None:
        node = self._tree
        for segment in template.split("/")[1:]:
            is_parameter = segment.startswith("{") and segment != _REST
            node = node.setdefault(_PARAMETER if is_parameter else segment, {})
        node[_ROUTE] = template

    def _route_of(self, path: str) -> str:
        return self._known_route(path) if len(path) <= _LONGEST_PATH else self._find_route(path)

    def _find_route(self, path: str) -> str:
        if self._prefix:
            path = path.removeprefix(self._prefix)
        node = self._tree
        for segment in path.split("/")[1:]:
            below = node.get(segment)
            if below is None:
                if _REST in node:
                    node = node[_REST]
                    break
                below = node.get(_PARAMETER) if segment else None
                if below is None:
                    return NO_ROUTE
            node = below
        route: str = node.get(_ROUTE, NO_ROUTE)
        return route


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
