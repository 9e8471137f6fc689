"""Calls the service, and repeats what may be repeated."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from event_trigger_client.answers import json_in, next_query
from event_trigger_client.errors import Unreachable, problem_in
from event_trigger_client.requests import Connection, headers_of, query_of
from event_trigger_client.retrying import Attempts


class AsyncCalls:
    """The calls of a client, to which it adds names."""

    def __init__(self, connection: Connection, *, timeout: float, retries: int) -> None:
        self._http = httpx.AsyncClient(**connection.options(timeout))
        self.retries = retries

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """Gives the answer as it came; raises a Problem, or Unreachable if there is none.

        Repeats the call if that does no harm (`retrying.Attempts`).
        """
        request = self._http.build_request(
            method,
            path,
            json=json,
            params=query_of(params),
            headers=headers_of(headers, idempotency_key=idempotency_key),
        )
        attempts = Attempts(request, self.retries)
        while True:
            try:
                response = await self._http.send(request)
            except httpx.TransportError as error:
                wait: float | None = attempts.after_error(error)
            else:
                wait = attempts.after(response)
            if wait is None:
                break
            await asyncio.sleep(wait)
        if response.is_error and not attempts.is_done(response):
            raise problem_in(response)
        return response

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Gives the JSON of the answer, or None if it has none (204); raises as `send` does."""
        response = await self.send(
            method,
            path,
            json=json,
            params=params,
            headers=headers,
            idempotency_key=idempotency_key,
        )
        return json_in(response)

    async def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
        """Yields the rows of a list, and asks for its next page only when one is needed."""
        query: Mapping[str, Any] | None = params or {}
        while query is not None:
            response = await self.send("GET", path, params=query)
            for row in json_in(response):
                yield row
            query = next_query(response)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        silence: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Opens an answer that is read piece by piece; it is not repeated.

        It is Unreachable when it breaks, or after `silence` seconds without a piece.
        """
        query, timeout = query_of(params), httpx.Timeout(self._http.timeout)
        if silence is not None:
            timeout.read = silence
        try:
            async with self._http.stream(
                "GET", path, params=query, headers=headers, timeout=timeout
            ) as response:
                if response.is_error:
                    await response.aread()
                    raise problem_in(response)
                yield response
        except httpx.TransportError as error:
            url = self._http.base_url.join(path.lstrip("/"))
            raise Unreachable("GET", url, error, is_sent=True) from error

    async def aclose(self) -> None:
        await self._http.aclose()
