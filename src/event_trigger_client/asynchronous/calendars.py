"""Calendars: named lists of dates."""

from collections.abc import AsyncIterator
from typing import Any

from event_trigger_client.asynchronous.calls import AsyncCalls
from event_trigger_client.requests import headers_of, keyed_path, new_idempotency_key
from event_trigger_client.schedules import written
from event_trigger_client.types.calendars import Calendar, Holidays


class AsyncCalendars:
    """`/calendars`."""

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def list(self) -> AsyncIterator[Calendar]:
        return self._calls.pages("/calendars")

    async def get(self, key: str) -> Calendar:
        answer: Calendar = await self._calls.request("GET", keyed_path("calendars", key))
        return answer

    async def create(
        self, key: str, *, idempotency_key: str | None = None, **content: Any
    ) -> Calendar:
        """Makes a calendar of `dates`, or of the text of an iCalendar file (`ics`)."""
        answer: Calendar = await self._calls.request(
            "POST",
            "/calendars",
            json=written({"key": key, **content}),
            idempotency_key=idempotency_key or new_idempotency_key(),
        )
        return answer

    async def put(self, key: str, *, if_match: str | None = None, **content: Any) -> Calendar:
        """Makes the calendar of this key, or replaces its dates."""
        answer: Calendar = await self._calls.request(
            "PUT",
            keyed_path("calendars", key),
            json=written(content),
            headers=headers_of(if_match=if_match),
        )
        return answer

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        headers = headers_of(if_match=if_match)
        await self._calls.request("DELETE", keyed_path("calendars", key), headers=headers)

    async def holidays(self, country: str, region: str | None = None, **params: Any) -> Holidays:
        """Gives the public holidays of a `year`, to make a calendar from."""
        path = f"/calendars/holidays/{country}" + (f"/{region}" if region else "")
        answer: Holidays = await self._calls.request("GET", path, params=params)
        return answer
