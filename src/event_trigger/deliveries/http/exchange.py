"""Collects what happens to one request, and names the kind of a failure."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

from event_trigger.deliveries.http.response_head import ResponseHead
from event_trigger.deliveries.http.tls_reason import tls_reason
from event_trigger.destinations.client_certificates import ClientCertificate
from event_trigger.models import DeliveryError

LARGEST_RESPONSE_BYTES = 2048  # of a body that are read, and kept
EXPECTED_ERRORS = (OSError, ValueError)  # by receivers and URLs


class NameNotResolved(OSError):
    """The look-up of a receiver's name has failed."""


@dataclass(slots=True)
class HttpExchange:
    """Collects one request's response; `body` is None until the parser has read the head.

    `addresses` are those that a connection was opened to, also without success.
    """

    sent: dict[str, str] = field(repr=False)
    certificate: ClientCertificate | None = None
    head: ResponseHead = field(default_factory=ResponseHead)
    body: bytearray | None = None
    addresses: set[str] = field(default_factory=set)
    address_was_refused: bool = False
    is_encrypted: bool = False
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


def error_of(failure: BaseException, exchange: HttpExchange) -> DeliveryError:
    """Names the kind of failure for one of EXPECTED_ERRORS."""
    causes = [*_causes(failure)]
    for kinds, error in _ERRORS_BY_CAUSE:
        if any(isinstance(one, kinds) for one in causes):
            return error
    if exchange.address_was_refused and not exchange.is_connected:
        return DeliveryError.ADDRESS_REFUSED
    return DeliveryError.CONNECTION_FAILED


def reason_of(failure: BaseException, exchange: HttpExchange) -> str | None:
    """Says more about a failure of TLS, and None about any other."""
    causes = [*_causes(failure)]
    if (reason := tls_reason(causes)) is not None:
        return reason
    was_closed = any(isinstance(one, ConnectionError) for one in causes)
    is_first = exchange.is_connected and not exchange.is_on_kept_connection
    return _CLOSED_AFTER_TLS if was_closed and is_first and exchange.is_encrypted else None


# a reset may overtake the alert that would say so
_CLOSED_AFTER_TLS = (
    "The receiver closed the connection before it answered, as some do that want a client"
    " certificate."
)
_ERRORS_BY_CAUSE: tuple[
    tuple[type[BaseException] | tuple[type[BaseException], ...], DeliveryError], ...
] = (
    ((NameNotResolved, socket.gaierror), DeliveryError.NAME_NOT_RESOLVED),
    (ssl.SSLError, DeliveryError.TLS_FAILED),
    (ValueError, DeliveryError.PROTOCOL_VIOLATED),
)


def _causes(failure: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = failure
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
