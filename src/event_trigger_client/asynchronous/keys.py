"""API keys, for machines."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from event_trigger_client.asynchronous.resource import AsyncResource
from event_trigger_client.types.keys import ApiKey


class AsyncKeys(AsyncResource):
    """`/auth/keys`."""

    collection = "auth/keys"

    def list(self) -> AsyncIterator[ApiKey]:
        return self._calls.pages("/auth/keys")

    async def get(self, key_id: int) -> ApiKey:
        answer: ApiKey = await self._call("GET", key_id)
        return answer

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> ApiKey:
        """Makes a key, whose `key` is shown once: a repeated call has it as None."""
        body = {"name": name, "scopes": [*scopes], **fields}
        answer: ApiKey = await self._create("/auth/keys", body, idempotency_key)
        return answer

    async def patch(
        self, key_id: int, changes: Mapping[str, Any] | None = None, **fields: Any
    ) -> ApiKey:
        answer: ApiKey = await self._patch(key_id, {**(changes or {}), **fields}, None)
        return answer

    async def delete(self, key_id: int) -> None:
        """Ends a key at once."""
        await self._call("DELETE", key_id)
