"""Keeps the connections that no request uses, for the next requests to their receivers."""

import asyncio
import ssl
from typing import NamedTuple

from event_trigger.deliveries.http.connection import Connection
from event_trigger.deliveries.http.request_bytes import Origin

_KEPT_SECONDS = 15.0
_MOST_KEPT = 256  # of all receivers together: each takes a file descriptor


class Route(NamedTuple):
    """A receiver and the TLS context of its connections: no others may share them."""

    origin: Origin
    tls: ssl.SSLContext | None


class _Idle(NamedTuple):
    since: float
    route: Route


class IdleConnections:
    """Gives the connection that was used last, and closes those of no use for `kept_seconds`.

    Of more than `most`, it closes those of no use for the longest time.
    """

    def __init__(self, kept_seconds: float = _KEPT_SECONDS, most: int = _MOST_KEPT) -> None:
        self._kept_seconds, self._most = kept_seconds, most
        self._kept: dict[Connection, _Idle] = {}  # the oldest first
        self._by_route: dict[Route, list[Connection]] = {}  # the oldest first, and never empty
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, route: Route) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - self._kept_seconds
        while kept := self._by_route.get(route):
            connection = kept[-1]
            since = self._kept[connection].since
            self._forget(connection)
            if connection.is_open and since > oldest:
                return connection
            connection.close()
        return None

    def keep(self, route: Route, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self._kept[connection] = _Idle(loop.time(), route)
        self._by_route.setdefault(route, []).append(connection)
        if len(self._kept) > self._most:
            self._close_oldest()
        if self._sweep is None:
            self._sweep = loop.call_later(self._kept_seconds, self._close_unused)

    def close_all_to(self, route: Route) -> None:
        for connection in self._by_route.pop(route, ()):
            del self._kept[connection]
            connection.close()

    def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for route in [*self._by_route]:
            self.close_all_to(route)

    def _close_unused(self) -> None:
        self._sweep = None
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._kept_seconds
        while self._kept and next(iter(self._kept.values())).since <= oldest:
            self._close_oldest()
        if self._kept:
            self._sweep = loop.call_later(self._kept_seconds, self._close_unused)

    def _close_oldest(self) -> None:
        connection = next(iter(self._kept))
        self._forget(connection)
        connection.close()

    def _forget(self, connection: Connection) -> None:
        route = self._kept.pop(connection).route
        kept = self._by_route[route]
        kept.remove(connection)
        if not kept:
            del self._by_route[route]
