"""HTTP operations on destinations and on the secrets that sign their deliveries."""

from typing import Annotated

from fastapi import Body, Query, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.destinations import lifecycle
from event_trigger.destinations.dependencies import (
    ChangedByOthers,
    DestinationKeyDep,
    EditorDep,
    FormCheckDep,
    VaultDep,
    checking,
    read_tagged,
    read_unless_known,
)
from event_trigger.destinations.editing import etag_of
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.hearing import admin_id_of
from event_trigger.destinations.repository import DestinationFilter, Destinations
from event_trigger.destinations.schemas import (
    DestinationCreate,
    DestinationCreated,
    DestinationQuery,
    DestinationRead,
    DestinationReplace,
    DestinationUpdate,
    DestinationWritten,
    SecretRead,
    SecretReplaced,
    read_destination,
)
from event_trigger.destinations.shown_secrets import (
    NotSigned,
    get_one,
    replaced_secret,
    show_secret,
)
from event_trigger.destinations.signing_secrets import secrets_of
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.web.dependencies import SessionDep, SettingsDep
from event_trigger.web.entity_tags import (
    NOT_MODIFIED,
    TAGGED,
    ChangingDep,
    PreconditionFailed,
    PuttingDep,
    ReadingDep,
)
from event_trigger.web.keys import KeyTaken
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/destinations",
    tags=["destinations"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[UNLIMITED],
)
READ, WRITE = needs(Scope.DESTINATIONS_READ), needs(Scope.DESTINATIONS_WRITE)
SECRET = needs(Scope.DESTINATIONS_READ, Scope.DESTINATIONS_WRITE)

DESTINATION_EXAMPLES: dict[str, Example] = {
    "a webhook": {"value": {"url": "https://example.com/hook"}},
    "with headers and limits": {
        "value": {
            "url": "https://example.com/hook",
            "description": "Billing",
            "headers": {"Authorization": "Bearer their-token"},
            "timeout": 5,
            "rate_limit": 20,
            "max_concurrency": 4,
        }
    },
    "a chat that hears of failures": {
        "value": {
            "url": "https://example.com/chat",
            "format": "template",
            "template": '{"text": {{ notice.message | default: event.type | json }}}',
            "notices": ["destination.opened", "delivery.exhausted", "trigger.set_aside"],
        }
    },
}


@router.post(
    "",
    summary="Create a destination",
    operation_id="create_destination",
    dependencies=[WRITE, IDEMPOTENT],
    status_code=201,
    responses={
        **problems(NotFound, lifecycle.TooManyDestinations, UnsupportedMediaType),
        **with_headers(201, "Location", "ETag"),
    },
)
async def create_destination(
    body: Annotated[DestinationCreate, Body(openapi_examples=DESTINATION_EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    vault: VaultDep,
    form_check: FormCheckDep,
    settings: SettingsDep,
    response: Response,
) -> DestinationCreated:
    """Creates a destination: a URL that events are delivered to, signed with `secret`.

    Triggers name its id in `destinations`. The URL must have a public address. This is checked now,
    and again at every delivery, after DNS resolution. A project that has as many destinations as
    `GET /info` allows it answers 409.
    """
    owner_id = principal.one_project_id
    form = RequestForm.of(body)
    await form_check.check(form, owner_id=owner_id)  # before the session has begun
    made = await lifecycle.create(
        session,
        vault,
        owner_id,
        body,
        most=settings.max_destinations,
        admin_id=admin_id_of(principal),
    )
    response.headers["Location"] = f"/destinations/{made.id}"
    response.headers["ETag"] = etag_of(made)
    secret = None if form.is_mail else secrets_of(made, vault).current
    return DestinationCreated(**read_destination(made).model_dump(), secret=secret)


@router.get("", summary="List destinations", operation_id="list_destinations", dependencies=[READ])
async def list_destinations(
    principal: PrincipalDep,
    session: SessionDep,
    paging: PageQueryDep,
    query: Annotated[DestinationQuery, Query()],
) -> list[DestinationRead]:
    """Lists destinations, newest first. The `Link` header leads to the next page."""
    page = await Destinations(session).list_page(
        principal.project_id,
        DestinationFilter(query.key, query.status, query.state),
        before=paging.before_id(),
        limit=paging.limit,
    )
    return [read_destination(row) for row in paging.rows_of(page, lambda row: row.id)]


@router.get(
    "/{destination_id:id}",
    summary="Read a destination",
    operation_id="get_destination",
    dependencies=[READ],
    response_model=DestinationRead,
    responses=problems(NotFound) | TAGGED | NOT_MODIFIED,
)
async def get_destination(
    key: DestinationKeyDep, session: SessionDep, reading: ReadingDep, response: Response
) -> DestinationRead | Response:
    """Returns the destination with its circuit breaker's state, and stars for header values.

    Its `ETag` tells one configuration from another: deliveries do not change it.
    """
    return read_unless_known(await get_one(session, key), reading, response)


@router.put(
    "/{destination_id:id}",
    summary="Replace a destination",
    operation_id="replace_destination",
    dependencies=[WRITE],
    responses=problems(NotFound, KeyTaken, PreconditionFailed, UnsupportedMediaType) | TAGGED,
)
async def replace_destination(
    body: Annotated[DestinationReplace, Body(openapi_examples=DESTINATION_EXAMPLES)],
    key: DestinationKeyDep,
    editor: EditorDep,
    putting: PuttingDep,
) -> DestinationWritten:
    """Gives the destination another configuration: absent fields mean their default.

    The same content again changes nothing, and a disabled one stays disabled. Stars keep a header's
    value. A URL with another origin makes a new signing secret, and needs all values of headers. A
    body may be the answer that was read before: unchanged read-only fields are ignored.
    """
    return await editor.replace(key, body, putting)


@router.patch(
    "/{destination_id:id}",
    summary="Change a destination",
    operation_id="update_destination",
    dependencies=[WRITE],
    responses=problems(
        NotFound, KeyTaken, ChangedByOthers, PreconditionFailed, UnsupportedMediaType
    )
    | TAGGED,
)
async def update_destination(
    body: DestinationUpdate, key: DestinationKeyDep, editor: EditorDep, changing: ChangingDep
) -> DestinationWritten:
    """Applies a JSON Merge Patch (RFC 7396). A new URL closes the circuit breaker.

    A URL with another origin (scheme, host or port) drops all headers except those in the same
    patch, and makes a new signing secret: `secret` in this response. Stars keep a header's value,
    and read-only fields that are unchanged are ignored.
    """
    return await editor.change(key, body, changing)


@router.delete(
    "/{destination_id:id}",
    summary="Delete a destination",
    operation_id="delete_destination",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(NotFound, PreconditionFailed),
)
async def delete_destination(
    key: DestinationKeyDep, session: SessionDep, changing: ChangingDep
) -> None:
    """Deletes the destination, and removes it from all triggers.

    Its unfinished deliveries end as `exhausted`, and stay on record.
    """
    await lifecycle.delete(session, key, check=checking(changing))


@router.post(
    "/{destination_id:id}/disable",
    summary="Disable a destination",
    operation_id="disable_destination",
    dependencies=[WRITE],
    responses=problems(NotFound) | TAGGED,
)
async def disable_destination(
    key: DestinationKeyDep, session: SessionDep, response: Response
) -> DestinationRead:
    """Stops sending to the destination. Waiting deliveries end as `exhausted` after 7 days."""
    return read_tagged(await lifecycle.disable(session, key), response)


@router.post(
    "/{destination_id:id}/enable",
    summary="Enable a destination",
    operation_id="enable_destination",
    dependencies=[WRITE],
    responses=problems(NotFound) | TAGGED,
)
async def enable_destination(
    key: DestinationKeyDep, session: SessionDep, response: Response
) -> DestinationRead:
    """Sends the waiting deliveries, and closes the circuit breaker."""
    return read_tagged(await lifecycle.enable(session, key), response)


@router.get(
    "/{destination_id:id}/secret",
    summary="Read a destination's secret",
    operation_id="get_destination_secret",
    dependencies=[SECRET],
    responses=problems(NotFound, NotSigned),
)
async def get_destination_secret(
    key: DestinationKeyDep, session: SessionDep, vault: VaultDep
) -> SecretRead:
    """Returns the secret that verifies `webhook-signature` (Standard Webhooks).

    The audit log records each read.
    """
    return await show_secret(session, vault, key)


@router.post(
    "/{destination_id:id}/rotate-secret",
    summary="Replace a destination's secret",
    operation_id="rotate_destination_secret",
    dependencies=[WRITE, IDEMPOTENT],
    responses=problems(NotFound, lifecycle.TooManyRotations, NotSigned),
)
async def rotate_destination_secret(
    key: DestinationKeyDep, session: SessionDep, vault: VaultDep
) -> SecretReplaced:
    """Makes a new secret. For 24 hours, deliveries are signed with the old one as well.

    This also repairs a destination whose secrets cannot be decrypted, because the service has lost
    its key: then the old secret is gone, and the headers must be set again.
    """
    return replaced_secret(await lifecycle.rotate_secret(session, vault, key), vault)
