"""Destinations: where events are delivered to."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from event_trigger_client.requests import Name, headers_of, new_idempotency_key
from event_trigger_client.schedules import written
from event_trigger_client.synchronous.resource import Resource

Answer = Mapping[str, Any]


class Destinations(Resource):
    """`/destinations`; each is named by its id (a number) or its key (a text)."""

    collection = "destinations"

    def list(self, **filters: Any) -> Iterator[Answer]:
        """Yields destinations, newest first, page by page."""
        return self._calls.pages("/destinations", filters)

    def get(self, destination: Name) -> Answer:
        answer: Answer = self._call("GET", destination)
        return answer

    def create(self, url: str, *, idempotency_key: str | None = None, **fields: Any) -> Answer:
        """Makes a destination; the answer has its signing `secret`."""
        body = {"url": url, **fields}
        answer: Answer = self._create("/destinations", body, idempotency_key)
        return answer

    def put(
        self, destination: Name, url: str, *, if_match: str | None = None, **fields: Any
    ) -> Answer:
        """Makes the destination of this key, or replaces it."""
        headers = headers_of(if_match=if_match)
        body = {"url": url, **fields}
        answer: Answer = self._call("PUT", destination, json=body, headers=headers)
        return answer

    def patch(
        self,
        destination: Name,
        changes: Mapping[str, Any] | None = None,
        *,
        if_match: str | None = None,
        **fields: Any,
    ) -> Answer:
        """Changes some fields (JSON Merge Patch): what is not named stays."""
        answer: Answer = self._patch(destination, {**(changes or {}), **fields}, if_match)
        return answer

    def delete(self, destination: Name, *, if_match: str | None = None) -> None:
        self._call("DELETE", destination, headers=headers_of(if_match=if_match))

    def enable(self, destination: Name) -> Answer:
        answer: Answer = self._call("POST", destination, "enable")
        return answer

    def disable(self, destination: Name) -> Answer:
        answer: Answer = self._call("POST", destination, "disable")
        return answer

    def test(self, destination: Name) -> Answer:
        """Sends a sample now, and gives the attempt."""
        answer: Answer = self._call("POST", destination, "test")
        return answer

    def secret(self, destination: Name) -> str:
        """Gives the secret that signs its deliveries."""
        answer = self._call("GET", destination, "secret")
        secret: str = answer["secret"]
        return secret

    def rotate(self, destination: Name, *, idempotency_key: str | None = None) -> Answer:
        """Makes another secret; the old one signs as well for 24 h."""
        path = self._path(destination, "rotate-secret")
        answer: Answer = self._calls.request(
            "POST", path, idempotency_key=idempotency_key or new_idempotency_key()
        )
        return answer

    def redeliver(self, destination: Name, since: datetime | str, until: datetime | str) -> Answer:
        """Queues again all of its deliveries that were given up between these times."""
        path = self._path(self.id_of(destination), "redeliver")
        body = written({"since": since, "until": until})
        answer: Answer = self._calls.request("POST", path, json=body)
        return answer
