"""Sends one signed POST within its deadline, and turns every failure into a result."""

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache, partial

import certifi

from event_trigger import __version__
from event_trigger.deliveries.http.connections import (
    EXPECTED_ERRORS,
    HttpConnectionPool,
    HttpExchange,
    error_of,
)
from event_trigger.deliveries.http.masking import masked
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import Lookup
from event_trigger.models import DeliveryError

_DEFAULT_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",  # the response is stored as it was sent
    "user-agent": f"event-trigger/{__version__}",
}
_GONE = 410


@dataclass(slots=True)
class AttemptResult:
    """The response to one attempt, or the failure; `error` is None for a success."""

    error: DeliveryError | None = None
    status_code: int | None = None
    response: str | None = None
    retry_after: str | None = None


class Sender:
    """Sends requests to addresses that the policy allows."""

    def __init__(
        self, policy: AddressPolicy, lookup: Lookup, *, trusted: ssl.SSLContext | None = None
    ) -> None:
        """`trusted` holds the certificate authorities: by default the system's and Mozilla's."""
        self._connections = HttpConnectionPool(policy, lookup, trusted or _trusted())

    def post(
        self, url: str, headers: dict[str, str], body: bytes, *, within: float
    ) -> asyncio.Future[AttemptResult]:
        """Starts to send exactly these bytes, and gives the future result; failures are results.

        `within` is in seconds, from the DNS look-up to the last byte read. Cancelling the future
        aborts the request.
        """
        loop = asyncio.get_running_loop()
        exchange, result = HttpExchange(sent=headers), loop.create_future()
        task = loop.create_task(
            self._connections.post(url, _with_defaults(headers), body, exchange)
        )
        # call_soon: a response that came in time, while the loop was busy, is handled first
        timer = loop.call_later(within, loop.call_soon, _time_out, result, exchange)
        task.add_done_callback(partial(_finish, result, exchange))
        result.add_done_callback(partial(_abort, task, timer))
        return result

    async def aclose(self) -> None:
        await self._connections.aclose()


def _time_out(result: asyncio.Future[AttemptResult], exchange: HttpExchange) -> None:
    """Ends the attempt with a timeout, or with the response if its status has arrived."""
    if not result.done():
        result.set_result(_result(exchange, DeliveryError.TIMEOUT))


def _finish(
    result: asyncio.Future[AttemptResult], exchange: HttpExchange, task: asyncio.Task[None]
) -> None:
    if task.cancelled():
        result.cancel()
        return
    failure = task.exception()
    if result.done():
        return
    has_status = exchange.head.status_code is not None
    if failure is None or has_status or isinstance(failure, EXPECTED_ERRORS):
        error = None if failure is None else error_of(failure, exchange)
        result.set_result(_result(exchange, error))
    else:
        result.set_exception(failure)


def _abort(
    task: asyncio.Task[None], timer: asyncio.TimerHandle, _: asyncio.Future[AttemptResult]
) -> None:
    """Cancels the rest of the request without waiting: to close a connection may hang, too."""
    timer.cancel()
    task.cancel()


def _with_defaults(headers: dict[str, str]) -> dict[str, str]:
    """Adds the default headers that are not among these; names of headers have no case."""
    named = {name.lower() for name in headers}
    return {name: value for name, value in _DEFAULT_HEADERS.items() if name not in named} | headers


@cache
def _trusted() -> ssl.SSLContext:
    """Trusts the system's authorities and Mozilla's; loaded once, since it is slow."""
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    return trusted


def _result(exchange: HttpExchange, failure: DeliveryError | None) -> AttemptResult:
    """Makes the result; a status that was read counts, even with a `failure` after it."""
    code = exchange.head.status_code
    if code is None:
        return AttemptResult(failure)
    response = masked(_as_text(exchange.response), exchange.sent)
    return AttemptResult(_status_error(code), code, response, exchange.head.retry_after)


def _status_error(status_code: int) -> DeliveryError | None:
    if 200 <= status_code < 300:
        return None
    if status_code == _GONE:
        return DeliveryError.GONE
    if 300 <= status_code < 400:
        return DeliveryError.REDIRECTED
    return DeliveryError.REJECTED


def _as_text(read: bytes) -> str:
    """Decodes bytes to text that PostgreSQL can store: without NUL."""
    return read.decode(errors="replace").replace("\0", "\ufffd")
