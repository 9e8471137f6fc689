"""Deliveries: an event on its way to a destination."""

from collections.abc import Iterator
from typing import Any

from event_trigger_client.synchronous.resource import Resource
from event_trigger_client.types.changes import ActionResult
from event_trigger_client.types.deliveries import Delivery


class Deliveries(Resource):
    """`/deliveries`."""

    collection = "deliveries"

    def list(self, **filters: Any) -> Iterator[Delivery]:
        """Yields deliveries, newest first, page by page; keys name a `trigger`, a `destination`."""
        for one in self._calls.pages("/deliveries", self._named(filters)):
            yield one

    def get(self, delivery_id: int) -> Delivery:
        """Gives a delivery with its attempts."""
        answer: Delivery = self._call("GET", delivery_id)
        return answer

    def redeliver(self, delivery_id: int, *, idempotency_key: str | None = None) -> Delivery:
        path = self._path(delivery_id, "redeliver")
        answer: Delivery = self._create(path, None, idempotency_key)
        return answer

    def cancel(self, delivery_id: int) -> Delivery:
        answer: Delivery = self._call("POST", delivery_id, "cancel")
        return answer

    def act(self, action: str, *, idempotency_key: str | None = None, **body: Any) -> ActionResult:
        """Does `redeliver` or `cancel` to many: `ids` or a `filter`, and `dry_run`."""
        asked = {"action": action, **body}
        answer: ActionResult = self._create("/deliveries/actions", asked, idempotency_key)
        return answer
