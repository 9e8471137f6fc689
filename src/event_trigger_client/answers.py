"""Reads answers: their JSON, their next page, and the event that a call has fired."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx

from event_trigger_client.errors import UnexpectedAnswer, shown
from event_trigger_client.messages import Message

_EMPTY = frozenset({204, 304})


@dataclass(frozen=True)
class Fired:
    """The event of a call; `is_replayed` if an earlier call with the same key made it."""

    event_id: int
    is_replayed: bool


class Change(NamedTuple):
    """A message of a stream.

    `kind` is `event`, `delivery`, `trigger`, `trigger_deleted` (its `id`), or `missed`: some
    changes of these `topics` may be missing, so read their lists again.
    """

    kind: str
    data: Any


def change_in(message: Message) -> Change:
    return Change(message.kind or "event", json.loads(message.data))


def json_in(response: httpx.Response) -> Any:
    """Reads the answer; None if it has no content, or is that of a DELETE that was done before."""
    if response.status_code in _EMPTY or response.is_error or response.request.method == "HEAD":
        return None
    if response.has_redirect_location:
        raise strange(response)
    try:
        return response.json()
    except ValueError:
        raise strange(response) from None


def fired(response: httpx.Response) -> Fired:
    try:
        event_id = int(response.headers["Event-Id"])
    except (KeyError, ValueError):
        raise strange(response) from None
    return Fired(event_id, response.headers.get("Idempotent-Replayed") == "true")


def next_query(response: httpx.Response) -> dict[str, list[str]] | None:
    """Gives the query of the next page.

    The address itself is not followed: a token goes only where its client was told to send it.
    """
    link = response.links.get("next")
    return None if link is None else parse_qs(urlsplit(link["url"]).query)


def strange(response: httpx.Response) -> UnexpectedAnswer:
    said = f"{shown(response.request.url)} does not answer as this service does"
    if response.has_redirect_location:
        said += f" ({response.status_code} to {shown(httpx.URL(response.headers['Location']))})"
    return UnexpectedAnswer(f"{said}. Is it the address of the service?")
