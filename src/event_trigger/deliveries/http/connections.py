"""Sends requests over connections that it keeps for a while: all HTTP to others is spoken here."""

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

LONGEST_RESPONSE = 2048  # bytes that are kept, and read
EXPECTED = (aiohttp.ClientError, OSError, ValueError)  # what may come of a receiver, or of a URL
_NAMES_KEPT_FOR = 10  # seconds
_IDLE_FOR = 15.0  # seconds that a connection is kept for the next attempt
_BUFFER = 16 * 1024


@dataclass(slots=True)
class Exchange:
    """Holds the headers `sent` and the answer; `body` is None until one was parsed."""

    sent: dict[str, str] = field(repr=False)
    head: ResponseHead = field(default_factory=ResponseHead)
    body: bytearray | None = None
    address_was_refused: bool = False
    is_connected: bool = False
    is_on_kept_connection: bool = False
    is_repeated: bool = False

    @property
    def may_be_repeated(self) -> bool:
        """The receiver may have closed a kept connection before it saw the request."""
        return self.is_on_kept_connection and not self.head.has_begun and not self.is_repeated

    def repeat(self) -> None:
        self.head, self.is_connected, self.is_on_kept_connection = ResponseHead(), False, False
        self.is_repeated = True

    @property
    def said(self) -> bytes:
        """The beginning of the body: parsed, or else as it came."""
        return bytes((self.head.body if self.body is None else self.body)[:LONGEST_RESPONSE])


_attempt: ContextVar[Exchange] = ContextVar("attempt")  # for what aiohttp calls in its midst


class ConnectionPool:
    """Connects where the guard lets it, follows no redirect, keeps no cookie and asks no proxy."""

    def __init__(self, guard: AddressPolicy, lookup: Lookup, tls: ssl.SSLContext) -> None:
        self._guard = guard
        self._resolver = _Resolver(lookup)
        self._tls = tls
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def post(self, url: str, headers: dict[str, str], body: bytes, attempt: Exchange) -> None:
        """Sends, and notes in `attempt` what is answered.

        A request on a kept connection that breaks before an answer begins is sent once more, on a
        new one. Raises one of EXPECTED, also after a status line that `attempt` then has.
        """
        _attempt.set(attempt)
        try:
            await self._post(url, headers, body, attempt)
        except EXPECTED:
            if not attempt.may_be_repeated:
                raise
            attempt.repeat()
        if attempt.is_repeated:
            await self._post(url, headers, body, attempt)

    async def _post(
        self, url: str, headers: dict[str, str], body: bytes, attempt: Exchange
    ) -> None:
        target = _read_url(url)
        response = await self._session_for(target.scheme).request(
            "POST", target, headers=headers, data=body, allow_redirects=False
        )
        attempt.head.settle(response.status)
        attempt.body = bytearray()
        try:
            while len(attempt.body) < LONGEST_RESPONSE and not response.content.at_eof():
                attempt.body += await response.content.readany()
        finally:
            response.close()  # nothing, if all was read and the connection is kept

    def _session_for(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            guard = self._guard
            make = guard.open_encrypted if scheme == "https" else guard.open_plain
            self._sessions[scheme] = _session(self._resolver, make, self._tls)
        return self._sessions[scheme]

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()


@lru_cache(maxsize=1024)
def _read_url(url: str) -> URL:
    """All that follows the authority is a path to yarl, which would write a query in its own way.

    Raises UrlRefused.
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
        socket_factory=partial(_open_noting, open_socket),
        ssl=tls,
        ttl_dns_cache=_NAMES_KEPT_FOR,
        keepalive_timeout=_IDLE_FOR,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_BUFFER,
        timeout=aiohttp.ClientTimeout(total=None),
    )


class _Protocol(ResponseHandler):
    """Shows what arrives to the attempt before aiohttp parses it, which may lose a whole answer."""

    attempt: Exchange | None = None
    was_used = False

    def data_received(self, data: bytes) -> None:
        if data and self.attempt is not None:
            if (answer := self.attempt.head.feed(data)) is not None:
                super().data_received(answer)
        elif data and self.was_used:
            self.abort()  # nothing was asked: the next attempt would take it for its answer
        else:
            super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Lets go at once of connections, new or used before, whose attempt is over."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._factory = cast(Any, partial(_Protocol, loop=self._loop))

    async def connect(self, *args: Any, **more: Any) -> aiohttp.connector.Connection:
        attempt = _attempt.get()
        connection, protocol = await self._connect(*args, **more)
        while attempt.is_repeated and protocol.was_used:
            connection.close()
            connection, protocol = await self._connect(*args, **more)
        attempt.is_connected, attempt.is_on_kept_connection = True, protocol.was_used
        protocol.attempt, protocol.was_used = attempt, True
        connection.add_callback(partial(_let_go, connection, protocol))
        return connection

    async def _connect(
        self, *args: Any, **more: Any
    ) -> tuple[aiohttp.connector.Connection, _Protocol]:
        connection = await super().connect(*args, **more)
        assert isinstance(connection.protocol, _Protocol)
        return connection, connection.protocol


def _let_go(connection: aiohttp.connector.Connection, protocol: _Protocol) -> None:
    """Called when it is about to be closed or kept for another attempt.

    Closing sends first what is left, and waits for TLS's goodbye: some never read, or say it.
    """
    attempt, protocol.attempt = protocol.attempt, None
    if attempt is not None and attempt.head.promises_what_cannot_come:
        protocol.force_close()
    transport = connection.transport
    if transport is None:
        return
    if transport.get_write_buffer_size():  # an early answer: the rest must not go on
        transport.abort()
    asyncio.get_running_loop().call_soon(_end_closing, transport)


def _end_closing(transport: asyncio.Transport) -> None:
    if transport.is_closing():  # else it is kept, and may be another attempt's already
        transport.abort()


def _open_noting(
    open_socket: aiohttp.connector.SocketFactoryType, address_info: aiohttp.AddrInfoType
) -> socket.socket:
    """Notes a refusal: of the errors of several addresses, aiohttp makes one of another kind."""
    try:
        return open_socket(address_info)
    except AddressRefused:
        _attempt.get().address_was_refused = True
        raise


class _Resolver(AbstractResolver):
    """Hands our look-up to aiohttp."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002
    ) -> list[ResolveResult]:
        return [_resolved(host, port, one) for one in await self._lookup(host, port)]

    async def close(self) -> None:
        """There is nothing to close: the threads serve others too."""


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


def kind_of(failure: BaseException, attempt: Exchange) -> DeliveryError:
    """Why there is no answer, after one of EXPECTED."""
    causes = list(_causes(failure))
    for kinds, error in _KINDS:
        if any(isinstance(one, kinds) for one in causes):
            return error
    if attempt.address_was_refused and not attempt.is_connected:
        return DeliveryError.ADDRESS_REFUSED
    return DeliveryError.CONNECTION_FAILED


_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], DeliveryError], ...] = (
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), DeliveryError.NAME_NOT_RESOLVED),
    ((ssl.SSLError, aiohttp.ClientSSLError), DeliveryError.TLS_FAILED),
    ((aiohttp.ClientResponseError, ValueError), DeliveryError.PROTOCOL_VIOLATED),
)


def _causes(failure: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = failure
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
