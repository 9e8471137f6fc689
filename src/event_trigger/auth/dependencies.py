"""The caller of a request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.passwords import Passwords
from event_trigger.auth.repository import Logins
from event_trigger.auth.tokens import Tokens
from event_trigger.errors import Unauthorized
from event_trigger.models import Role
from event_trigger.web.services import service
from event_trigger.web.session import SessionDep, SessionsDep

bearer = OAuth2PasswordBearer(
    tokenUrl="/auth/token",
    auto_error=False,
    scheme_name="login",
    description="Sign in with your e-mail address as *username*. Leave the client fields empty.",
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as the database knew them when this request began."""

    user_id: int
    role: Role
    login_id: UUID
    expires_at: datetime

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


def get_tokens(request: Request) -> Tokens:
    return service(request, Tokens)


def get_passwords(request: Request) -> Passwords:
    return service(request, Passwords)


TokensDep = Annotated[Tokens, Depends(get_tokens)]
PasswordsDep = Annotated[Passwords, Depends(get_passwords)]


async def get_principal(
    token: Annotated[str | None, Depends(bearer)], tokens: TokensDep, session: SessionDep
) -> Principal:
    """Asks the database each time, so that a revoked login ends everywhere at once."""
    return await _principal_of(token, tokens, session)


async def get_principal_briefly(
    token: Annotated[str | None, Depends(bearer)], tokens: TokensDep, sessions: SessionsDep
) -> Principal:
    """As `get_principal`, for what takes longer than a request may hold a connection."""
    async with sessions() as session:
        return await _principal_of(token, tokens, session)


async def _principal_of(token: str | None, tokens: Tokens, session: AsyncSession) -> Principal:
    claims = tokens.read(token) if token else None
    if claims is None:
        raise Unauthorized
    user = await Logins(session).get_user(claims.login_id, claims.user_id)
    if user is None:
        raise Unauthorized
    return Principal(
        user_id=user.id,
        role=Role(user.role),
        login_id=claims.login_id,
        expires_at=claims.expires_at,
    )


PrincipalDep = Annotated[Principal, Depends(get_principal, scope="function")]
BriefPrincipalDep = Annotated[Principal, Depends(get_principal_briefly)]
