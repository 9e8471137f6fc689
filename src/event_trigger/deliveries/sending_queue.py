"""Sends what was claimed a few requests at a time, while the next deliveries are claimed."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from event_trigger.db.errors import log_fields

log = structlog.get_logger()

AT_ONCE = 8  # requests; due triggers must not wait for more of them

One = TypeVar("One")


class SendingQueue(Generic[One]):
    """Calls `send` for one request after another, in their order; nobody has to wait for it."""

    def __init__(self, send: Callable[[One], None]) -> None:
        """If `send` raises, the error is logged, and the next request is sent."""
        self._send = send
        self._waiting: deque[One] = deque()
        self._sending: asyncio.Task[None] | None = None

    def add(self, one: One) -> None:
        self._waiting.append(one)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())

    async def drain(self, within: float) -> list[One]:
        """Waits until everything is sent, but no longer than `within` seconds; gives the rest."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=within)
        rest = [*self._waiting]
        self._waiting.clear()
        return rest

    def _send_one(self, one: One) -> None:
        try:
            self._send(one)
        except Exception as error:
            log.error("requests_not_sent", **log_fields(error))

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                for _ in range(min(AT_ONCE, len(self._waiting))):
                    self._send_one(self._waiting.popleft())
                await asyncio.sleep(0)
        finally:
            self._sending = None
