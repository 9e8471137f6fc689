"""Creates, changes, disables and deletes destinations, and rotates their secrets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.project_lock import lock_project
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import (
    LARGEST_HEADERS,
    MOST_HEADERS,
    DestinationCreate,
    DestinationUpdate,
)
from event_trigger.destinations.signing_secrets import RetiredSecret, Secrets, seal_into, secrets_of
from event_trigger.destinations.urls import is_same_origin
from event_trigger.errors import Conflict, Invalid, LimitReached, NotFound
from event_trigger.models import SHARDS, Destination, DisabledReason, shard_of
from event_trigger.triggers.repository import Triggers
from event_trigger.vault import SealBroken, Vault, new_secret

log = structlog.get_logger()

PREVIOUS_SIGNS_FOR = timedelta(hours=24)
MOST_PREVIOUS = 5  # secrets; each adds a signature to every request
_KEY_ROTATION_BATCH = 100
_NEW_ORIGIN = (
    "The URL has another origin, so there is a new signing secret. It is in this response; the old"
    " one is no longer used."
)


class TooManyRotations(Conflict):
    slug, title = "secret-replaced-often", "The secret was replaced too often"
    default_detail = (
        f"The secret was replaced {MOST_PREVIOUS} times within 24 hours, and all old secrets still"
        " sign. Wait, or create another destination."
    )


class TooManyDestinations(LimitReached):
    slug, title = "too-many-destinations", "The project has too many destinations"
    counted, setting = "destinations", "EVENT_TRIGGER_MAX_DESTINATIONS"
    instead = "Delete one"


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """The result of a key rotation: rows sealed under the new key, and ids of unreadable rows."""

    count: int
    unreadable: Sequence[int]


@dataclass(frozen=True, slots=True)
class ChangedDestination:
    """A destination after a patch, with warnings for its owner."""

    destination: Destination
    has_new_secret: bool
    warnings: list[str]


async def create(
    session: AsyncSession, vault: Vault, owner_id: int, body: DestinationCreate, *, most: int
) -> Destination:
    """Stores a destination; raises TooManyDestinations if the project has `most` (0: no limit)."""
    now = await database_now(session)
    destination = Destination(
        shard=shard_of(owner_id),
        owner_id=owner_id,
        url=body.url,
        description=body.description,
        timeout=body.timeout,
        rate_limit=body.rate_limit,
        max_concurrency=body.max_concurrency,
        failures=0,
        tokens=0.0,
        created_at=now,
        updated_at=now,
    )
    secrets = Secrets(new_secret(), headers=_merge_headers({}, body.headers))
    seal_into(destination, secrets, vault)
    destinations = Destinations(session)
    await lock_project(session, owner_id)
    if most and (used := await destinations.count_of(owner_id)) >= most:
        raise TooManyDestinations(used=used, most=most)
    await destinations.add(destination)
    return destination


async def change(
    session: AsyncSession, vault: Vault, key: OwnedId, body: DestinationUpdate
) -> ChangedDestination:
    """Applies a merge patch; attempts under way are not affected.

    A URL of another origin drops the headers and the signing secrets of the old one. Otherwise a
    caller with write access only could have them sent to its own server.
    """
    destination = await get_locked(session, key)
    moves = "url" in body.model_fields_set and not is_same_origin(destination.url, body.url)
    names = destination.header_names
    for name in body.model_fields_set - {"headers"}:
        value = getattr(body, name)
        default = DestinationCreate.model_fields[name].default
        setattr(destination, name, default if value is None else value)
    if "url" in body.model_fields_set:
        _forget_failures(destination)
    if moves or "headers" in body.model_fields_set:
        old = Secrets(new_secret()) if moves else secrets_of(destination, vault)
        headers = {} if body.headers is None else _merge_headers(old.headers, body.headers)
        seal_into(destination, replace(old, headers=headers), vault)
    warnings = _origin_warnings(before=names, after=destination.header_names) if moves else []
    destination = await _store_change(session, destination)
    return ChangedDestination(destination, moves, warnings)


def _origin_warnings(*, before: Sequence[str], after: Sequence[str]) -> list[str]:
    kept = {name.lower() for name in after}
    dropped = [name for name in before if name.lower() not in kept]
    if not dropped:
        return [_NEW_ORIGIN]
    return [
        _NEW_ORIGIN,
        f"Headers of the old origin are not sent to the new one: {', '.join(dropped)}.",
    ]


async def rotate_secret(session: AsyncSession, vault: Vault, key: OwnedId) -> Destination:
    """Replaces the signing secret; for 24 hours each replaced one signs as well.

    If the old secrets cannot be decrypted any more, they are dropped together with the headers.
    Raises TooManyRotations.
    """
    destination, now = await get_locked(session, key), await database_now(session)
    try:
        old = secrets_of(destination, vault)
        previous = RetiredSecret(old.current, now + PREVIOUS_SIGNS_FOR), *old.overlapping(now=now)
        renewed = Secrets(new_secret(), previous, old.headers)
    except SealBroken:
        log.warning("secret_lost", destination_id=destination.id)
        renewed = Secrets(new_secret())
    if len(renewed.previous) > MOST_PREVIOUS:
        raise TooManyRotations
    seal_into(destination, renewed, vault)
    return await _store_change(session, destination)


async def disable(session: AsyncSession, key: OwnedId) -> Destination:
    """Disables a destination: its deliveries stay queued until they expire."""
    destination = await get_locked(session, key)
    destination.disabled_reason = destination.disabled_reason or DisabledReason.BY_HAND
    return await _store_change(session, destination)


async def enable(session: AsyncSession, key: OwnedId) -> Destination:
    """Enables a destination, closes its breaker and ends its hold; queued deliveries are sent."""
    destination = await get_locked(session, key)
    destination.disabled_reason = None
    _forget_failures(destination)
    return await _store_change(session, destination)


async def delete(session: AsyncSession, key: OwnedId) -> None:
    """Deletes a destination, also from its triggers; workers then give up its deliveries."""
    destination = await get_locked(session, key)
    await Triggers(session).forget_destination(key)
    destination.deleted_at = await database_now(session)
    destination.disabled_reason = None  # so that workers find its queued deliveries
    await _store_change(session, destination)


async def get_locked(session: AsyncSession, key: OwnedId) -> Destination:
    destination = await Destinations(session).get_locked(key)
    if destination is None:
        raise NotFound
    return destination


async def rotate_keys(sessions: Sessions, vault: Vault) -> KeyRotation:
    """Seals all destinations' secrets under the current key, in batches; skips unreadable ones."""
    count, unreadable = 0, []
    for shard in range(SHARDS):
        after = 0
        while True:
            async with sessions.begin() as session:
                batch = await Destinations(session).list_under_other_keys(
                    shard, vault.current, after=after, limit=_KEY_ROTATION_BATCH
                )
                for one in batch:
                    try:
                        seal_into(one, secrets_of(one, vault), vault)
                    except SealBroken:
                        unreadable.append(one.id)
            count += len(batch)
            if len(batch) < _KEY_ROTATION_BATCH:
                break
            after = batch[-1].id
    return KeyRotation(count - len(unreadable), unreadable)


async def _store_change(session: AsyncSession, destination: Destination) -> Destination:
    destination.updated_at = await database_now(session)
    await session.flush()
    await notify(session, DELIVERIES_CHANGED)
    return destination


def _forget_failures(destination: Destination) -> None:
    destination.failures, destination.window, destination.probe_at = 0, None, None
    destination.held_until = None


def _merge_headers(headers: dict[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """Merges a patch into headers (RFC 7396), whose names have no case."""
    named = {name.lower() for name in patch}
    kept = {name: value for name, value in headers.items() if name.lower() not in named}
    merged = kept | {name: value for name, value in patch.items() if value is not None}
    if len(merged) > MOST_HEADERS or len(json.dumps(merged)) > 2 * LARGEST_HEADERS:
        raise Invalid.at(["headers"], f"A destination can have at most {MOST_HEADERS} headers.")
    return merged
