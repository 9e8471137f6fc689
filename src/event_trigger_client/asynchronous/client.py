"""The client: its resources, and the calls that need none."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from event_trigger_client.answers import Fired
from event_trigger_client.asynchronous.calendars import AsyncCalendars
from event_trigger_client.asynchronous.calls import AsyncCalls
from event_trigger_client.asynchronous.deliveries import AsyncDeliveries
from event_trigger_client.asynchronous.destinations import AsyncDestinations
from event_trigger_client.asynchronous.events import AsyncEvents
from event_trigger_client.asynchronous.keys import AsyncKeys
from event_trigger_client.asynchronous.sets import AsyncSets
from event_trigger_client.asynchronous.triggers import AsyncTriggers
from event_trigger_client.requests import Connection, Name
from event_trigger_client.retrying import RETRIES
from event_trigger_client.types.reports import Info, Overview, Stats

TIMEOUT = 30.0  # seconds


class AsyncClient(AsyncCalls):
    """Calls the service as the holder of a token or an API key, in one project.

    A context manager.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        project: str | int | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        super().__init__(Connection(url, token, project), timeout=timeout, retries=retries)
        self.triggers = AsyncTriggers(self)
        self.destinations = AsyncDestinations(self)
        self.events = AsyncEvents(self)
        self.deliveries = AsyncDeliveries(self)
        self.keys = AsyncKeys(self)
        self.sets = AsyncSets(self)
        self.calendars = AsyncCalendars(self)

    @classmethod
    def from_env(cls, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> "AsyncClient":
        """Reads EVENT_TRIGGER_URL, EVENT_TRIGGER_TOKEN and EVENT_TRIGGER_PROJECT."""
        given = Connection.from_env()
        return cls(
            given.url, token=given.token, project=given.project, timeout=timeout, retries=retries
        )

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def fire(
        self,
        trigger: Name,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Fired:
        """Fires a trigger once, however often the call has to be repeated."""
        return await self.triggers.fire(trigger, payload, idempotency_key=idempotency_key)

    async def overview(self) -> Overview:
        """Says whether all is well, and what is not."""
        answer: Overview = await self.request("GET", "/overview")
        return answer

    async def info(self) -> Info:
        """Gives the version, the limits and the features of the service."""
        answer: Info = await self.request("GET", "/info")
        return answer

    async def stats(self, measure: str, **params: Any) -> Stats:
        """Gives a measure over time: `step`, `since`, `until`, `by`."""
        params = {"measure": measure, **params}
        answer: Stats = await self.request("GET", "/stats", params=params)
        return answer
