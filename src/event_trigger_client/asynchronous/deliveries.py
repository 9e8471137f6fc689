"""Deliveries: an event on its way to a destination."""

from collections.abc import AsyncIterator
from typing import Any

from event_trigger_client.asynchronous.resource import AsyncResource
from event_trigger_client.types.changes import ActionResult
from event_trigger_client.types.deliveries import Delivery


class AsyncDeliveries(AsyncResource):
    """`/deliveries`."""

    collection = "deliveries"

    async def list(self, **filters: Any) -> AsyncIterator[Delivery]:
        """Yields deliveries, newest first, page by page; keys name a `trigger`, a `destination`."""
        async for one in self._calls.pages("/deliveries", await self._named(filters)):
            yield one

    async def get(self, delivery_id: int) -> Delivery:
        """Gives a delivery with its attempts."""
        answer: Delivery = await self._call("GET", delivery_id)
        return answer

    async def redeliver(self, delivery_id: int, *, idempotency_key: str | None = None) -> Delivery:
        path = self._path(delivery_id, "redeliver")
        answer: Delivery = await self._create(path, None, idempotency_key)
        return answer

    async def cancel(self, delivery_id: int) -> Delivery:
        answer: Delivery = await self._call("POST", delivery_id, "cancel")
        return answer

    async def act(
        self, action: str, *, idempotency_key: str | None = None, **body: Any
    ) -> ActionResult:
        """Does `redeliver` or `cancel` to many: `ids` or a `filter`, and `dry_run`."""
        asked = {"action": action, **body}
        answer: ActionResult = await self._create("/deliveries/actions", asked, idempotency_key)
        return answer
