"""Calendars: named lists of dates."""

from collections.abc import Iterator
from typing import Any

from event_trigger_client.requests import headers_of, keyed_path, new_idempotency_key
from event_trigger_client.schedules import written
from event_trigger_client.synchronous.calls import Calls
from event_trigger_client.types.calendars import Calendar, Holidays


class Calendars:
    """`/calendars`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self) -> Iterator[Calendar]:
        return self._calls.pages("/calendars")

    def get(self, key: str) -> Calendar:
        answer: Calendar = self._calls.request("GET", keyed_path("calendars", key))
        return answer

    def create(self, key: str, *, idempotency_key: str | None = None, **content: Any) -> Calendar:
        """Makes a calendar of `dates`, or of the text of an iCalendar file (`ics`)."""
        answer: Calendar = self._calls.request(
            "POST",
            "/calendars",
            json=written({"key": key, **content}),
            idempotency_key=idempotency_key or new_idempotency_key(),
        )
        return answer

    def put(self, key: str, *, if_match: str | None = None, **content: Any) -> Calendar:
        """Makes the calendar of this key, or replaces its dates."""
        answer: Calendar = self._calls.request(
            "PUT",
            keyed_path("calendars", key),
            json=written(content),
            headers=headers_of(if_match=if_match),
        )
        return answer

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        headers = headers_of(if_match=if_match)
        self._calls.request("DELETE", keyed_path("calendars", key), headers=headers)

    def holidays(self, country: str, region: str | None = None, **params: Any) -> Holidays:
        """Gives the public holidays of a `year`, to make a calendar from."""
        path = f"/calendars/holidays/{country}" + (f"/{region}" if region else "")
        answer: Holidays = self._calls.request("GET", path, params=params)
        return answer
