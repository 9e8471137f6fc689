"""Creates, disables and deletes destinations, and rotates their secrets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import lock_project
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.certificates import certificate_after, check_time
from event_trigger.destinations.editing import (
    Check,
    ReplacedDestination,
    forget_failures,
    get_locked,
    replace,
    store_change,
)
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.headers import check_secret, check_use, merge_headers, with_stored
from event_trigger.destinations.hearing import check_hearing
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import DestinationBody
from event_trigger.destinations.shown_secrets import check_signed
from event_trigger.destinations.signing_secrets import (
    MOST_PREVIOUS,
    Secrets,
    seal_into,
    secrets_of,
)
from event_trigger.errors import Conflict, LimitReached
from event_trigger.models import (
    SHARDS,
    Destination,
    DisabledReason,
    NoticeKind,
    SubjectKind,
    shard_of,
)
from event_trigger.notices.changes import Change, Subject, record_changes
from event_trigger.notices.repository import keep_listeners
from event_trigger.triggers.repository import Triggers
from event_trigger.vault import SealBroken, Vault, new_secret

log = structlog.get_logger()

_KEY_ROTATION_BATCH = 100


# gets the destination that a key has, locked, or None; raises a Problem for an unexpected one
PutCheck = Callable[[Destination | None], None]


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


async def create(
    session: AsyncSession,
    vault: Vault,
    owner_id: int,
    body: DestinationBody,
    *,
    most: int,
    admin_id: int | None,
) -> Destination:
    """Stores a destination; `admin_id` is the caller's if that is an admin.

    Raises TooManyDestinations if the project has `most`; 0 is no limit. Raises KeyTaken.
    """
    now = await database_now(session)
    destination = new_destination(vault, owner_id, body, now=now, admin_id=admin_id)
    destinations = Destinations(session)
    await lock_project(session, owner_id)
    if most and (used := await destinations.count_of(owner_id)) >= most:
        raise TooManyDestinations(used=used, most=most)
    await destinations.add(destination)
    if destination.notices:
        await keep_listeners(session, [destination], admin_id=admin_id)
    return destination


@dataclass(frozen=True, slots=True)
class Put:
    """The result of a PUT under a key: the destination, and whether it was created."""

    replaced: ReplacedDestination
    is_new: bool


async def put(
    session: AsyncSession,
    vault: Vault,
    owner_id: int,
    body: DestinationBody,
    *,
    most: int,
    check: PutCheck,
    admin_id: int | None,
) -> Put:
    """Creates the destination with the body's key, or replaces it.

    Locks the project first: of two calls with a new key, the second replaces the first one's row.
    `check` gets the locked destination, or None. Check a new URL before.
    """
    assert body.key is not None
    await lock_project(session, owner_id)
    destinations = Destinations(session)
    destination = await destinations.get_by_key_locked(owner_id, body.key)
    if destination is None:  # another one may have got the key while this waited for the former one
        destination = await destinations.get_by_key_locked(owner_id, body.key)
    check(destination)
    if destination is not None:
        replaced = await replace(session, vault, destination, body, admin_id=admin_id)
        return Put(replaced, is_new=False)
    made = await create(session, vault, owner_id, body, most=most, admin_id=admin_id)
    replaced = ReplacedDestination(made, (), has_new_secret=body.secret is None, warnings=[])
    return Put(replaced, is_new=True)


def new_destination(
    vault: Vault, owner_id: int, body: DestinationBody, *, now: datetime, admin_id: int | None
) -> Destination:
    """Makes the row of a new destination, with the given signing secret or a new one.

    Raises Invalid, and MissingScope.
    """
    form = RequestForm.of(body)
    form.check()
    check_secret(body.secret, form)
    check_hearing({"notices": body.notices, "all_projects": body.all_projects}, admin_id)
    destination = Destination(
        shard=shard_of(owner_id),
        owner_id=owner_id,
        key=body.key,
        url=body.url,
        format=body.format,
        method=body.method,
        template=body.template,
        content_type=body.content_type,
        subject=body.subject,
        description=body.description,
        timeout=body.timeout,
        rate_limit=body.rate_limit,
        max_concurrency=body.max_concurrency,
        notices=[*map(str, body.notices)],
        all_projects=body.all_projects,
        failures=0,
        tokens=0.0,
        created_at=now,
        updated_at=now,
    )
    certificate = certificate_after(
        None, body.client_certificate, url=body.url, moves=False, has_pair=lambda: False
    )
    check_time(certificate, now=now)
    destination.client_certificate = certificate.shown
    secret = body.secret or new_secret()
    headers = merge_headers({}, with_stored(body.headers, {}))
    check_use(headers, form)
    secrets = Secrets(secret, headers=headers)
    seal_into(destination, certificate.apply_to(secrets, owner_id=owner_id), vault)
    return destination


async def rotate_secret(
    session: AsyncSession, vault: Vault, key: OwnedId, *, named: str | None = None
) -> Destination:
    """Replaces the signing secret; for 24 hours each replaced one signs as well.

    If the old secrets cannot be decrypted any more, they are dropped together with the headers.
    Raises TooManyRotations, and NotSigned.
    """
    destination = await get_locked(session, key, named=named)
    check_signed(destination)
    now = await database_now(session)
    try:
        old = secrets_of(destination, vault)
    except SealBroken:
        log.warning("secret_lost", destination_id=destination.id)
        seal_into(destination, Secrets(new_secret()), vault)
        return await store_change(session, destination)
    if len(old.overlapping(now=now)) == MOST_PREVIOUS:
        raise TooManyRotations
    seal_into(destination, old.renewed(new_secret(), now=now), vault)
    return await store_change(session, destination)


async def disable(session: AsyncSession, key: OwnedId, *, named: str | None = None) -> Destination:
    """Disables a destination: its deliveries stay queued until they expire."""
    destination = await get_locked(session, key, named=named)
    was_enabled = destination.disabled_reason is None
    destination.disabled_reason = destination.disabled_reason or DisabledReason.BY_HAND
    await store_change(session, destination)
    if was_enabled:
        news = Change(
            NoticeKind.DESTINATION_DISABLED,
            key.owner_id,
            Subject(SubjectKind.DESTINATION, key.id),
            details={"reason": DisabledReason.BY_HAND},
        )
        await record_changes(session, key.shard, [news])
    return destination


async def enable(session: AsyncSession, key: OwnedId, *, named: str | None = None) -> Destination:
    """Enables a destination, closes its breaker and ends its hold; queued deliveries are sent."""
    destination = await get_locked(session, key, named=named)
    destination.disabled_reason = None
    forget_failures(destination)
    return await store_change(session, destination)


async def delete(
    session: AsyncSession, key: OwnedId, *, named: str | None = None, check: Check
) -> None:
    """Deletes a destination, also from its triggers; workers then give up its deliveries."""
    destination = await get_locked(session, key, named=named)
    check(destination)
    await Triggers(session).forget_destination(key)
    destination.deleted_at = await database_now(session)
    destination.disabled_reason = None  # so that workers find its queued deliveries
    await store_change(session, destination)
    if destination.notices:
        await keep_listeners(session, [destination], admin_id=None)


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
