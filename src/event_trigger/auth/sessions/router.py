"""HTTP operations on one's own logins."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import Field

from event_trigger.auth.dependencies import CredentialsDep, LoginDep
from event_trigger.auth.principal import LoginRequired
from event_trigger.auth.sessions import lifecycle
from event_trigger.auth.sessions.lifecycle import LiveLogins
from event_trigger.errors import Invalid, NotFound, Unauthorized
from event_trigger.models import Login
from event_trigger.web.dependencies import SessionDep, SessionsDep
from event_trigger.web.openapi.invalid_examples import of_unknown_parameter
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import Instant, ResponseModel
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/auth/sessions", tags=["auth"], responses=problems(Unauthorized, LoginRequired, Invalid)
)
PathUUID = Annotated[UUID, Path(examples=["5d2f6f8e-0b1c-4f2a-9b57-3f0c6f1f7a11"])]


class SessionRead(ResponseModel):
    id: UUID
    created_at: Instant = Field(description="When the password was given.")
    expires_at: Instant = Field(description="Then its last refresh token ends.")
    last_used_at: Instant | None = Field(description="To the minute.")
    address: str | None = Field(
        description="Where it was started, or last refreshed, from.", examples=["192.0.2.1"]
    )
    user_agent: str | None = Field(
        description="The first 200 characters of `User-Agent`, without control characters.",
        examples=["Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"],
    )
    scopes: list[str] | None = Field(
        description="The scopes that it was narrowed to; null if it has all of its user's."
    )
    is_current: bool = Field(description="This request was made with it.")


def read_session(login: Login, *, current: UUID | None) -> SessionRead:
    columns = {name: getattr(login, name) for name in SessionRead.model_fields.keys() - _COMPUTED}
    return SessionRead(**columns, is_current=login.id == current)


_COMPUTED = {"is_current"}


@router.get("", summary="List your logins", operation_id="list_sessions")
async def list_sessions(
    login: LoginDep, session: SessionDep, paging: PageQueryDep
) -> list[SessionRead]:
    """Lists your logins that have not ended, newest first.

    A login that was narrowed to some scopes sees, and can end, only logins that were narrowed to
    these or fewer. The `Link` header with `rel="next"` leads to the next page.
    """
    visible = await lifecycle.visible_logins(session, login)
    page = await LiveLogins(session).list_page(
        visible, before=paging.before_uuid(), limit=paging.limit
    )
    rows = paging.rows_of(page, lambda row: (row.created_at, row.id))
    return [read_session(row, current=login.login_id) for row in rows]


@router.delete(
    "/{session_id}",
    summary="End a login",
    operation_id="end_session",
    status_code=204,
    responses=problems(NotFound),
)
async def end_session(
    session_id: PathUUID, login: LoginDep, sessions: SessionsDep, credentials: CredentialsDep
) -> None:
    """Ends one of your logins, or this one. Every replica refuses its tokens within a second."""
    async with sessions.begin() as session:
        await lifecycle.end_session(session, login, session_id)
    credentials.forget(str(login.user_id))


@router.delete(
    "",
    summary="End all other logins",
    operation_id="end_other_sessions",
    status_code=204,
    responses=problems(of_unknown_parameter()),
)
async def end_other_sessions(
    login: LoginDep, sessions: SessionsDep, credentials: CredentialsDep
) -> None:
    """Ends all your logins but this one. Every replica refuses their tokens within a second.

    API keys stay: `GET /auth/keys` lists them.
    """
    async with sessions.begin() as session:
        await lifecycle.end_other_sessions(session, login)
    credentials.forget(str(login.user_id))
