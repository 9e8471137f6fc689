"""Sends HTTP requests over kept connections; the only module that calls out (with aiohttp)."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from event_trigger.deliveries.http.response_head import ResponseHead
from event_trigger.destinations.address_policy import AddressPolicy, AddressRefused
from event_trigger.destinations.dns import Lookup
from event_trigger.destinations.urls import split_url
from event_trigger.models import DeliveryError

LARGEST_RESPONSE_BYTES = 2048  # of a body that are read, and kept
EXPECTED_ERRORS = (aiohttp.ClientError, OSError, ValueError)  # by receivers and URLs
_DNS_CACHE_SECONDS = 10
_KEEPALIVE_SECONDS = 15.0
_READ_BUFFER_BYTES = 16 * 1024


@dataclass(slots=True)
class HttpExchange:
    """Collects one request's response; `body` is None until the parser has read the head."""

    sent: dict[str, str] = field(repr=False)
    head: ResponseHead = field(default_factory=ResponseHead)
    body: bytearray | None = None
    address_was_refused: bool = False
    is_connected: bool = False
    is_on_kept_connection: bool = False
    is_repeated: bool = False

    @property
    def may_be_repeated(self) -> bool:
        """Whether the receiver may have closed a kept connection before it saw the request."""
        return self.is_on_kept_connection and not self.head.has_begun and not self.is_repeated

    def repeat(self) -> None:
        self.head, self.is_connected, self.is_on_kept_connection = ResponseHead(), False, False
        self.is_repeated = True

    @property
    def response(self) -> bytes:
        """The beginning of the body: parsed, or else the raw bytes."""
        return bytes((self.head.body if self.body is None else self.body)[:LARGEST_RESPONSE_BYTES])


_exchange: ContextVar[HttpExchange] = ContextVar("exchange")  # for callbacks of aiohttp


class HttpConnectionPool:
    """Connects to addresses that the policy allows; without redirects, cookies or proxies."""

    def __init__(self, policy: AddressPolicy, lookup: Lookup, tls: ssl.SSLContext) -> None:
        self._policy = policy
        self._resolver = _Resolver(lookup)
        self._tls = tls
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, exchange: HttpExchange
    ) -> None:
        """Sends a request and collects the response in `exchange`.

        If a kept connection breaks before a response begins, the request is sent once more, on a
        new one. Raises one of EXPECTED_ERRORS, also after the status, which `exchange` then has.
        """
        _exchange.set(exchange)
        try:
            await self._post(url, headers, body, exchange)
        except EXPECTED_ERRORS:
            if not exchange.may_be_repeated:
                raise
            exchange.repeat()
        if exchange.is_repeated:
            await self._post(url, headers, body, exchange)

    async def _post(
        self, url: str, headers: dict[str, str], body: bytes, exchange: HttpExchange
    ) -> None:
        target = _read_url(url)
        response = await self._session_for(target.scheme).request(
            "POST", target, headers=headers, data=body, allow_redirects=False
        )
        exchange.head.adopt_status(response.status)
        exchange.body = bytearray()
        try:
            while len(exchange.body) < LARGEST_RESPONSE_BYTES and not response.content.at_eof():
                exchange.body += await response.content.readany()
        finally:
            response.close()  # does nothing if all was read and the connection is kept

    def _session_for(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            policy = self._policy
            open_socket = policy.open_encrypted if scheme == "https" else policy.open_plain
            self._sessions[scheme] = _session(self._resolver, open_socket, self._tls)
        return self._sessions[scheme]

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()


@lru_cache(maxsize=1024)
def _read_url(url: str) -> URL:
    """Makes a URL that is sent byte for byte; raises UrlRefused.

    The query is passed as part of the path, because yarl would rewrite it.
    """
    scheme, authority, target = split_url(url)
    return URL.build(scheme=scheme, authority=authority, path=target, encoded=True)


def _session(
    resolver: AbstractResolver,
    open_socket: aiohttp.connector.SocketFactoryType,
    tls: ssl.SSLContext,
) -> aiohttp.ClientSession:
    connector = _Connector(
        limit=0,
        resolver=resolver,
        socket_factory=partial(_open_and_note_refusal, open_socket),
        ssl=tls,
        ttl_dns_cache=_DNS_CACHE_SECONDS,
        keepalive_timeout=_KEEPALIVE_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_BUFFER_BYTES,
        timeout=aiohttp.ClientTimeout(total=None),
    )


class _Protocol(ResponseHandler):
    """Shows received bytes to the exchange before aiohttp parses them: a parse error loses all."""

    exchange: HttpExchange | None = None
    was_used = False

    def data_received(self, data: bytes) -> None:
        if data and self.exchange is not None:
            if (for_parser := self.exchange.head.feed(data)) is not None:
                super().data_received(for_parser)
        elif data and self.was_used:
            self.abort()  # no request is open: the next one would get these bytes as its response
        else:
            super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Ties each connection to its exchange, and never lets aiohttp close one gracefully."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._factory = cast(Any, partial(_Protocol, loop=self._loop))

    async def connect(self, *args: Any, **more: Any) -> aiohttp.connector.Connection:
        exchange = _exchange.get()
        connection, protocol = await self._connect(*args, **more)
        while exchange.is_repeated and protocol.was_used:
            connection.close()
            connection, protocol = await self._connect(*args, **more)
        exchange.is_connected, exchange.is_on_kept_connection = True, protocol.was_used
        protocol.exchange, protocol.was_used = exchange, True
        connection.add_callback(partial(_end_use, connection, protocol))
        return connection

    async def _connect(
        self, *args: Any, **more: Any
    ) -> tuple[aiohttp.connector.Connection, _Protocol]:
        connection = await super().connect(*args, **more)
        assert isinstance(connection.protocol, _Protocol)
        return connection, connection.protocol


def _end_use(connection: aiohttp.connector.Connection, protocol: _Protocol) -> None:
    """Ends the use of a connection, before aiohttp closes it or keeps it for another request.

    A connection that is not kept is aborted: a graceful close first sends the rest of the request
    and waits for TLS's close_notify, and some receivers never read, or never send it.
    """
    exchange, protocol.exchange = protocol.exchange, None
    if exchange is not None and exchange.head.announces_forbidden_body:
        protocol.force_close()
    transport = connection.transport
    if transport is None:
        return
    if transport.get_write_buffer_size():  # an early response: the rest is not sent
        transport.abort()
    asyncio.get_running_loop().call_soon(_abort_closing, transport)


def _abort_closing(transport: asyncio.Transport) -> None:
    if transport.is_closing():  # else it is kept, and another request may use it already
        transport.abort()


def _open_and_note_refusal(
    open_socket: aiohttp.connector.SocketFactoryType, address_info: aiohttp.AddrInfoType
) -> socket.socket:
    """Notes a refusal in the exchange: aiohttp may raise another address's error instead."""
    try:
        return open_socket(address_info)
    except AddressRefused:
        _exchange.get().address_was_refused = True
        raise


class _Resolver(AbstractResolver):
    """Adapts a Lookup to aiohttp."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002
    ) -> list[ResolveResult]:
        return [_resolved(host, port, address=one) for one in await self._lookup(host, port)]

    async def close(self) -> None:
        """Does nothing: the look-up threads are shared."""


def _resolved(host: str, port: int, *, address: str) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


def error_of(failure: BaseException, exchange: HttpExchange) -> DeliveryError:
    """Names the kind of failure for one of EXPECTED_ERRORS."""
    causes = list(_causes(failure))
    for kinds, error in _ERRORS_BY_CAUSE:
        if any(isinstance(one, kinds) for one in causes):
            return error
    if exchange.address_was_refused and not exchange.is_connected:
        return DeliveryError.ADDRESS_REFUSED
    return DeliveryError.CONNECTION_FAILED


_ERRORS_BY_CAUSE: tuple[
    tuple[type[BaseException] | tuple[type[BaseException], ...], DeliveryError], ...
] = (
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), DeliveryError.NAME_NOT_RESOLVED),
    ((ssl.SSLError, aiohttp.ClientSSLError), DeliveryError.TLS_FAILED),
    ((aiohttp.ClientResponseError, ValueError), DeliveryError.PROTOCOL_VIOLATED),
)


def _causes(failure: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = failure
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
