"""Deliveries: an event on its way to a destination."""

from collections.abc import Iterator, Mapping
from typing import Any

from event_trigger_client.synchronous.resource import Resource

Answer = Mapping[str, Any]


class Deliveries(Resource):
    """`/deliveries`."""

    collection = "deliveries"

    def list(self, **filters: Any) -> Iterator[Answer]:
        """Yields deliveries, newest first, page by page; keys name a `trigger`, a `destination`."""
        for one in self._calls.pages("/deliveries", self._named(filters)):
            yield one

    def get(self, delivery_id: int) -> Answer:
        """Gives a delivery with its attempts."""
        answer: Answer = self._call("GET", delivery_id)
        return answer

    def redeliver(self, delivery_id: int, *, idempotency_key: str | None = None) -> Answer:
        path = self._path(delivery_id, "redeliver")
        answer: Answer = self._create(path, None, idempotency_key)
        return answer

    def cancel(self, delivery_id: int) -> Answer:
        answer: Answer = self._call("POST", delivery_id, "cancel")
        return answer

    def act(self, action: str, *, idempotency_key: str | None = None, **body: Any) -> Answer:
        """Does `redeliver` or `cancel` to many: `ids` or a `filter`, and `dry_run`."""
        asked = {"action": action, **body}
        answer: Answer = self._create("/deliveries/actions", asked, idempotency_key)
        return answer
