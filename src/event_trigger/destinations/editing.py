"""Changes destinations: by a merge patch, or by a whole body that replaces the configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as copied
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.headers import (
    header_changes,
    is_same,
    keeps_all,
    merge_headers,
    with_stored,
)
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import DestinationBody, DestinationUpdate
from event_trigger.destinations.signing_secrets import Secrets, seal_into, secrets_of
from event_trigger.destinations.urls import is_same_origin
from event_trigger.errors import NotFound
from event_trigger.instants import just_after
from event_trigger.models import Destination
from event_trigger.vault import Vault, new_secret
from event_trigger.web.changes import Change, changes_between
from event_trigger.web.entity_tags import etag
from event_trigger.web.keys import refusing_taken_key

_COLUMNS = ("key", "url", "description", "timeout", "rate_limit", "max_concurrency")
_NEW_ORIGIN = (
    "The URL has another origin, so there is a new signing secret. It is in this response; the old"
    " one is no longer used."
)

Check = Callable[[Destination], None]  # raises a Problem for a row that is not as expected


@dataclass(frozen=True, slots=True)
class ReplacedDestination:
    """A destination after a change, the places that differ, and warnings for its owner."""

    destination: Destination
    changes: Sequence[Change]
    has_new_secret: bool
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Columns, and headers with stars for stored values; `merges` keeps all other headers."""

    columns: dict[str, Any]
    headers: Mapping[str, str | None]
    merges: bool


async def change(
    session: AsyncSession, vault: Vault, key: OwnedId, body: DestinationUpdate, *, check: Check
) -> ReplacedDestination:
    """Applies a merge patch after `check` of the locked row; attempts under way go on."""
    destination = await get_locked(session, key)
    check(destination)
    columns = _columns_of(destination)
    for name in body.model_fields_set.intersection(_COLUMNS):
        value = getattr(body, name)
        default = DestinationBody.model_fields[name].default
        columns[name] = default if value is None else value
    merges = "headers" not in body.model_fields_set or body.headers is not None
    return await _apply(session, vault, destination, _Wanted(columns, body.headers or {}, merges))


async def replace(
    session: AsyncSession, vault: Vault, destination: Destination, body: DestinationBody
) -> ReplacedDestination:
    """Gives a locked destination the configuration of a whole body.

    Absent fields mean their default, stars keep a header's value, and it stays disabled if it is.
    The same content again changes nothing. Check a new URL before. Raises KeyTaken and Invalid.
    """
    columns = {name: getattr(body, name) for name in _COLUMNS}
    return await _apply(session, vault, destination, _Wanted(columns, body.headers, merges=False))


async def _apply(
    session: AsyncSession, vault: Vault, destination: Destination, wanted: _Wanted
) -> ReplacedDestination:
    """Gives a locked destination another configuration; writes nothing if it means the same.

    A URL of another origin drops the headers and the signing secrets of the old one. Otherwise a
    caller with write access only could have them sent to its own server.
    """
    before, names, url = _columns_of(destination), destination.header_names, wanted.columns["url"]
    moves = url != destination.url and not is_same_origin(destination.url, url)
    if moves:
        wanted = copied(wanted, merges=False)
    secrets, changed_headers = _changed_secrets(destination, vault, wanted, moves=moves)
    changes = [*changes_between(before, wanted.columns), *changed_headers]
    if not changes:
        return ReplacedDestination(destination, (), has_new_secret=False, warnings=[])
    for name, value in wanted.columns.items():
        setattr(destination, name, value)
    if url != before["url"]:
        forget_failures(destination)
    if secrets is not None:
        seal_into(destination, secrets, vault)
    warnings = _origin_warnings(before=names, after=destination.header_names) if moves else []
    with refusing_taken_key(destination.key):
        await store_change(session, destination)
    return ReplacedDestination(destination, changes, moves, warnings)


def _columns_of(destination: Destination) -> dict[str, Any]:
    return {name: getattr(destination, name) for name in _COLUMNS}


def _changed_secrets(
    destination: Destination, vault: Vault, wanted: _Wanted, *, moves: bool
) -> tuple[Secrets | None, list[Change]]:
    """Returns the secrets with other headers, or None if they stay; and the headers that differ.

    Decrypts nothing if the headers are sent as they are shown, or not sent.
    """
    sent, names = wanted.headers, destination.header_names
    if moves:
        headers = merge_headers({}, with_stored(sent, {}))
        return Secrets(new_secret(), headers=headers), [
            *header_changes(dict.fromkeys(names), headers)
        ]
    if keeps_all(sent, names) or (wanted.merges and not sent):
        return None, []
    old = secrets_of(destination, vault)
    merged = merge_headers(old.headers if wanted.merges else {}, with_stored(sent, old.headers))
    if is_same(merged, old.headers):
        return None, []
    return copied(old, headers=merged), [*header_changes(old.headers, merged)]


def _origin_warnings(*, before: Sequence[str], after: Sequence[str]) -> list[str]:
    kept = {name.lower() for name in after}
    dropped = [name for name in before if name.lower() not in kept]
    if not dropped:
        return [_NEW_ORIGIN]
    return [
        _NEW_ORIGIN,
        f"Headers of the old origin are not sent to the new one: {', '.join(dropped)}.",
    ]


async def get_locked(
    session: AsyncSession, key: OwnedId, *, named: str | None = None
) -> Destination:
    """Locks a destination until the commit; raises NotFound.

    `named` is the key that it was found by: it may have lost that since.
    """
    destination = await Destinations(session).get_locked(key)
    if destination is None or (named is not None and destination.key != named):
        raise NotFound
    return destination


async def store_change(session: AsyncSession, destination: Destination) -> Destination:
    """Dates and stores a change, and wakes the senders."""
    now = await database_now(session)
    destination.updated_at = max(now, just_after(destination.updated_at))
    await session.flush()
    await notify(session, DELIVERIES_CHANGED)
    return destination


def etag_of(destination: Destination) -> str:
    """Tags the configuration: each change by a person moves `updated_at`, and no delivery does."""
    return etag("destination", destination.id, destination.updated_at)


def forget_failures(destination: Destination) -> None:
    destination.failures, destination.window, destination.probe_at = 0, None, None
    destination.held_until = None
