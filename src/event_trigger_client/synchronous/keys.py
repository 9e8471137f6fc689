"""API keys, for machines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from event_trigger_client.synchronous.resource import Resource
from event_trigger_client.types.keys import ApiKey


class Keys(Resource):
    """`/auth/keys`."""

    collection = "auth/keys"

    def list(self) -> Iterator[ApiKey]:
        return self._calls.pages("/auth/keys")

    def get(self, key_id: int) -> ApiKey:
        answer: ApiKey = self._call("GET", key_id)
        return answer

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> ApiKey:
        """Makes a key, whose `key` is shown once: a repeated call has it as None."""
        body = {"name": name, "scopes": [*scopes], **fields}
        answer: ApiKey = self._create("/auth/keys", body, idempotency_key)
        return answer

    def patch(self, key_id: int, changes: Mapping[str, Any] | None = None, **fields: Any) -> ApiKey:
        answer: ApiKey = self._patch(key_id, {**(changes or {}), **fields}, None)
        return answer

    def delete(self, key_id: int) -> None:
        """Ends a key at once."""
        self._call("DELETE", key_id)
