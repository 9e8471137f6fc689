"""HTTP operations on destinations that are named by their key: PUT creates or replaces."""

from typing import Annotated

from fastapi import Body, Response

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.destinations import lifecycle
from event_trigger.destinations.dependencies import (
    DestinationByKeyDep,
    EditorDep,
    VaultDep,
    checking,
    read_tagged,
    read_unless_known,
)
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.router import DESTINATION_EXAMPLES, READ, SECRET, WRITE
from event_trigger.destinations.schemas import (
    DestinationRead,
    DestinationReplace,
    DestinationWritten,
    SecretRead,
    SecretReplaced,
)
from event_trigger.destinations.shown_secrets import NotSigned, replaced_secret, show_secret
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
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import PathKey
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/destinations/by-key/{key}",
    tags=["destinations"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[UNLIMITED],
)

_CREATED = with_headers(201, "Location", "ETag")[201]


@router.get(
    "",
    summary="Read the destination with a key",
    operation_id="get_destination_by_key",
    dependencies=[READ],
    response_model=DestinationRead,
    responses=TAGGED | NOT_MODIFIED,
)
async def get_destination_by_key(
    destination: DestinationByKeyDep, session: SessionDep, reading: ReadingDep, response: Response
) -> DestinationRead | Response:
    """Returns the destination, as `GET /destinations/{destination_id}` does."""
    found = await Destinations(session).get(destination)
    if found is None:
        raise NotFound
    return read_unless_known(found, reading, response)


@router.put(
    "",
    summary="Create or replace the destination with a key",
    operation_id="put_destination_by_key",
    dependencies=[WRITE],
    responses={
        **problems(lifecycle.TooManyDestinations, PreconditionFailed, UnsupportedMediaType),
        **TAGGED,
        201: {"model": DestinationWritten, "description": "It was created.", **_CREATED},
    },
)
async def put_destination_by_key(
    body: Annotated[DestinationReplace, Body(openapi_examples=DESTINATION_EXAMPLES)],
    key: PathKey,
    principal: PrincipalDep,
    editor: EditorDep,
    settings: SettingsDep,
    putting: PuttingDep,
) -> DestinationWritten:
    """Creates the destination (201, with its `secret`), or gives it another configuration (200).

    Absent fields mean their default. The same content again changes nothing, and a disabled one
    stays disabled. Stars keep a header's value. A URL with another origin makes a new signing
    secret, and needs all values of headers.
    """
    return await editor.put(
        principal.one_project_id, key, body, putting, most=settings.max_destinations
    )


@router.delete(
    "",
    summary="Delete the destination with a key",
    operation_id="delete_destination_by_key",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(PreconditionFailed),
)
async def delete_destination_by_key(
    key: PathKey, destination: DestinationByKeyDep, session: SessionDep, changing: ChangingDep
) -> None:
    """Deletes the destination, and removes it from all triggers. Its key is free."""
    await lifecycle.delete(session, destination, named=key, check=checking(changing))


@router.post(
    "/disable",
    summary="Disable the destination with a key",
    operation_id="disable_destination_by_key",
    dependencies=[WRITE],
    responses=TAGGED,
)
async def disable_destination_by_key(
    key: PathKey, destination: DestinationByKeyDep, session: SessionDep, response: Response
) -> DestinationRead:
    """Stops sending to it, as `POST /destinations/{destination_id}/disable` does."""
    return read_tagged(await lifecycle.disable(session, destination, named=key), response)


@router.post(
    "/enable",
    summary="Enable the destination with a key",
    operation_id="enable_destination_by_key",
    dependencies=[WRITE],
    responses=TAGGED,
)
async def enable_destination_by_key(
    key: PathKey, destination: DestinationByKeyDep, session: SessionDep, response: Response
) -> DestinationRead:
    """Sends the waiting deliveries, as `POST /destinations/{destination_id}/enable` does."""
    return read_tagged(await lifecycle.enable(session, destination, named=key), response)


@router.get(
    "/secret",
    summary="Read the secret of the destination with a key",
    operation_id="get_destination_secret_by_key",
    dependencies=[SECRET],
    responses=problems(NotSigned),
)
async def get_destination_secret_by_key(
    destination: DestinationByKeyDep, session: SessionDep, vault: VaultDep
) -> SecretRead:
    """Returns its secret, as `GET /destinations/{destination_id}/secret` does."""
    return await show_secret(session, vault, destination)


@router.post(
    "/rotate-secret",
    summary="Replace the secret of the destination with a key",
    operation_id="rotate_destination_secret_by_key",
    dependencies=[WRITE, IDEMPOTENT],
    responses=problems(lifecycle.TooManyRotations, NotSigned),
)
async def rotate_destination_secret_by_key(
    key: PathKey, destination: DestinationByKeyDep, session: SessionDep, vault: VaultDep
) -> SecretReplaced:
    """Makes a new secret, as `POST /destinations/{destination_id}/rotate-secret` does."""
    return replaced_secret(
        await lifecycle.rotate_secret(session, vault, destination, named=key), vault
    )
