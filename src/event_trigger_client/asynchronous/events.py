"""Events: what has fired."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from event_trigger_client.answers import Change, change_in
from event_trigger_client.asynchronous.resource import AsyncResource
from event_trigger_client.errors import TooManyRequests, Unavailable, Unreachable
from event_trigger_client.following import SILENCE, Following
from event_trigger_client.messages import Lines, Messages
from event_trigger_client.types.deliveries import Event, TriggerCount

log = logging.getLogger("event_trigger_client")


class AsyncEvents(AsyncResource):
    """`/events`."""

    collection = "events"

    async def list(self, **filters: Any) -> AsyncIterator[Event]:
        """Yields events, newest first, page by page; `trigger` takes keys, too."""
        async for event in self._calls.pages("/events", await self._named(filters)):
            yield event

    async def get(self, event_id: int) -> Event:
        answer: Event = await self._call("GET", event_id)
        return answer

    async def counts(self, **filters: Any) -> Sequence[TriggerCount]:
        """Counts events by trigger."""
        answer: Sequence[TriggerCount] = await self._calls.request(
            "GET", "/events/counts", params=await self._named(filters)
        )
        return answer

    async def replay(self, event_id: int, *, idempotency_key: str | None = None) -> Event:
        """Makes a new event with the same payload."""
        path = self._path(event_id, "replay")
        answer: Event = await self._create(path, None, idempotency_key)
        return answer

    async def export(self, format: str = "ndjson", **filters: Any) -> AsyncIterator[str]:  # noqa: A002
        """Yields the lines of an export, as `ndjson` or as `csv`."""
        params = {"format": format, **await self._named(filters)}
        lines = Lines()
        async with self._calls.stream("/events/export", params) as response:
            async for piece in response.aiter_bytes():
                for line in lines.feed(piece):
                    yield line
        for line in lines.end():
            yield line

    async def follow(
        self, *, after: int | None = None, silence: float = SILENCE, **filters: Any
    ) -> AsyncGenerator[Event, None]:
        """Yields each event as it is committed, none twice, and none is lost in between.

        It begins after the event `after`, or with the first one to come, and goes on after a
        restart of the service and after a broken connection, for as long as that takes. It ends
        with `until`, and raises a Problem when its token ends.
        """
        async with aclosing(self.changes(after=after, silence=silence, **filters)) as changes:
            async for change in changes:
                yield change.data

    async def changes(
        self,
        topics: Sequence[str] = ("events",),
        *,
        after: int | None = None,
        silence: float = SILENCE,
        **filters: Any,
    ) -> AsyncGenerator[Change, None]:
        """Yields events, and with other `topics` what becomes of `deliveries` and `triggers`.

        These are not sent again after a broken connection: a `missed` then names their topics.
        """
        filters = await self._named(filters)
        following = Following(topics, filters, self._calls.retries)
        if after is None:
            after = await self._newest(filters)
        following.position = after
        while not following.is_over:
            try:
                async with self._calls.stream(
                    "/events/stream", following.params, following.headers, silence=silence
                ) as response:
                    for missed in following.opened(response):
                        yield missed
                    messages = Messages()
                    async for piece in response.aiter_bytes():
                        for message in messages.feed(piece):
                            following.take(message)
                            if message.data:
                                yield change_in(message)
                following.closed()
            except (Unreachable, Unavailable, TooManyRequests) as error:
                following.failed(error)
            if not following.is_over:
                log.info("The stream of events is broken; it is opened again.")
                await asyncio.sleep(following.wait)

    async def _newest(self, filters: Mapping[str, Any]) -> int:
        """Gives the id of the newest event, after which a stream begins; 0 without one.

        So no event is lost if the very first connection breaks before anything has come.
        """
        newest = {**filters, "limit": 1, "view": "summary"}
        found = await self._calls.request("GET", "/events", params=newest)
        return found[0]["id"] if found else 0
