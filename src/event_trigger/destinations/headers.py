"""Merges and compares a destination's headers and secrets, whose values are not shown."""

import json
from collections.abc import Collection, Iterator, Mapping

from event_trigger.destinations.fields import LARGEST_HEADERS, MOST_HEADERS
from event_trigger.destinations.formats import RequestForm
from event_trigger.errors import Invalid, pointer
from event_trigger.models import DestinationFormat
from event_trigger.web.changes import Change
from event_trigger.web.http_headers import EVENT_HEADERS
from event_trigger.web.mask import MASK

_ABSENT = object()


def merge_headers(headers: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """Merges a patch into headers (RFC 7396)."""
    named = {name.lower() for name in patch}
    kept = {name: value for name, value in headers.items() if name.lower() not in named}
    merged = kept | {name: value for name, value in patch.items() if value is not None}
    if len(merged) > MOST_HEADERS or len(json.dumps(merged)) > 2 * LARGEST_HEADERS:
        raise Invalid.at(["headers"], f"A destination can have at most {MOST_HEADERS} headers.")
    return merged


def check_use(names: Collection[str], form: RequestForm) -> None:
    """Raises Invalid for headers that the service writes itself in a form of requests."""
    if names and form.is_mail:
        raise Invalid.at(["headers"], "A mail has no headers of your own: leave this out.")
    if form.format is not DestinationFormat.CLOUDEVENTS_BINARY:
        return
    written = next((name for name in names if name.lower() in EVENT_HEADERS), None)
    if written is not None:
        raise Invalid.at(
            ["headers"],
            f"In the format cloudevents_binary the service writes {written.lower()} itself. Leave"
            " this header out, give it another name, or write another format.",
        )


def with_stored(sent: Mapping[str, str | None], stored: Mapping[str, str]) -> dict[str, str | None]:
    """Replaces the stars that are shown for a value by the stored one; raises Invalid without it.

    A destination that moves to another origin has no stored values any more.
    """
    known = {name.lower(): value for name, value in stored.items()}
    if any(value == MASK and name.lower() not in known for name, value in sent.items()):
        raise Invalid.at(
            ["headers"],
            "The stars keep a value that is stored for the header and this origin, and one of these"
            " has none. Write its value.",
        )
    return {name: known[name.lower()] if value == MASK else value for name, value in sent.items()}


def keeps_all(sent: Mapping[str, str | None], names: Collection[str]) -> bool:
    """Tells whether headers are sent as they are shown: all of them, with stars for the values."""
    is_all = {name.lower() for name in sent} == {name.lower() for name in names}
    return is_all and all(value == MASK for value in sent.values())


def is_same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return _lowered(one) == _lowered(other)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def header_changes(before: Mapping[str, str | None], after: Mapping[str, str]) -> Iterator[Change]:
    """Lists the headers that differ, with stars for their values; an unknown one differs."""
    for name in {**before, **after}:
        if before.get(name, _ABSENT) != after.get(name, _ABSENT):
            shown = (MASK if name in headers else None for headers in (before, after))
            yield Change(pointer("headers", name), *shown)


def check_secret(given: str | None, form: RequestForm) -> None:
    """Raises Invalid for a signing secret that nothing would be signed with."""
    if given is not None and form.is_mail:
        raise Invalid.at(["secret"], "Mails are not signed: leave this out.")


def secret_change(before: str, after: str | None) -> Iterator[Change]:
    """Shows that the signing secret becomes another one, with stars for both; None keeps it."""
    if after is not None and after != before:
        yield Change(pointer("secret"), MASK, MASK)
