"""A client of HTTP/1.0 gets what it can read: the end of its connection ends a streamed answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.planting import LARGE, plant_large
from tests.support.services import ADA, Service, token_of
from tests.support.streams import listening


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as one:
        yield one


async def exchange(url: str, path: str, *, method: str = "GET", more: str = "") -> httpx.Response:
    """Sends a request of HTTP/1.0, reads until the connection ends, and gives the answer."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=2**24)
    head = f"{method} {path} HTTP/1.0\r\nAuthorization: Bearer {token_of(ADA)}\r\n{more}\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(60):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        body = await reader.read()
    writer.close()
    headers = dict(line.split(": ", 1) for line in lines[1:-1])
    return httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n"])
async def test_a_streamed_answer_has_no_chunks(url: str, database: Any, more: str) -> None:
    await plant_large(database)

    answer = await exchange(url, "/events/export", more=more)

    assert "transfer-encoding" not in answer.headers
    assert answer.headers["connection"] == "close"
    assert len(answer.text.splitlines()) == LARGE
    assert answer.text.startswith('{"id":')
    assert answer.text.endswith("}\n")


async def test_answers_of_a_known_length_are_as_ever(url: str, ada: httpx.AsyncClient) -> None:
    for method in ("GET", "HEAD"):
        old = await exchange(url, "/triggers", method=method)
        new = await ada.request(method, "/triggers")

        assert (old.status_code, old.content) == (new.status_code, new.content)
        assert old.headers.get("content-length") == new.headers.get("content-length")
