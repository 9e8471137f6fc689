"""Sends HTTP requests over kept connections, or over new ones."""

from event_trigger.deliveries.http.connection import Connection
from event_trigger.deliveries.http.dialing import Dialer
from event_trigger.deliveries.http.exchange import EXPECTED_ERRORS, HttpExchange
from event_trigger.deliveries.http.idle_connections import IdleConnections, Route
from event_trigger.deliveries.http.request_bytes import read_target, write_request
from event_trigger.deliveries.http.tls_contexts import TlsContexts
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import Lookup


class HttpConnectionPool:
    """Connects to addresses that the policy allows; without redirects, cookies or proxies."""

    def __init__(self, policy: AddressPolicy, lookup: Lookup, tls: TlsContexts) -> None:
        self._policy, self._tls = policy, tls
        self._dialer = Dialer(policy, lookup)
        self._idle = IdleConnections()

    async def send(
        self, method: str, url: str, headers: dict[str, str], body: bytes, exchange: HttpExchange
    ) -> None:
        """Sends a request and collects the response in `exchange`.

        If a kept connection breaks before a response begins, the request is sent once more, on a
        new one. Raises one of EXPECTED_ERRORS, also after the status, which `exchange` then has.
        """
        target = read_target(url)
        request = write_request(method, target, headers, body)
        exchange.is_encrypted = target.origin.is_encrypted
        tls = await self._tls.get(exchange.certificate) if exchange.is_encrypted else None
        route = Route(target.origin, tls)
        kept = self._idle.take(route)
        if kept is not None:
            exchange.is_on_kept_connection = True
            try:
                await self._send(kept, route, request, exchange)
                return
            except EXPECTED_ERRORS:
                if not exchange.may_be_repeated:
                    raise
                exchange.repeat()
                self._idle.close_all_to(route)
        made = await self._dialer.open(target.origin, tls, exchange)
        await self._send(made, route, request, exchange)

    async def _send(
        self, connection: Connection, route: Route, request: bytes, exchange: HttpExchange
    ) -> None:
        exchange.is_connected = True
        if connection.address:  # or else the dialer has noted it
            exchange.addresses.add(connection.address)
        await connection.send(request, exchange)
        if connection.is_open:
            self._idle.keep(route, connection)

    def may_tell(self, exchange: HttpExchange) -> bool:
        """Whether all addresses of the exchange are public, so that details may be shown."""
        addresses = exchange.addresses
        return bool(addresses) and all(map(self._policy.may_tell_of, addresses))

    async def aclose(self) -> None:
        self._idle.close()
        self._tls.close()
