"""Events: what has fired."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from event_trigger_client.synchronous.resource import Resource

Answer = Mapping[str, Any]


class Events(Resource):
    """`/events`."""

    collection = "events"

    def list(self, **filters: Any) -> Iterator[Answer]:
        """Yields events, newest first, page by page."""
        return self._calls.pages("/events", filters)

    def get(self, event_id: int) -> Answer:
        answer: Answer = self._call("GET", event_id)
        return answer

    def counts(self, **filters: Any) -> Sequence[Answer]:
        """Counts events by trigger."""
        answer: Sequence[Answer] = self._calls.request("GET", "/events/counts", params=filters)
        return answer

    def replay(self, event_id: int, *, idempotency_key: str | None = None) -> Answer:
        """Makes a new event with the same payload."""
        path = self._path(event_id, "replay")
        answer: Answer = self._create(path, None, idempotency_key)
        return answer

    def export(self, format: str = "ndjson", **filters: Any) -> Iterator[str]:  # noqa: A002
        """Yields the lines of an export, as `ndjson` or as `csv`."""
        params = {"format": format, **filters}
        with self._calls.stream("/events/export", params) as response:
            for line in response.iter_lines():
                yield line
