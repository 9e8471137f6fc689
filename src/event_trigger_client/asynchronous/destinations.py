"""Destinations: where events are delivered to."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from event_trigger_client.asynchronous.resource import AsyncResource
from event_trigger_client.requests import Name, headers_of, new_idempotency_key
from event_trigger_client.schedules import written
from event_trigger_client.types.deliveries import Attempt, Destination, Redelivered, Secret


class AsyncDestinations(AsyncResource):
    """`/destinations`; each is named by its id (a number) or its key (a text)."""

    collection = "destinations"

    def list(self, **filters: Any) -> AsyncIterator[Destination]:
        """Yields destinations, newest first, page by page."""
        return self._calls.pages("/destinations", filters)

    async def get(self, destination: Name) -> Destination:
        answer: Destination = await self._call("GET", destination)
        return answer

    async def create(
        self, url: str, *, idempotency_key: str | None = None, **fields: Any
    ) -> Destination:
        """Makes a destination; the answer has its signing `secret`."""
        body = {"url": url, **fields}
        answer: Destination = await self._create("/destinations", body, idempotency_key)
        return answer

    async def put(
        self, destination: Name, url: str, *, if_match: str | None = None, **fields: Any
    ) -> Destination:
        """Makes the destination of this key, or replaces it."""
        headers = headers_of(if_match=if_match)
        body = {"url": url, **fields}
        answer: Destination = await self._call("PUT", destination, json=body, headers=headers)
        return answer

    async def patch(
        self,
        destination: Name,
        changes: Mapping[str, Any] | None = None,
        *,
        if_match: str | None = None,
        **fields: Any,
    ) -> Destination:
        """Changes some fields (JSON Merge Patch): what is not named stays."""
        answer: Destination = await self._patch(
            destination, {**(changes or {}), **fields}, if_match
        )
        return answer

    async def delete(self, destination: Name, *, if_match: str | None = None) -> None:
        await self._call("DELETE", destination, headers=headers_of(if_match=if_match))

    async def enable(self, destination: Name) -> Destination:
        answer: Destination = await self._do(destination, "enable")
        return answer

    async def disable(self, destination: Name) -> Destination:
        answer: Destination = await self._do(destination, "disable")
        return answer

    async def test(self, destination: Name, data: Mapping[str, Any] | None = None) -> Attempt:
        """Sends a sample now, with this payload, and gives the attempt."""
        body = None if data is None else written({"data": data})
        answer: Attempt = await self._call("POST", destination, "test", json=body)
        return answer

    async def secret(self, destination: Name) -> str:
        """Gives the secret that signs its deliveries."""
        answer = await self._call("GET", destination, "secret")
        secret: str = answer["secret"]
        return secret

    async def rotate(self, destination: Name, *, idempotency_key: str | None = None) -> Secret:
        """Makes another secret; the old one signs as well for 24 h."""
        path = self._path(destination, "rotate-secret")
        answer: Secret = await self._calls.request(
            "POST", path, idempotency_key=idempotency_key or new_idempotency_key()
        )
        return answer

    async def redeliver(
        self, destination: Name, since: datetime | str, until: datetime | str
    ) -> Redelivered:
        """Queues again all of its deliveries that were given up between these times."""
        path = self._path(await self.id_of(destination), "redeliver")
        body = written({"since": since, "until": until})
        answer: Redelivered = await self._calls.request("POST", path, json=body)
        return answer
