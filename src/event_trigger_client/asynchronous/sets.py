"""Sets: what a file owns."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from event_trigger_client.asynchronous.calls import AsyncCalls
from event_trigger_client.requests import headers_of, keyed_path
from event_trigger_client.schedules import written
from event_trigger_client.types.changes import SetContent, SetPlan, SetSummary


class AsyncSets:
    """`/sets`."""

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def list(self) -> AsyncIterator[SetSummary]:
        return self._calls.pages("/sets")

    async def get(self, name: str) -> SetContent:
        """Gives a set in the form that `put` takes, without secrets."""
        answer: SetContent = await self._calls.request("GET", keyed_path("sets", name))
        return answer

    async def put(
        self,
        name: str,
        content: Mapping[str, Any],
        *,
        dry_run: bool = False,
        prune: bool = False,
        if_match: str | None = None,
    ) -> SetPlan:
        """Makes all members as they are here, or none; `if_match` takes the digest of a plan."""
        answer: SetPlan = await self._calls.request(
            "PUT",
            keyed_path("sets", name),
            json=written(content),
            params={"dry_run": dry_run or None, "prune": prune or None},
            headers=headers_of(if_match=if_match),
        )
        return answer

    async def plan(self, name: str, content: Mapping[str, Any], *, prune: bool = False) -> SetPlan:
        """Says what `put` would do, and changes nothing."""
        return await self.put(name, content, dry_run=True, prune=prune)

    async def delete(self, name: str, *, if_match: str | None = None) -> None:
        headers = headers_of(if_match=if_match)
        await self._calls.request("DELETE", keyed_path("sets", name), headers=headers)
