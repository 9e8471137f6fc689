"""Changes destinations: by a merge patch, or by a whole body that replaces the configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as copied
from datetime import datetime
from types import EllipsisType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.certificates import (
    CertificateChange,
    ClientCertificateWrite,
    certificate_after,
    check_time,
)
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.headers import (
    check_secret,
    check_use,
    header_changes,
    is_same,
    keeps_all,
    merge_headers,
    secret_change,
    with_stored,
)
from event_trigger.destinations.hearing import check_hearing
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import DestinationBody, DestinationUpdate
from event_trigger.destinations.signing_secrets import Secrets, seal_into, secrets_of
from event_trigger.destinations.urls import is_same_origin
from event_trigger.errors import NotFound
from event_trigger.instants import just_after
from event_trigger.models import Destination
from event_trigger.notices.repository import keep_listeners
from event_trigger.vault import SealBroken, Vault, new_secret
from event_trigger.web.changes import Change, changes_between
from event_trigger.web.entity_tags import etag
from event_trigger.web.keys import refusing_taken_key

_FORM_COLUMNS = ("url", "format", "method", "template", "content_type", "subject")
_COLUMNS = (
    *_FORM_COLUMNS,
    *("key", "description", "timeout", "rate_limit", "max_concurrency", "notices", "all_projects"),
)
_NEW_ORIGIN = (
    "The URL has another origin, so there is a new signing secret. It is in this response; the old"
    " one is no longer used."
)
_NO_CERTIFICATE = "The client certificate of the old origin is not used for the new one."
_NEW_ORIGIN_GIVEN = "The URL has another origin, so the old signing secret is no longer used."

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
    """Columns, and headers with stars for stored values; `merges` keeps all other headers.

    A `certificate` that is `...` stays. Without a `secret`, the signing secret stays, or is made.
    """

    columns: dict[str, Any]
    headers: Mapping[str, str | None]
    secret: str | None = field(repr=False)
    merges: bool
    certificate: ClientCertificateWrite | EllipsisType | None
    admin_id: int | None


async def change(
    session: AsyncSession,
    vault: Vault,
    key: OwnedId,
    body: DestinationUpdate,
    *,
    check: Check,
    admin_id: int | None,
) -> ReplacedDestination:
    """Applies a merge patch after `check` of the locked row; attempts under way go on.

    `admin_id` is the caller's if that is an admin: others may not let it hear of all projects.
    """
    destination = await get_locked(session, key)
    check(destination)
    merges = "headers" not in body.model_fields_set or body.headers is not None
    is_sent = "client_certificate" in body.model_fields_set
    certificate = body.client_certificate if is_sent else ...
    columns, headers = _merged(destination, body), body.headers or {}
    wanted = _Wanted(columns, headers, body.secret, merges, certificate, admin_id)
    return await _apply(session, vault, destination, wanted)


async def replace(
    session: AsyncSession,
    vault: Vault,
    destination: Destination,
    body: DestinationBody,
    *,
    admin_id: int | None,
) -> ReplacedDestination:
    """Gives a locked destination the configuration of a whole body.

    Absent fields mean their default, stars keep a header's value, and it stays disabled if it is.
    The same content again changes nothing. Check a new URL before. Raises KeyTaken and Invalid.
    """
    columns = {name: getattr(body, name) for name in _COLUMNS}
    certificate = body.client_certificate
    wanted = _Wanted(columns, body.headers, body.secret, False, certificate, admin_id)
    return await _apply(session, vault, destination, wanted)


async def _apply(
    session: AsyncSession, vault: Vault, destination: Destination, wanted: _Wanted
) -> ReplacedDestination:
    """Gives a locked destination another configuration; writes nothing if it means the same.

    A URL of another origin drops the headers, the client certificate and the signing secrets of the
    old one. Otherwise a caller with write access only could have them sent to its own server.
    """
    before, url = _columns_of(destination), wanted.columns["url"]
    names, shown = destination.header_names, destination.client_certificate
    moves = url != destination.url and not is_same_origin(destination.url, url)
    if moves:
        wanted = copied(wanted, merges=False)
    now = await database_now(session)
    certificate = _certificate_after(destination, vault, wanted, moves=moves)
    if certificate.pair is not None:
        check_time(certificate, now=now)
    secrets, changed_secrets = _changed_secrets(destination, vault, wanted, moves=moves, now=now)
    if certificate.pair is not None or certificate.shown != shown:
        secrets = _with_certificate(certificate, secrets, destination, vault)
    before |= {"client_certificate": shown}
    after = {**wanted.columns, "client_certificate": certificate.shown}
    changes = [*changes_between(before, after), *changed_secrets, *certificate.changes]
    if not changes:
        return ReplacedDestination(destination, (), has_new_secret=False, warnings=[])
    form = RequestForm.within(wanted.columns)
    form.check()
    check_secret(wanted.secret, form)
    check_hearing(after, wanted.admin_id)
    for name, value in after.items():
        setattr(destination, name, value)
    if url != before["url"]:
        forget_failures(destination)
    if secrets is not None:
        seal_into(destination, secrets, vault)
    if secrets is not None or destination.format != before["format"]:
        check_use(destination.header_names, form)
    makes_secret, warnings = moves and wanted.secret is None and not form.is_mail, []
    if moves:
        if not form.is_mail:
            warnings = [_NEW_ORIGIN if makes_secret else _NEW_ORIGIN_GIVEN]
        warnings += _dropped_headers(before=names, after=destination.header_names)
        if shown is not None and certificate.shown is None:
            warnings.append(_NO_CERTIFICATE)
    with refusing_taken_key(destination.key):
        await store_change(session, destination)
    if before["notices"] or destination.notices:
        await keep_listeners(session, [destination], admin_id=wanted.admin_id)
    return ReplacedDestination(destination, changes, makes_secret, warnings)


def changed_form(destination: Destination, body: DestinationUpdate) -> RequestForm:
    """Returns the form of requests after a merge patch; checks nothing."""
    return RequestForm.within(_merged(destination, body))


def _merged(destination: Destination, body: DestinationUpdate) -> dict[str, Any]:
    columns = _columns_of(destination)
    for name in body.model_fields_set.intersection(_COLUMNS):
        value = getattr(body, name)
        columns[name] = _default_of(name) if value is None else value
    return columns


def _default_of(name: str) -> Any:
    field = DestinationBody.model_fields[name]
    return field.get_default(call_default_factory=True, validated_data={})


def _certificate_after(
    destination: Destination, vault: Vault, wanted: _Wanted, *, moves: bool
) -> CertificateChange:
    stored, url = destination.client_certificate, wanted.columns["url"]
    if isinstance(wanted.certificate, EllipsisType):
        return CertificateChange(None if moves else stored)

    def has_pair() -> bool:
        return secrets_of(destination, vault).client_certificate is not None

    return certificate_after(stored, wanted.certificate, url=url, moves=moves, has_pair=has_pair)


def _with_certificate(
    certificate: CertificateChange, secrets: Secrets | None, destination: Destination, vault: Vault
) -> Secrets | None:
    """Changes the certificate in the secrets, which are the stored ones if none are given.

    A certificate can be removed if they cannot be decrypted: None leaves them as they are, and a
    pair of which nothing is shown is not used.
    """
    try:
        current = secrets or secrets_of(destination, vault)
    except SealBroken:
        if certificate.shown is None:
            return None
        raise
    return certificate.apply_to(current, owner_id=destination.owner_id)


def _columns_of(destination: Destination) -> dict[str, Any]:
    return {name: getattr(destination, name) for name in _COLUMNS}


def _changed_secrets(
    destination: Destination, vault: Vault, wanted: _Wanted, *, moves: bool, now: datetime
) -> tuple[Secrets | None, list[Change]]:
    """Returns the other secrets and headers, or None if they stay; and the places that differ.

    Decrypts nothing if the headers are sent as they are shown, or not sent, and no secret is given.
    """
    sent, names = wanted.headers, destination.header_names
    if moves:
        headers = merge_headers({}, with_stored(sent, {}))
        return Secrets(wanted.secret or new_secret(), headers=headers), [
            *header_changes(dict.fromkeys(names), headers)
        ]
    keeps_headers = keeps_all(sent, names) or (wanted.merges and not sent)
    if keeps_headers and wanted.secret is None:
        return None, []
    old = new = secrets_of(destination, vault)
    if not keeps_headers:
        stored = old.headers if wanted.merges else {}
        merged = merge_headers(stored, with_stored(sent, old.headers))
        new = old if is_same(merged, old.headers) else copied(old, headers=merged)
    if wanted.secret is not None and wanted.secret != old.current:
        new = new.renewed(wanted.secret, now=now)
    if new is old:
        return None, []
    return new, [
        *secret_change(old.current, new.current),
        *header_changes(old.headers, new.headers),
    ]


def _dropped_headers(*, before: Sequence[str], after: Sequence[str]) -> list[str]:
    kept = {name.lower() for name in after}
    dropped = [name for name in before if name.lower() not in kept]
    if not dropped:
        return []
    return [f"Headers of the old origin are not sent to the new one: {', '.join(dropped)}."]


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
    await Destinations(session).fence(destination.owner_id, [destination.id])
    await notify(session, DELIVERIES_CHANGED)
    return destination


def etag_of(destination: Destination) -> str:
    """Tags the configuration: each change by a person moves `updated_at`, and no delivery does."""
    return etag("destination", destination.id, destination.updated_at)


def forget_failures(destination: Destination) -> None:
    destination.failures, destination.window, destination.probe_at = 0, None, None
    destination.held_until = None
