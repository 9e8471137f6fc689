"""The base of all resources: their paths, and the ids of keys."""

from collections.abc import Mapping
from typing import Any, ClassVar

from event_trigger_client.asynchronous.calls import AsyncCalls
from event_trigger_client.requests import Name, headers_of, new_idempotency_key, path_of
from event_trigger_client.schedules import written


class AsyncResource:
    """The base of a collection, whose things have ids and keys."""

    collection: ClassVar[str]

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def _path(self, name: Name, *more: str) -> str:
        return path_of(self.collection, name, *more)

    async def id_of(self, name: Name) -> int:
        """Gives the id of what has this key; an id is one already."""
        return await self._id_in(self.collection, name)

    async def _id_in(self, collection: str, name: Name) -> int:
        if isinstance(name, int):
            return name
        found: int = (await self._calls.request("GET", path_of(collection, name)))["id"]
        return found

    async def _named(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the filters `trigger` and `destination`, ids or keys, as the service has them."""
        found = dict(filters)
        for kind in ("trigger", "destination"):
            if (names := found.pop(kind, None)) is not None:
                several = names if isinstance(names, list | tuple) else [names]
                found[f"{kind}_id"] = [await self._id_in(f"{kind}s", one) for one in several]
        return found

    async def _call(
        self,
        method: str,
        name: Name,
        *more: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        return await self._calls.request(
            method, self._path(name, *more), json=json, headers=headers
        )

    async def _do(self, name: Name, verb: str) -> Any:
        """Posts what the service lets repeat anyway; the key says so to `retrying`."""
        return await self._create(self._path(name, verb), None, None)

    async def _read(self, name: Name, part: str, params: Mapping[str, Any] | None = None) -> Any:
        """Reads what has an address by id only."""
        path = self._path(await self.id_of(name), part)
        return await self._calls.request("GET", path, params=params)

    async def _create(self, path: str, body: Any, idempotency_key: str | None) -> Any:
        """Posts with an Idempotency-Key, so that it happens once however often it is repeated."""
        return await self._calls.request(
            "POST",
            path,
            json=written(body),
            idempotency_key=idempotency_key or new_idempotency_key(),
        )

    async def _patch(self, name: Name, changes: Mapping[str, Any], if_match: str | None) -> Any:
        path = self._path(await self.id_of(name))
        headers = headers_of(if_match=if_match)
        return await self._calls.request("PATCH", path, json=written(changes), headers=headers)
