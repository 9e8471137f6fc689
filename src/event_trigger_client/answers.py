"""Reads answers: their JSON, their next page, and the event that a call has fired."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from event_trigger_client.errors import UnexpectedAnswer


@dataclass(frozen=True)
class Fired:
    """The event of a call; `is_replayed` if an earlier call with the same key made it."""

    event_id: int
    is_replayed: bool


def json_in(response: httpx.Response) -> Any:
    if not response.content or response.is_error:  # of a DELETE that was done before
        return None
    try:
        return response.json()
    except ValueError:
        raise UnexpectedAnswer(_strange(response)) from None


def fired(response: httpx.Response) -> Fired:
    try:
        event_id = int(response.headers["Event-Id"])
    except (KeyError, ValueError):
        raise UnexpectedAnswer(_strange(response)) from None
    return Fired(event_id, response.headers.get("Idempotent-Replayed") == "true")


def next_query(response: httpx.Response) -> dict[str, list[str]] | None:
    """Gives the query of the next page.

    The address itself is not followed: a token goes only where its client was told to send it.
    """
    link = response.links.get("next")
    return None if link is None else parse_qs(urlsplit(link["url"]).query)


def _strange(response: httpx.Response) -> str:
    url = response.request.url
    return f"{url} does not answer as this service does. Is it the address of the service?"
