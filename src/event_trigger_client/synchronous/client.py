"""The client: its resources, and the calls that need none."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from event_trigger_client.answers import Fired
from event_trigger_client.requests import Connection, Name
from event_trigger_client.retrying import RETRIES
from event_trigger_client.synchronous.calendars import Calendars
from event_trigger_client.synchronous.calls import Calls
from event_trigger_client.synchronous.deliveries import Deliveries
from event_trigger_client.synchronous.destinations import Destinations
from event_trigger_client.synchronous.events import Events
from event_trigger_client.synchronous.keys import Keys
from event_trigger_client.synchronous.sets import Sets
from event_trigger_client.synchronous.triggers import Triggers
from event_trigger_client.types.reports import Info, Overview, Stats

TIMEOUT = 30.0  # seconds


class Client(Calls):
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
        self.triggers = Triggers(self)
        self.destinations = Destinations(self)
        self.events = Events(self)
        self.deliveries = Deliveries(self)
        self.keys = Keys(self)
        self.sets = Sets(self)
        self.calendars = Calendars(self)

    @classmethod
    def from_env(cls, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> "Client":
        """Reads EVENT_TRIGGER_URL, EVENT_TRIGGER_TOKEN and EVENT_TRIGGER_PROJECT."""
        given = Connection.from_env()
        return cls(
            given.url, token=given.token, project=given.project, timeout=timeout, retries=retries
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def fire(
        self,
        trigger: Name,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Fired:
        """Fires a trigger once, however often the call has to be repeated."""
        return self.triggers.fire(trigger, payload, idempotency_key=idempotency_key)

    def overview(self) -> Overview:
        """Says whether all is well, and what is not."""
        answer: Overview = self.request("GET", "/overview")
        return answer

    def info(self) -> Info:
        """Gives the version, the limits and the features of the service."""
        answer: Info = self.request("GET", "/info")
        return answer

    def stats(self, measure: str, **params: Any) -> Stats:
        """Gives a measure over time: `step`, `since`, `until`, `by`."""
        params = {"measure": measure, **params}
        answer: Stats = self.request("GET", "/stats", params=params)
        return answer
