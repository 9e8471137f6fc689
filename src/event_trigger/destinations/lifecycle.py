"""Creating, changing, rotating and disabling: what may become of a destination."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.address_policy import Address, AddressPolicy
from event_trigger.destinations.dns import Lookup
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import (
    LARGEST_HEADERS,
    MOST_HEADERS,
    DestinationCreate,
    DestinationUpdate,
)
from event_trigger.destinations.signing_secrets import RetiredSecret, Secrets, seal_into, secrets_of
from event_trigger.destinations.urls import Target, UrlRefused, is_same_origin, parse_target
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import SHARDS, Destination, DisabledReason, shard_of
from event_trigger.triggers.repository import Triggers
from event_trigger.vault import SealBroken, Vault, new_secret

log = structlog.get_logger()

PREVIOUS_SIGNS_FOR = timedelta(hours=24)
MOST_PREVIOUS = 5  # each is a signature more in every request
_LOOKUP_WITHIN = 2.0  # seconds
_BATCH = 100
_NOT_PUBLIC = (
    "This address is not public; only what the operator allows (EVENT_TRIGGER_WEBHOOK_ALLOW) may"
    " be called."
)
_MOVED = (
    "The URL has another origin, so there is a new signing secret: it is in this answer, and the"
    " old one signs no longer."
)
_NOT_ENCRYPTED = (
    "Use https; plain http is only for addresses that the operator allows"
    " (EVENT_TRIGGER_WEBHOOK_ALLOW)."
)


class RotatedOften(Conflict):
    slug, title = "secret-replaced-often", "The secret was replaced too often"
    default_detail = (
        f"The secret was replaced {MOST_PREVIOUS} times within 24 hours, and all of them still"
        " sign. Wait, or make another destination."
    )


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many were sealed anew, and the ids of those that cannot be read."""

    count: int
    unreadable: Sequence[int]


@dataclass(frozen=True, slots=True)
class Changed:
    """A destination after a patch, and what its owner has to know about it."""

    destination: Destination
    has_new_secret: bool
    warnings: list[str]


async def check_url(url: str, guard: AddressPolicy, lookup: Lookup) -> None:
    """Refuses what would be refused when connecting, as far as that can be known by now.

    A name without an address may get one: it is looked up again for every connection.
    """
    try:
        target = parse_target(url)
    except UrlRefused as refused:
        raise Invalid.at(["url"], str(refused)) from None
    addresses = await _addresses_of(target, lookup)
    if not all(guard.may_call(one, is_encrypted=True) for one in addresses):
        raise Invalid.at(["url"], _NOT_PUBLIC)
    if target.is_encrypted:
        return
    if not addresses or not all(guard.may_call(one, is_encrypted=False) for one in addresses):
        raise Invalid.at(["url"], _NOT_ENCRYPTED)


async def _addresses_of(target: Target, lookup: Lookup) -> list[Address]:
    if not isinstance(target.host, str):
        return [target.host]
    name = target.host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return [ip_address("127.0.0.1")]
    try:
        found = await asyncio.wait_for(lookup(target.host, target.port), _LOOKUP_WITHIN)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return [ip_address(one) for one in found]


async def create(
    session: AsyncSession, vault: Vault, owner_id: int, body: DestinationCreate
) -> Destination:
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
    secrets = Secrets(new_secret(), headers=_merged({}, body.headers))
    seal_into(destination, secrets, vault)
    await Destinations(session).add(destination)
    return destination


async def change(
    session: AsyncSession, vault: Vault, key: OwnedId, body: DestinationUpdate
) -> Changed:
    """Applies a merge patch; attempts that are under way end as they began.

    A URL of another origin drops the headers and the signing secrets of the old one, so that a
    caller that may only write cannot have them sent to itself.
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
        headers = {} if body.headers is None else _merged(old.headers, body.headers)
        seal_into(destination, replace(old, headers=headers), vault)
    warnings = _warnings_of_move(names, destination.header_names) if moves else []
    return Changed(await _changed(session, destination), moves, warnings)


def _warnings_of_move(before: Sequence[str], after: Sequence[str]) -> list[str]:
    still = {name.lower() for name in after}
    dropped = [name for name in before if name.lower() not in still]
    if not dropped:
        return [_MOVED]
    return [_MOVED, f"Headers of the old origin are not sent to the new one: {', '.join(dropped)}."]


async def rotate_secret(session: AsyncSession, vault: Vault, key: OwnedId) -> Destination:
    """Makes a new secret; each that was replaced signs too for 24 hours.

    Where they cannot be read any more it begins anew, without the headers that were sealed with
    them.
    """
    destination, now = await get_locked(session, key), await database_now(session)
    try:
        old = secrets_of(destination, vault)
        replaced = RetiredSecret(old.current, now + PREVIOUS_SIGNS_FOR), *old.overlapping(now=now)
        renewed = Secrets(new_secret(), replaced, old.headers)
    except SealBroken:
        log.warning("secret_lost", destination_id=destination.id)
        renewed = Secrets(new_secret())
    if len(renewed.previous) > MOST_PREVIOUS:
        raise RotatedOften
    seal_into(destination, renewed, vault)
    return await _changed(session, destination)


async def disable(session: AsyncSession, key: OwnedId) -> Destination:
    """Its deliveries wait, for as long as exhausted ones are kept."""
    destination = await get_locked(session, key)
    destination.disabled_reason = destination.disabled_reason or DisabledReason.BY_HAND
    return await _changed(session, destination)


async def enable(session: AsyncSession, key: OwnedId) -> Destination:
    """What waits is sent, and what failed before is forgotten."""
    destination = await get_locked(session, key)
    destination.disabled_reason = None
    _forget_failures(destination)
    return await _changed(session, destination)


async def delete(session: AsyncSession, key: OwnedId) -> None:
    """Takes it off its triggers too; what was on its way there is given up, on record."""
    destination = await get_locked(session, key)
    await Triggers(session).forget_destination(key)
    destination.deleted_at = await database_now(session)
    destination.disabled_reason = None  # what waits for it must not wait any more
    await _changed(session, destination)


async def get_locked(session: AsyncSession, key: OwnedId) -> Destination:
    destination = await Destinations(session).get_locked(key)
    if destination is None:
        raise NotFound
    return destination


async def rotate_keys(sessions: Sessions, vault: Vault) -> Rotated:
    """Seals everything under the current key, a batch at a time, but for what cannot be read."""
    count, unreadable = 0, []
    for shard in range(SHARDS):
        after = 0
        while True:
            async with sessions.begin() as session:
                found = await Destinations(session).list_under_other_keys(
                    shard, vault.current, after=after, limit=_BATCH
                )
                for one in found:
                    try:
                        seal_into(one, secrets_of(one, vault), vault)
                    except SealBroken:
                        unreadable.append(one.id)
            count += len(found)
            if len(found) < _BATCH:
                break
            after = found[-1].id
    return Rotated(count - len(unreadable), unreadable)


async def _changed(session: AsyncSession, destination: Destination) -> Destination:
    destination.updated_at = await database_now(session)
    await session.flush()
    await notify(session, DELIVERIES_CHANGED)
    return destination


def _forget_failures(destination: Destination) -> None:
    destination.failures, destination.window, destination.probe_at = 0, None, None
    destination.held_until = None


def _merged(headers: dict[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """RFC 7396 for headers, whose names have no case."""
    named = {name.lower() for name in patch}
    kept = {name: value for name, value in headers.items() if name.lower() not in named}
    merged = kept | {name: value for name, value in patch.items() if value is not None}
    if len(merged) > MOST_HEADERS or len(json.dumps(merged)) > 2 * LARGEST_HEADERS:
        raise Invalid.at(["headers"], f"A destination has {MOST_HEADERS} headers at the most.")
    return merged
