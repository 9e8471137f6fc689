"""Makes one attempt: a signed POST within its deadline, to an address that may be called."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from typing import Any

import aiohttp
import certifi
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from event_trigger import __version__
from event_trigger.deliveries.masking import masked
from event_trigger.destinations.names import Lookup
from event_trigger.destinations.target import AddressRefused, Guard
from event_trigger.models import DeliveryError

LONGEST_RESPONSE = 2048  # bytes that are kept, and read
_NAMES_KEPT_FOR = 10  # seconds
_IDLE_FOR = 15.0  # seconds that a connection is kept for the next attempt
_BUFFER = 16 * 1024
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",  # what is kept is what was sent
    "user-agent": f"event-trigger/{__version__}",
}
_GONE = 410
_EXPECTED = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError)


@dataclass(slots=True)
class Answer:
    """What came of one attempt; `error` is None when it was a success."""

    error: DeliveryError | None = None
    status_code: int | None = None
    response: str | None = None
    retry_after: str | None = None


@dataclass(slots=True)
class _Attempt:
    """What is found out while an attempt lasts."""

    answer: Answer = field(default_factory=Answer)
    address_was_refused: bool = False
    is_connected: bool = False


_attempt: ContextVar[_Attempt] = ContextVar("attempt")  # for what aiohttp calls in its midst


class Sender:
    """An HTTP client that follows no redirect, keeps no cookie and asks no proxy.

    httpx over aiohttp, whose connector lets the guard make the very socket that is connected. The
    transports without a client around them: all that one would add is what must not be done here.
    """

    def __init__(
        self, guard: Guard, lookup: Lookup, *, trusted: ssl.SSLContext | None = None
    ) -> None:
        """`trusted` says whose certificates are believed: by default the system's and Mozilla's."""
        tls, resolver = trusted or _trusted(), _Resolver(lookup)
        self._transports = {
            scheme: AiohttpTransport(tls, client=partial(_session, resolver, make, tls))
            for scheme, make in (("https", guard.open_encrypted), ("http", guard.open_plain))
        }

    def post(
        self, url: str, headers: dict[str, str], body: bytes, *, within: float
    ) -> asyncio.Future[Answer]:
        """Begins to send exactly these bytes; `within` is in seconds, from the first look-up to the
        last byte that is read. A failure is an answer too. Cancelled, it is broken off."""
        loop = asyncio.get_running_loop()
        attempt, answered = _Attempt(), loop.create_future()
        exchange = loop.create_task(self._exchange(url, headers, body, attempt))
        # whoever has answered in time, while the loop was busy, has its turn before that
        timer = loop.call_later(within, loop.call_soon, _run_out, answered, attempt)
        exchange.add_done_callback(partial(_conclude, answered, attempt))
        answered.add_done_callback(partial(_leave, exchange, timer))
        return answered

    async def _exchange(
        self, url: str, headers: dict[str, str], body: bytes, attempt: _Attempt
    ) -> None:
        _attempt.set(attempt)
        answer = attempt.answer
        request = _request(_read_url(url), _with_ours(headers), body)
        response = await self._transports[request.url.scheme].handle_async_request(request)
        answer.status_code = response.status_code
        answer.retry_after = response.headers.get("retry-after")
        read, answer.response = bytearray(), ""
        try:
            async for chunk in response.aiter_raw():
                read += chunk[: LONGEST_RESPONSE - len(read)]
                answer.response = masked(_as_text(bytes(read)), request.headers)
                if len(read) >= LONGEST_RESPONSE:
                    break
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


def _run_out(answered: asyncio.Future[Answer], attempt: _Attempt) -> None:
    """The time is up: what is there by now is the answer, whatever comes of the rest."""
    if not answered.done():
        answer = attempt.answer
        is_answered = answer.status_code is not None
        error = _verdict(answer.status_code) if is_answered else DeliveryError.TIMEOUT
        answered.set_result(replace(answer, error=error))


def _conclude(
    answered: asyncio.Future[Answer], attempt: _Attempt, exchange: asyncio.Task[None]
) -> None:
    if exchange.cancelled():
        answered.cancel()
        return
    failure = exchange.exception()
    if answered.done():
        return
    answer = attempt.answer
    if failure is None or answer.status_code is not None:
        answer.error = _verdict(answer.status_code)
    elif isinstance(failure, _EXPECTED):
        answer.error = _kind_of(failure, attempt)
    else:
        answered.set_exception(failure)
        return
    answered.set_result(answer)


def _leave(
    exchange: asyncio.Task[None], timer: asyncio.TimerHandle, _answered: asyncio.Future[Answer]
) -> None:
    """What goes on is broken off and not waited for: it may also hang while it is closed."""
    timer.cancel()
    exchange.cancel()


def _request(url: httpx.URL, headers: dict[str, str], body: bytes) -> httpx.Request:
    """As it is made from `content`, in half the time: aiohttp says Host and Content-Length itself,
    and headers that know their encoding need not find it out at each look."""
    request = httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(body))
    request.headers.encoding = "ascii"
    request.read()
    return request


_read_url = lru_cache(maxsize=1024)(httpx.URL)


def _with_ours(headers: dict[str, str]) -> dict[str, str]:
    """Theirs as they are, and ours that they do not replace: names of headers have no case."""
    named = {name.lower() for name in headers}
    return {name: value for name, value in _HEADERS.items() if name not in named} | headers


@cache
def _trusted() -> ssl.SSLContext:
    """Trusts the system's authorities and Mozilla's; made once, since that takes a while."""
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    return trusted


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
        read_bufsize=_BUFFER,
        timeout=aiohttp.ClientTimeout(total=None),
    )


class _Connector(aiohttp.TCPConnector):
    """Lets go at once of connections, new or used before, whose attempt is over."""

    async def connect(self, *args: Any, **more: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **more)
        _attempt.get().is_connected = True
        connection.add_callback(partial(_let_go, connection))
        return connection


def _let_go(connection: aiohttp.connector.Connection) -> None:
    """Called when it is about to be closed or kept for another attempt.

    Closing sends first what is left, and waits for TLS's goodbye: some never read, or say it.
    """
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


def _verdict(status_code: int | None) -> DeliveryError | None:
    if status_code is None or 200 <= status_code < 300:
        return None
    if status_code == _GONE:
        return DeliveryError.GONE
    if 300 <= status_code < 400:
        return DeliveryError.REDIRECTED
    return DeliveryError.REJECTED


def _kind_of(failure: BaseException, attempt: _Attempt) -> DeliveryError:
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
    (
        (
            aiohttp.ClientResponseError,
            aiohttp.InvalidURL,
            httpx.InvalidURL,
            httpx.ProtocolError,
            ValueError,
        ),
        DeliveryError.PROTOCOL_VIOLATED,
    ),
)


def _causes(failure: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = failure
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def _as_text(read: bytes) -> str:
    """What PostgreSQL can hold of it."""
    return read.decode(errors="replace").replace("\0", "\ufffd")
