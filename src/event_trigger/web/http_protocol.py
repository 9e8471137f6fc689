"""Ends client connections that stall: the client stops sending a request, or reading a response.

uvicorn would keep them for ever: it waits for the client only between two parts of a response, and
so never notices a client that does not read a response of one part.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any, ClassVar, cast
from weakref import ReferenceType, ref

import structlog
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from event_trigger.errors import RequestTimedOut
from event_trigger.logs import loggable
from event_trigger.telemetry import READERS_DROPPED
from event_trigger.web.answers import WHOLE_ANSWER
from event_trigger.web.middleware import SAFE_HEADERS
from event_trigger.web.problems import answer

log = structlog.get_logger()


def _serialised(response: Response) -> bytes:
    headers = [*response.raw_headers, *SAFE_HEADERS, (b"connection", b"close")]
    lines = [STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % one for one in headers)]
    return b"".join([*lines, b"\r\n", response.body])


def _write_whole(
    cycle_of: ReferenceType[RequestResponseCycle],
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> bool:
    """Does as `cycle.send` does with the two messages of an answer; see web/answers.py."""
    if (cycle := cycle_of()) is None or cycle.disconnected or cycle.flow.write_paused:
        return False
    written = [*cycle.default_headers, *headers]
    if not cycle.keep_alive:
        written.append((b"connection", b"close"))
    # `join` and `map` make a line in a third of the time that formatting takes
    head = b"%b%b\r\n" % (STATUS_LINE[status], b"\r\n".join(map(b": ".join, written)))
    if head.count(b"\n") != len(written) + 1 or head.count(b"\r") != len(written) + 1:
        raise RuntimeError("A header of the answer has a line break.")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((head, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


async def _send_unchunked(cycle_of: ReferenceType[RequestResponseCycle], message: Any) -> None:
    """Does as `cycle.send` does, but ends an answer of unknown length with its connection.

    A client of HTTP/1.0 does not know chunks (RFC 9112, section 6.1).
    """
    if (cycle := cycle_of()) is None:
        return
    if message["type"] == "http.response.start":
        if not any(name.lower() == b"content-length" for name, _ in message["headers"]):
            cycle.keep_alive = cycle.chunked_encoding = False
            cycle.expected_content_length = inf  # type: ignore[assignment]
    elif cycle.expected_content_length == inf and not message.get("more_body"):
        cycle.expected_content_length = len(message.get("body", b""))
    await RequestResponseCycle.send(cycle, message)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with a time limit for stalled clients.

    Two timers look at the client every `stall_seconds`. The sender timer runs while a request is
    expected or arrives; it drops a client that does not
    complete a head in time, or sends nothing of a body. The reader timer runs while written
    data waits to be read; it drops a client that reads nothing.
    """

    stall_seconds: ClassVar[float] = 30.0
    first_request_seconds: ClassVar[float] = 4.0  # for a new connection when the process ends

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reader_timer: TimerHandle | None = None
        self._sender_timer: TimerHandle | None = None
        self._unread_bytes = 0
        self._received_at = 0.0
        self._is_receiving = False
        self._has_head = False
        self._is_ending = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))
        self._wait_for_sender()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting_for_reader()
        self._stop_waiting_for_sender()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Ends the connection; one that has just been made can still send its first request.

        Its client could not know that the process ends: without an answer, the call would fail.
        """
        self._is_ending = True
        if self._latest_cycle() is None:
            self.loop.call_later(self.first_request_seconds, self._close_if_unused)
        else:
            super().shutdown()

    def _close_if_unused(self) -> None:
        if self._latest_cycle() is None and not self._is_receiving:
            self.transport.close()

    # the request

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_receiving:
            self._received_at = self.loop.time()
            if self._sender_timer is None:
                self._wait_for_sender()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_receiving, self._has_head = True, False

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._has_head = True
        if self._is_ending:
            self.cycle.keep_alive = False
        # weak, as the cycle has the scope: each request would be left to the garbage collector
        write = partial(_write_whole, ref(self.cycle))
        self.cycle.scope["extensions"] = {WHOLE_ANSWER: {"write": write}}
        if self.cycle.scope["http_version"] == "1.0":
            unchunked = partial(_send_unchunked, ref(self.cycle))
            self.cycle.send = unchunked  # type: ignore[method-assign]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_receiving = False
        self._stop_waiting_for_sender()

    def _wait_for_sender(self, seconds: float | None = None) -> None:
        self._sender_timer = self.loop.call_later(
            self.stall_seconds if seconds is None else seconds, self._check_sender
        )

    def _stop_waiting_for_sender(self) -> None:
        if self._sender_timer is not None:
            self._sender_timer.cancel()
            self._sender_timer = None

    def _check_sender(self) -> None:
        """Drops a client that could send and did not; waits on for any other."""
        self._sender_timer = None
        if self.transport.is_closing():
            return
        silent_seconds = self.loop.time() - self._received_at
        if self._is_sender_waiting():
            self._wait_for_sender()
        elif self._has_head and silent_seconds < self.stall_seconds:
            self._wait_for_sender(self.stall_seconds - silent_seconds)
        else:
            self._drop_sender()

    def _is_sender_waiting(self) -> bool:
        """Whether the client cannot send now: the application does not read, or is still busy."""
        if not self._has_head:
            previous = self._latest_cycle()
            return previous is not None and not previous.response_complete
        is_paused = self.flow.read_paused or self.cycle.waiting_for_100_continue
        return is_paused or bool(self.pipeline)

    def _drop_sender(self) -> None:
        """Closes the connection; answers 408 first if a request has begun, and no response has."""
        if self._is_receiving:
            log.info("sender_dropped", path=self._path() if self._has_head else None)
            if not (self._has_head and self.cycle.response_started):
                self.transport.write(_serialised(answer(RequestTimedOut())))
        if self._has_head:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._wait_for_reader()

    # the answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_waiting_for_reader()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait_for_reader()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._wait_for_reader()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        """Starts the timer of a reader. Nothing more is written while it runs."""
        self._stop_waiting_for_reader()
        self._unread_bytes = self.transport.get_write_buffer_size()
        if self._unread_bytes:
            self._reader_timer = self.loop.call_later(self.stall_seconds, self._check_reader)

    def _stop_waiting_for_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _check_reader(self) -> None:
        """Drops a client that has read nothing since the timer started."""
        if self.transport.get_write_buffer_size() < self._unread_bytes:
            self._wait_for_reader()
            return
        self._reader_timer = None
        READERS_DROPPED.inc()
        log.info("reader_dropped", path=self._path(), unread=self._unread_bytes)
        self.transport.abort()

    def _path(self) -> str | None:
        latest = self._latest_cycle()
        return None if latest is None else loggable(latest.scope["path"])

    def _latest_cycle(self) -> RequestResponseCycle | None:
        """Returns the newest request whose head has arrived; None before the first."""
        return cast(RequestResponseCycle | None, self.cycle)
