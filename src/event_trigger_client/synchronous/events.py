"""Events: what has fired."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from event_trigger_client.answers import Change, change_in
from event_trigger_client.errors import TooManyRequests, Unavailable, Unreachable
from event_trigger_client.following import SILENCE, Following
from event_trigger_client.messages import Lines, Messages
from event_trigger_client.synchronous.resource import Resource
from event_trigger_client.types.deliveries import Event, TriggerCount

log = logging.getLogger("event_trigger_client")


class Events(Resource):
    """`/events`."""

    collection = "events"

    def list(self, **filters: Any) -> Iterator[Event]:
        """Yields events, newest first, page by page; `trigger` takes keys, too."""
        for event in self._calls.pages("/events", self._named(filters)):
            yield event

    def get(self, event_id: int) -> Event:
        answer: Event = self._call("GET", event_id)
        return answer

    def counts(self, **filters: Any) -> Sequence[TriggerCount]:
        """Counts events by trigger."""
        answer: Sequence[TriggerCount] = self._calls.request(
            "GET", "/events/counts", params=self._named(filters)
        )
        return answer

    def replay(self, event_id: int, *, idempotency_key: str | None = None) -> Event:
        """Makes a new event with the same payload."""
        path = self._path(event_id, "replay")
        answer: Event = self._create(path, None, idempotency_key)
        return answer

    def export(self, format: str = "ndjson", **filters: Any) -> Iterator[str]:  # noqa: A002
        """Yields the lines of an export, as `ndjson` or as `csv`."""
        params = {"format": format, **self._named(filters)}
        lines = Lines()
        with self._calls.stream("/events/export", params) as response:
            for piece in response.iter_bytes():
                for line in lines.feed(piece):
                    yield line
        for line in lines.end():
            yield line

    def follow(
        self, *, after: int | None = None, silence: float = SILENCE, **filters: Any
    ) -> Generator[Event, None, None]:
        """Yields each event as it is committed, none twice, and none is lost in between.

        It begins after the event `after`, or with the first one to come, and goes on after a
        restart of the service and after a broken connection, for as long as that takes. It ends
        with `until`, and raises a Problem when its token ends.
        """
        with closing(self.changes(after=after, silence=silence, **filters)) as changes:
            for change in changes:
                yield change.data

    def changes(
        self,
        topics: Sequence[str] = ("events",),
        *,
        after: int | None = None,
        silence: float = SILENCE,
        **filters: Any,
    ) -> Generator[Change, None, None]:
        """Yields events, and with other `topics` what becomes of `deliveries` and `triggers`.

        These are not sent again after a broken connection: a `missed` then names their topics.
        """
        filters = self._named(filters)
        following = Following(topics, filters, self._calls.retries)
        if after is None:
            after = self._newest(filters)
        following.position = after
        while not following.is_over:
            try:
                with self._calls.stream(
                    "/events/stream", following.params, following.headers, silence=silence
                ) as response:
                    for missed in following.opened(response):
                        yield missed
                    messages = Messages()
                    for piece in response.iter_bytes():
                        for message in messages.feed(piece):
                            following.take(message)
                            if message.data:
                                yield change_in(message)
                following.closed()
            except (Unreachable, Unavailable, TooManyRequests) as error:
                following.failed(error)
            if not following.is_over:
                log.info("The stream of events is broken; it is opened again.")
                time.sleep(following.wait)

    def _newest(self, filters: Mapping[str, Any]) -> int:
        """Gives the id of the newest event, after which a stream begins; 0 without one.

        So no event is lost if the very first connection breaks before anything has come.
        """
        newest = {**filters, "limit": 1, "view": "summary"}
        found = self._calls.request("GET", "/events", params=newest)
        return found[0]["id"] if found else 0
