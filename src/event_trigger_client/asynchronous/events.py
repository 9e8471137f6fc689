"""Events: what has fired."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from event_trigger_client.asynchronous.resource import AsyncResource

Answer = Mapping[str, Any]


class AsyncEvents(AsyncResource):
    """`/events`."""

    collection = "events"

    def list(self, **filters: Any) -> AsyncIterator[Answer]:
        """Yields events, newest first, page by page."""
        return self._calls.pages("/events", filters)

    async def get(self, event_id: int) -> Answer:
        answer: Answer = await self._call("GET", event_id)
        return answer

    async def counts(self, **filters: Any) -> Sequence[Answer]:
        """Counts events by trigger."""
        answer: Sequence[Answer] = await self._calls.request(
            "GET", "/events/counts", params=filters
        )
        return answer

    async def replay(self, event_id: int, *, idempotency_key: str | None = None) -> Answer:
        """Makes a new event with the same payload."""
        path = self._path(event_id, "replay")
        answer: Answer = await self._create(path, None, idempotency_key)
        return answer

    async def export(self, format: str = "ndjson", **filters: Any) -> AsyncIterator[str]:  # noqa: A002
        """Yields the lines of an export, as `ndjson` or as `csv`."""
        params = {"format": format, **filters}
        async with self._calls.stream("/events/export", params) as response:
            async for line in response.aiter_lines():
                yield line
