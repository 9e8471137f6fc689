"""Sends one signed request within its deadline, and turns every failure into a result."""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from event_trigger import __version__
from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.http.connections import HttpConnectionPool
from event_trigger.deliveries.http.exchange import (
    EXPECTED_ERRORS,
    HttpExchange,
    error_of,
    reason_of,
)
from event_trigger.deliveries.http.masking import masked
from event_trigger.deliveries.http.tls_contexts import TlsContexts
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.client_certificates import ClientCertificate
from event_trigger.destinations.dns import Lookup
from event_trigger.models import DeliveryError, DestinationMethod

_DEFAULT_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",  # the response is stored as it was sent
    "user-agent": f"event-trigger/{__version__}",
}
_GONE = 410
_LONGEST_LOCATION = 2048  # characters


class Sender:
    """Sends requests to addresses that the policy allows."""

    def __init__(
        self, policy: AddressPolicy, lookup: Lookup, *, ca_file: Path | None = None
    ) -> None:
        """`ca_file` adds authorities (PEM) to the system's and Mozilla's."""
        self._connections = HttpConnectionPool(policy, lookup, TlsContexts(ca_file))

    def send(
        self,
        url: str,
        headers: dict[str, str],
        body: bytes,
        *,
        within: float,
        method: DestinationMethod = DestinationMethod.POST,
        certificate: ClientCertificate | None = None,
    ) -> asyncio.Future[AttemptResult]:
        """Starts to send exactly these bytes, and gives the future result; failures are results.

        `within` is in seconds, from the DNS look-up to the last byte read. A receiver that wants a
        client certificate gets `certificate`. Cancelling the future aborts the request.
        """
        loop = asyncio.get_running_loop()
        exchange, result = HttpExchange(headers, certificate), loop.create_future()
        task = loop.create_task(
            self._connections.send(method, url, _with_defaults(headers), body, exchange)
        )
        # call_soon: a response that came in time, while the loop was busy, is handled first
        timer = loop.call_later(within, loop.call_soon, self._time_out, result, exchange)
        task.add_done_callback(partial(self._finish, result, exchange))
        result.add_done_callback(partial(_abort, task, timer))
        return result

    def _time_out(self, result: asyncio.Future[AttemptResult], exchange: HttpExchange) -> None:
        """Ends the attempt with a timeout, or with the response if its status has arrived."""
        if not result.done():
            _end(result, partial(self._result, exchange, DeliveryError.TIMEOUT))

    def _finish(
        self,
        result: asyncio.Future[AttemptResult],
        exchange: HttpExchange,
        task: asyncio.Task[None],
    ) -> None:
        if task.cancelled():
            result.cancel()
            return
        failure = task.exception()
        if not result.done():
            _end(result, partial(self._result_after, exchange, failure))

    def _result_after(self, exchange: HttpExchange, failure: BaseException | None) -> AttemptResult:
        if failure is None:
            return self._result(exchange, None)
        has_status = exchange.head.status_code is not None
        if not has_status and not isinstance(failure, EXPECTED_ERRORS):
            raise failure
        return self._result(exchange, error_of(failure, exchange), reason_of(failure, exchange))

    def _result(
        self, exchange: HttpExchange, failure: DeliveryError | None, reason: str | None = None
    ) -> AttemptResult:
        """Makes the result; a status that was read counts, even with a `failure` after it."""
        code = exchange.head.status_code
        if code is None:
            may_tell = reason is not None and self._connections.may_tell(exchange)
            return AttemptResult(failure, reason=reason if may_tell else None)
        error = _status_error(code)
        leads_on = error is DeliveryError.REDIRECTED and self._connections.may_tell(exchange)
        return AttemptResult(
            error,
            code,
            masked(_as_text(exchange.response), exchange.sent),
            None if error is None else exchange.head.retry_after,
            location=_location(exchange) if leads_on else None,
        )

    async def aclose(self) -> None:
        await self._connections.aclose()


def _end(result: asyncio.Future[AttemptResult], make: Callable[[], AttemptResult]) -> None:
    """Ends the attempt also where its result cannot be made: it would never end otherwise."""
    try:
        made = make()
    except BaseException as fault:
        result.set_exception(fault)
    else:
        result.set_result(made)


def _abort(
    task: asyncio.Task[None], timer: asyncio.TimerHandle, _: asyncio.Future[AttemptResult]
) -> None:
    """Cancels the rest of the request without waiting: to close a connection may hang, too."""
    timer.cancel()
    task.cancel()


def _with_defaults(headers: dict[str, str]) -> dict[str, str]:
    return _defaults_beside(tuple(headers)) | headers


@lru_cache(maxsize=256)  # most requests have the same names
def _defaults_beside(names: tuple[str, ...]) -> dict[str, str]:
    """Returns the default headers that are not among these; names of headers have no case."""
    named = {name.lower() for name in names}
    return {name: value for name, value in _DEFAULT_HEADERS.items() if name not in named}


def _location(exchange: HttpExchange) -> str | None:
    """Returns the beginning of `Location`, without secrets that it repeats."""
    if (location := exchange.head.location) is None:
        return None
    shown = masked(_as_text(location.encode("latin-1")), exchange.sent)[:_LONGEST_LOCATION]
    return "".join(one if one.isprintable() else "\ufffd" for one in shown)


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
