"""Destinations: where events are delivered to."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from event_trigger_client.requests import Name, headers_of, new_idempotency_key
from event_trigger_client.schedules import written
from event_trigger_client.synchronous.resource import Resource
from event_trigger_client.types.deliveries import Attempt, Destination, Redelivered, Secret


class Destinations(Resource):
    """`/destinations`; each is named by its id (a number) or its key (a text)."""

    collection = "destinations"

    def list(self, **filters: Any) -> Iterator[Destination]:
        """Yields destinations, newest first, page by page."""
        return self._calls.pages("/destinations", filters)

    def get(self, destination: Name) -> Destination:
        answer: Destination = self._call("GET", destination)
        return answer

    def create(self, url: str, *, idempotency_key: str | None = None, **fields: Any) -> Destination:
        """Makes a destination; the answer has its signing `secret`."""
        body = {"url": url, **fields}
        answer: Destination = self._create("/destinations", body, idempotency_key)
        return answer

    def put(
        self, destination: Name, url: str, *, if_match: str | None = None, **fields: Any
    ) -> Destination:
        """Makes the destination of this key, or replaces it."""
        headers = headers_of(if_match=if_match)
        body = {"url": url, **fields}
        answer: Destination = self._call("PUT", destination, json=body, headers=headers)
        return answer

    def patch(
        self,
        destination: Name,
        changes: Mapping[str, Any] | None = None,
        *,
        if_match: str | None = None,
        **fields: Any,
    ) -> Destination:
        """Changes some fields (JSON Merge Patch): what is not named stays."""
        answer: Destination = self._patch(destination, {**(changes or {}), **fields}, if_match)
        return answer

    def delete(self, destination: Name, *, if_match: str | None = None) -> None:
        self._call("DELETE", destination, headers=headers_of(if_match=if_match))

    def enable(self, destination: Name) -> Destination:
        answer: Destination = self._do(destination, "enable")
        return answer

    def disable(self, destination: Name) -> Destination:
        answer: Destination = self._do(destination, "disable")
        return answer

    def test(self, destination: Name, data: Mapping[str, Any] | None = None) -> Attempt:
        """Sends a sample now, with this payload, and gives the attempt."""
        body = None if data is None else written({"data": data})
        answer: Attempt = self._call("POST", destination, "test", json=body)
        return answer

    def secret(self, destination: Name) -> str:
        """Gives the secret that signs its deliveries."""
        answer = self._call("GET", destination, "secret")
        secret: str = answer["secret"]
        return secret

    def rotate(self, destination: Name, *, idempotency_key: str | None = None) -> Secret:
        """Makes another secret; the old one signs as well for 24 h."""
        path = self._path(destination, "rotate-secret")
        answer: Secret = self._calls.request(
            "POST", path, idempotency_key=idempotency_key or new_idempotency_key()
        )
        return answer

    def redeliver(
        self, destination: Name, since: datetime | str, until: datetime | str
    ) -> Redelivered:
        """Queues again all of its deliveries that were given up between these times."""
        path = self._path(self.id_of(destination), "redeliver")
        body = written({"since": since, "until": until})
        answer: Redelivered = self._calls.request("POST", path, json=body)
        return answer
