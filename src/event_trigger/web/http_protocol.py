"""A client's connection, which ends when the client stops: reading an answer, or sending a request.

uvicorn keeps what was not read for ever: it waits for room only before the next part of an answer,
and of an answer in one piece there is none.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, ClassVar, cast

import structlog
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from event_trigger.errors import RequestTimedOut
from event_trigger.web.log_paths import loggable
from event_trigger.web.middleware import SAFE_HEADERS
from event_trigger.web.problems import answer

log = structlog.get_logger()


def _written(response: Response) -> bytes:
    headers = [*response.raw_headers, *SAFE_HEADERS, (b"connection", b"close")]
    lines = [STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % one for one in headers)]
    return b"".join([*lines, b"\r\n", response.body])


class HttpProtocol(HttpToolsProtocol):
    """Speaks HTTP as uvicorn does, and waits `patience` seconds for the other side, not longer.

    A request that arrives in one piece, and is answered in less than the transport's buffer, costs
    no timer.
    """

    patience: ClassVar[float] = 30.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reader_timer: TimerHandle | None = None
        self._sender_timer: TimerHandle | None = None
        self._unread = 0
        self._heard_at = 0.0
        self._is_receiving = False
        self._has_head = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))
        self._wait_for_sender()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting_for_reader()
        self._stop_waiting_for_sender()
        super().connection_lost(exc)

    # the request

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_receiving:
            self._heard_at = self.loop.time()
            if self._sender_timer is None:
                self._wait_for_sender()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_receiving, self._has_head = True, False

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._has_head = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_receiving = False
        self._stop_waiting_for_sender()

    def _wait_for_sender(self, seconds: float | None = None) -> None:
        self._sender_timer = self.loop.call_later(
            self.patience if seconds is None else seconds, self._look_at_sender
        )

    def _stop_waiting_for_sender(self) -> None:
        if self._sender_timer is not None:
            self._sender_timer.cancel()
            self._sender_timer = None

    def _look_at_sender(self) -> None:
        """Drops a client that was silent all the time; each part of a body gives it more."""
        self._sender_timer = None
        if self.transport.is_closing():
            return
        silent = self.loop.time() - self._heard_at
        if self._keeps_sender_waiting():
            self._wait_for_sender()
        elif self._has_head and silent < self.patience:
            self._wait_for_sender(self.patience - silent)
        else:
            self._drop_sender()

    def _keeps_sender_waiting(self) -> bool:
        """Whether the request has to wait for the application, or for the answer to another."""
        if not self._has_head:
            before = self._latest()
            return before is not None and not before.response_complete
        is_unwanted = self.flow.read_paused or self.cycle.waiting_for_100_continue
        return is_unwanted or bool(self.pipeline)

    def _drop_sender(self) -> None:
        """Says 408 where a request was begun and nothing was answered yet, and hangs up."""
        if self._is_receiving:
            log.info("sender_dropped", path=self._path() if self._has_head else None)
            if not (self._has_head and self.cycle.response_started):
                self.transport.write(_written(answer(RequestTimedOut())))
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
        """While it waits nothing more is written: the application is kept waiting, or has ended."""
        self._stop_waiting_for_reader()
        self._unread = self.transport.get_write_buffer_size()
        if self._unread:
            self._reader_timer = self.loop.call_later(self.patience, self._look_at_reader)

    def _stop_waiting_for_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _look_at_reader(self) -> None:
        """Drops a client that has taken nothing of what there is for it."""
        if self.transport.get_write_buffer_size() < self._unread:
            self._wait_for_reader()
            return
        self._reader_timer = None
        log.info("reader_dropped", path=self._path(), unread=self._unread)
        self.transport.abort()

    def _path(self) -> str | None:
        latest = self._latest()
        return None if latest is None else loggable(latest.scope["path"])

    def _latest(self) -> RequestResponseCycle | None:
        """The request whose head came last; uvicorn has None before the first."""
        return cast(RequestResponseCycle | None, self.cycle)
