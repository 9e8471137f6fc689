"""HTTP operations on API keys, for users who have signed in."""

from fastapi import Response

from event_trigger.auth.dependencies import LOGIN, CredentialsDep, LoginDep, PrincipalDep
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.keys import changes, lifecycle
from event_trigger.auth.principal import LoginRequired
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.schemas import (
    ApiKeyCreate,
    ApiKeyCreated,
    ApiKeyRead,
    ApiKeyUpdate,
    read_key,
)
from event_trigger.errors import (
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.web.dependencies import SessionDep, SessionsDep
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/auth/keys",
    tags=["keys"],
    responses=problems(Unauthorized, LoginRequired, NotFound, Invalid),
)


@router.post(
    "",
    summary="Make an API key",
    operation_id="create_key",
    dependencies=[LOGIN, IDEMPOTENT],
    status_code=201,
    responses={
        **problems(NotFound, lifecycle.TooManyKeys, UnsupportedMediaType),
        **with_headers(201, "Location"),
    },
)
async def create_key(
    body: ApiKeyCreate, login: LoginDep, session: SessionDep, response: Response
) -> ApiKeyCreated:
    """Makes a key for a machine, which sends it as a bearer token or in `X-API-Key`.

    It works in this project only. `key` is shown only once. This needs a login whose password was
    given within the last 15 minutes; else the response is 401 `reauthenticate`: sign in again. A
    key never has more scopes than the login that makes it, ends when its user is disabled or leaves
    the project, and expires after 365 days unless `expires_at` is set. Admins make keys only in
    projects that they are members of. One user can have 100 keys that have not ended; of those that
    have, the 100 newest stay in the list.
    """
    made, key = await lifecycle.make_key(session, login, body)
    response.headers["Location"] = f"/auth/keys/{made.id}"
    return ApiKeyCreated(**read_key(made).model_dump(), key=key)


@router.get("", summary="List API keys", operation_id="list_keys")
async def list_keys(login: LoginDep, session: SessionDep, paging: PageQueryDep) -> list[ApiKeyRead]:
    """Lists your keys in the project, newest first; its owners see the keys of all members.

    A login that was narrowed to some scopes sees, and can end, only keys without other scopes. The
    `Link` header with `rel="next"` leads to the next page.
    """
    page = await ApiKeys(session).list_page(
        lifecycle.visible_keys(login),
        before=paging.before_id(),
        limit=paging.limit,
    )
    return [read_key(row) for row in paging.rows_of(page, lambda key: key.id)]


@router.get(
    "/{key_id}", summary="Read an API key", operation_id="get_key", responses=problems(NotFound)
)
async def get_key(key_id: PathId, login: LoginDep, session: SessionDep) -> ApiKeyRead:
    """Returns an API key that `GET /auth/keys` lists, without its text."""
    return read_key(await lifecycle.get_key(session, login, key_id))


@router.patch(
    "/{key_id}",
    summary="Change an API key",
    operation_id="update_key",
    responses=problems(NotFound, changes.KeyEnded, UnsupportedMediaType),
)
async def update_key(
    key_id: PathId,
    body: ApiKeyUpdate,
    login: LoginDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
) -> ApiKeyRead:
    """Applies a JSON Merge Patch (RFC 7396), on every replica within a second.

    Any login that sees a key may take scopes, triggers or time from it. Giving it more needs a
    login whose password was given within the last 15 minutes, else the response is 401
    `reauthenticate`; the key then never has more scopes than that login. The project's owners can
    only take from other members' keys. A key that has ended stays as it is (409).
    """
    async with sessions.begin() as session:
        key = await changes.change_key(session, login, key_id, body)
    credentials.forget(str(key.user_id))
    return read_key(key)


@router.delete(
    "/{key_id}",
    summary="End an API key",
    operation_id="delete_key",
    status_code=204,
    responses=problems(NotFound),
)
async def delete_key(
    key_id: PathId, principal: PrincipalDep, sessions: SessionsDep, credentials: CredentialsDep
) -> None:
    """Ends an API key, which may be the one that this call is made with.

    Every replica refuses it within a second.
    """
    async with sessions.begin() as session:
        user_id = await lifecycle.end_key(session, principal, key_id)
    credentials.forget(str(user_id))
