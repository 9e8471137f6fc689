"""Who asks for an answer and does not read it is dropped."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from event_trigger.web.middleware import RequestMiddleware

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "method": "GET",
    "path": "/endless",
    "scheme": "http",
    "headers": [],
}


async def test_a_reader_who_takes_nothing_is_dropped() -> None:
    taken: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(lines())(scope, receive, send)

    async def lines() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def takes_three(message: Message) -> None:
        if len(taken) == 3:
            await asyncio.Event().wait()  # the connection's buffer is full
        taken.append(message["type"])

    async def never() -> dict[str, Any]:
        return await asyncio.Future()

    async with asyncio.timeout(30):
        await RequestMiddleware(app, patience=0.1)(SCOPE, never, takes_three)

    assert taken == ["http.response.start", "http.response.body", "http.response.body"]
