"""Reads the response to one request from the bytes of its connection."""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from event_trigger.deliveries.http.exchange import LARGEST_RESPONSE_BYTES, HttpExchange

_LARGEST_UNFINISHED_BYTES = 64 * 1024  # with what is not kept: 1xx, extensions of chunks, trailers


class BadResponse(ValueError):
    """Bytes that are no response, or a part of one that cannot be read."""


class ResponseReader:
    """Reads into an exchange: the status as it was written, and what the parser finds of the body.

    The parser calls the methods `on_…`.
    """

    def __init__(self, exchange: HttpExchange) -> None:
        self._exchange = exchange
        self._parser = HttpResponseParser(self)
        self._size = 0
        self._is_complete = False
        self._leaves_connection = False

    @property
    def leaves_connection(self) -> bool:
        """Whether the connection may be kept: the response, and nothing else, was received."""
        return self._leaves_connection and not self._exchange.head.announces_forbidden_body

    def feed(self, data: bytes) -> bool:
        """Whether the response has ended, or enough of it was read; raises BadResponse."""
        if self._read(data):
            return True
        self._size += len(data)
        if self._size > _LARGEST_UNFINISHED_BYTES:
            raise BadResponse
        return False

    def _read(self, data: bytes) -> bool:
        for_parser = self._exchange.head.feed(data)
        if for_parser is None:
            return False
        try:
            self._parser.feed_data(for_parser)
        except HttpParserUpgrade:
            self._leaves_connection = False  # what follows is another protocol
            return True
        except HttpParserError as error:
            self._leaves_connection = False
            if not self._is_complete:
                raise BadResponse from error
        body = self._exchange.body
        if body is not None and self._exchange.head.status_code is None:
            raise BadResponse  # the parser knows more protocols than HTTP
        return self._is_complete or len(body or b"") >= LARGEST_RESPONSE_BYTES

    def on_message_begin(self) -> None:
        self._leaves_connection = False  # if it is another response, nobody has asked for it

    def on_headers_complete(self) -> None:
        if not self._is_complete:
            self._exchange.body = bytearray()

    def on_body(self, body: bytes) -> None:
        kept = self._exchange.body
        if kept is not None and not self._is_complete:
            kept += body[: LARGEST_RESPONSE_BYTES - len(kept)]

    def on_message_complete(self) -> None:
        self._leaves_connection = not self._is_complete and self._parser.should_keep_alive()
        self._is_complete = True
