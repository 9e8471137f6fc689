"""Finds the destination that a request names, changes it, and shows it with its `ETag`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.destinations import editing, lifecycle
from event_trigger.destinations.circuit_breaker import BreakerState
from event_trigger.destinations.editing import ReplacedDestination, changed_form, etag_of
from event_trigger.destinations.form_check import FormCheck
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.hearing import admin_id_of
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.schemas import (
    DestinationBody,
    DestinationRead,
    DestinationReplace,
    DestinationUpdate,
    DestinationWritten,
    read_destination,
)
from event_trigger.destinations.signing_secrets import secrets_of
from event_trigger.errors import Conflict, NotFound
from event_trigger.models import Destination, DestinationStatus, DisabledReason
from event_trigger.triggers.dependencies import owned_id
from event_trigger.vault import Vault
from event_trigger.web.dependencies import SessionsDep, app_state
from event_trigger.web.entity_tags import Preconditions, not_modified
from event_trigger.web.keys import key_of
from event_trigger.web.schemas import PathId, PathKey
from event_trigger.web.sent_back import SentBack, instant_in


async def get_destination_key(
    destination_id: PathId, principal: PrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """Returns the caller's own destination, or for an admin any; raises NotFound."""
    async with sessions() as session:
        return await owned_id(principal, destination_id, Destinations(session).get_owner)


async def get_destination_by_key(
    key: PathKey, principal: PrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """Finds the destination with a key in the caller's project.

    Raises NotFound, and NoSingleProject.
    """
    owner_id = principal.one_project_id
    async with sessions() as session:
        found = await Destinations(session).get_by_key(owner_id, key)
    if found is None:
        raise NotFound
    return OwnedId(owner_id, found.id)


async def get_form_check(request: Request) -> FormCheck:
    state = app_state(request)
    sends_mail = state.settings.smtp_url is not None
    return FormCheck(state.address_policy, state.resolver, state.renderer, sends_mail)


async def get_vault(request: Request) -> Vault:
    return app_state(request).vault


VaultDep = Annotated[Vault, Depends(get_vault)]
DestinationByKeyDep = Annotated[OwnedId, Depends(get_destination_by_key)]
DestinationKeyDep = Annotated[OwnedId, Depends(get_destination_key)]
FormCheckDep = Annotated[FormCheck, Depends(get_form_check)]


class ChangedByOthers(Conflict):
    slug, title = "changed-by-others", "It was changed at the same time"
    default_detail = (
        "The destination was changed while the URL or the template of this request was checked."
        " Send the request again."
    )


def read_tagged(destination: Destination, response: Response) -> DestinationRead:
    response.headers["ETag"] = etag_of(destination)
    return read_destination(destination)


def read_unless_known(
    destination: Destination, reading: Preconditions, response: Response
) -> DestinationRead | Response:
    """Answers 304 to a client that has this configuration already."""
    tag = etag_of(destination)
    return not_modified(tag) if reading.is_unmodified(tag) else read_tagged(destination, response)


def checking(
    preconditions: Preconditions, body: SentBack | None = None
) -> Callable[[Destination | None], None]:
    """Makes the check of a locked destination, or of None where there is none, before a change.

    It raises PreconditionFailed, and Invalid for read-only fields that are not as they are now.
    """

    def check(destination: Destination | None) -> None:
        tag = None if destination is None else etag_of(destination)
        preconditions.check(tag)
        if body is None or not body.sent_back:
            return
        if destination is None or tag is None:
            body.check_sent_back({"warnings": []})
            return
        shown = {"warnings": [], **read_destination(destination).model_dump(mode="json")}
        if preconditions.has(tag):
            body.check_sent_back(shown, partial(was_shown, destination, body.sent_back))
        else:
            body.check_sent_back(shown)

    return check


@dataclass(frozen=True, slots=True)
class DestinationEditor:
    """Changes destinations; a new form of requests is checked before the transaction.

    Its host is looked up, and its templates are tried. `admin_id` is the caller's if that is an
    admin.
    """

    sessions: Sessions
    vault: Vault
    form_check: FormCheck
    response: Response
    admin_id: int | None

    async def change(
        self, key: OwnedId, body: DestinationUpdate, preconditions: Preconditions
    ) -> DestinationWritten:
        known = await self._get(key)
        form = changed_form(known, body)
        await self.form_check.check(form, owner_id=key.owner_id, known=RequestForm.of(known))
        check = checking(preconditions, body)

        def check_both(locked: Destination) -> None:
            check(locked)
            if changed_form(locked, body) not in {form, RequestForm.of(locked)}:
                raise ChangedByOthers

        async with self.sessions.begin() as session:
            changed = await editing.change(
                session, self.vault, key, body, check=check_both, admin_id=self.admin_id
            )
        return self._written(changed)

    async def replace(
        self, key: OwnedId, body: DestinationReplace, preconditions: Preconditions
    ) -> DestinationWritten:
        await self._check(body, await self._get(key), owner_id=key.owner_id)
        async with self.sessions.begin() as session:
            destination = await editing.get_locked(session, key)
            checking(preconditions, body)(destination)
            changed = await editing.replace(
                session, self.vault, destination, body, admin_id=self.admin_id
            )
        return self._written(changed)

    async def put(
        self,
        owner_id: int,
        key: str,
        body: DestinationReplace,
        preconditions: Preconditions,
        *,
        most: int,
    ) -> DestinationWritten:
        """Creates the destination with a key, with status 201, or replaces it."""
        whole: DestinationBody = body.model_copy(update={"key": key_of(body.key, path=key)})
        async with self.sessions() as session:
            known = await Destinations(session).get_by_key(owner_id, key)
        await self._check(body, known, owner_id=owner_id)
        async with self.sessions.begin() as session:
            check = checking(preconditions, body)
            put = await lifecycle.put(
                session,
                self.vault,
                owner_id,
                whole,
                most=most,
                check=check,
                admin_id=self.admin_id,
            )
        if put.is_new:
            self.response.status_code = 201
            self.response.headers["Location"] = f"/destinations/{put.replaced.destination.id}"
        return self._written(put.replaced)

    async def _get(self, key: OwnedId) -> Destination:
        async with self.sessions() as session:
            found = await Destinations(session).get(key)
        if found is None:
            raise NotFound
        return found

    async def _check(
        self, body: DestinationBody, known: Destination | None, *, owner_id: int
    ) -> None:
        before = None if known is None else RequestForm.of(known)
        await self.form_check.check(RequestForm.of(body), owner_id=owner_id, known=before)

    def _written(self, changed: ReplacedDestination) -> DestinationWritten:
        destination = changed.destination
        secret = secrets_of(destination, self.vault).current if changed.has_new_secret else None
        read = read_tagged(destination, self.response).model_dump()
        return DestinationWritten(**read, secret=secret, warnings=changed.warnings)


async def get_editor(
    sessions: SessionsDep,
    vault: VaultDep,
    form_check: FormCheckDep,
    response: Response,
    principal: PrincipalDep,
) -> DestinationEditor:
    return DestinationEditor(sessions, vault, form_check, response, admin_id_of(principal))


EditorDep = Annotated[DestinationEditor, Depends(get_editor)]


def was_shown(destination: Destination, sent: Mapping[str, Any], name: str, value: Any) -> bool:
    """Tells whether deliveries alone may have changed a field since it had this value.

    Ask it only if the request has the destination's `ETag`: then no person has changed it since it
    was read. `sent` are the read-only fields of the same body.
    """
    is_gone = destination.disabled_reason == DisabledReason.GONE
    match name:
        case "state":
            return value in [*BreakerState]
        case "failures":
            return isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case "held_until":
            return value is None or instant_in(value) is not None
        case "disabled_reason":
            return value is None and is_gone
        case "status":  # without a reason, which tells it from a wish to enable
            was_enabled = sent.get("disabled_reason", is_gone) is None
            return value == DestinationStatus.ENABLED and was_enabled and is_gone
    return False
