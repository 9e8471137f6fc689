"""Makes one attempt: a signed POST within its deadline, to an address that may be called."""

import asyncio
import ssl
from dataclasses import dataclass
from functools import cache, partial

import certifi

from event_trigger import __version__
from event_trigger.deliveries.http.connections import EXPECTED, ConnectionPool, Exchange, kind_of
from event_trigger.deliveries.http.masking import masked
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import Lookup
from event_trigger.models import DeliveryError

_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",  # what is kept is what was sent
    "user-agent": f"event-trigger/{__version__}",
}
_GONE = 410


@dataclass(slots=True)
class AttemptResult:
    """What came of one attempt; `error` is None when it was a success."""

    error: DeliveryError | None = None
    status_code: int | None = None
    response: str | None = None
    retry_after: str | None = None


class Sender:
    """Sends to what the guard lets it call, each attempt within its own time."""

    def __init__(
        self, guard: AddressPolicy, lookup: Lookup, *, trusted: ssl.SSLContext | None = None
    ) -> None:
        """`trusted` says whose certificates are believed: by default the system's and Mozilla's."""
        self._connections = ConnectionPool(guard, lookup, trusted or _trusted())

    def post(
        self, url: str, headers: dict[str, str], body: bytes, *, within: float
    ) -> asyncio.Future[AttemptResult]:
        """Begins to send exactly these bytes; `within` is in seconds, from the first look-up to the
        last byte that is read. A failure is an answer too. Cancelled, it is broken off."""
        loop = asyncio.get_running_loop()
        attempt, answered = Exchange(sent=headers), loop.create_future()
        exchange = loop.create_task(self._connections.post(url, _with_ours(headers), body, attempt))
        # whoever has answered in time, while the loop was busy, has its turn before that
        timer = loop.call_later(within, loop.call_soon, _run_out, answered, attempt)
        exchange.add_done_callback(partial(_conclude, answered, attempt))
        answered.add_done_callback(partial(_leave, exchange, timer))
        return answered

    async def aclose(self) -> None:
        await self._connections.aclose()


def _run_out(answered: asyncio.Future[AttemptResult], attempt: Exchange) -> None:
    """Answers with what is there when the time is up, whatever comes of the rest."""
    if not answered.done():
        answered.set_result(_answer(attempt, DeliveryError.TIMEOUT))


def _conclude(
    answered: asyncio.Future[AttemptResult], attempt: Exchange, exchange: asyncio.Task[None]
) -> None:
    if exchange.cancelled():
        answered.cancel()
        return
    failure = exchange.exception()
    if answered.done():
        return
    if failure is None or attempt.head.status_code is not None or isinstance(failure, EXPECTED):
        error = None if failure is None else kind_of(failure, attempt)
        answered.set_result(_answer(attempt, error))
    else:
        answered.set_exception(failure)


def _leave(
    exchange: asyncio.Task[None],
    timer: asyncio.TimerHandle,
    _answered: asyncio.Future[AttemptResult],
) -> None:
    """What goes on is broken off and not waited for: it may also hang while it is closed."""
    timer.cancel()
    exchange.cancel()


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


def _answer(attempt: Exchange, failure: DeliveryError | None) -> AttemptResult:
    """A status line that was read is the answer, also if `failure` came after it."""
    code = attempt.head.status_code
    if code is None:
        return AttemptResult(failure)
    said = masked(_as_text(attempt.said), attempt.sent)
    return AttemptResult(_verdict(code), code, said, attempt.head.retry_after)


def _verdict(status_code: int) -> DeliveryError | None:
    if 200 <= status_code < 300:
        return None
    if status_code == _GONE:
        return DeliveryError.GONE
    if 300 <= status_code < 400:
        return DeliveryError.REDIRECTED
    return DeliveryError.REJECTED


def _as_text(read: bytes) -> str:
    """What PostgreSQL can hold of it."""
    return read.decode(errors="replace").replace("\0", "\ufffd")
