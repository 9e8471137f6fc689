"""One connection to a receiver, which sends one request at a time."""

import asyncio
from typing import cast

from event_trigger.deliveries.http.exchange import HttpExchange
from event_trigger.deliveries.http.response_reader import BadResponse, ResponseReader


class ConnectionEnded(ConnectionError):
    """The receiver closed the connection before its response was complete."""


class Connection(asyncio.Protocol):
    """Is closed at once, never gracefully, unless another request may be sent over it.

    A graceful close first sends the rest of the request and waits for TLS's close_notify, and some
    receivers never read, or never send it.
    """

    def __init__(self) -> None:
        self.address = ""  # and stays so if the peer has reset the connection already
        self.is_open = False
        self._lost_by: BaseException | None = None
        self._reader: ResponseReader | None = None
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        if peer := transport.get_extra_info("peername"):
            self.address = peer[0]

    async def send(self, request: bytes, exchange: HttpExchange) -> None:
        """Sends a request, and reads the response into its exchange; raises EXPECTED_ERRORS.

        Afterwards the connection is open if it may be kept.
        """
        if not self.is_open:
            raise ConnectionEnded from self._lost_by
        self._reader = reader = ResponseReader(exchange)
        self._answered = answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        may_be_kept = False
        try:
            await answered
            was_sent = not self._transport.get_write_buffer_size()
            may_be_kept = was_sent and reader.leaves_connection
        finally:
            self._reader = self._answered = None
            if not may_be_kept:
                self.close()

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._answered is None or self._answered.done():
            self.close()  # nothing was asked: the next request would get this as its response
            return
        try:
            if self._reader.feed(data):
                self._answered.set_result(None)
        except BadResponse as error:
            self._answered.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open, self._lost_by = False, exc
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionEnded())

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()
