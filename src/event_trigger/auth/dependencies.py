"""The caller of a request, and what it takes to be let in."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer, SecurityScopes

from event_trigger.audit.recorder import identify_actor, record_refused
from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import resolve_principal
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.principal import Principal, check_login
from event_trigger.auth.scopes import SCOPE_DESCRIPTIONS, LimitedKey, MissingScope, Scope
from event_trigger.auth.tokens import Tokens
from event_trigger.errors import Unauthorized
from event_trigger.models import ActorKind
from event_trigger.web.cpu_bound import CpuBoundDep
from event_trigger.web.session import SessionsDep
from event_trigger.web.state import app_state

bearer = OAuth2PasswordBearer(
    tokenUrl="/auth/token",
    auto_error=False,
    scheme_name="login",
    scopes={str(scope): words for scope, words in SCOPE_DESCRIPTIONS.items()},
    description="Sign in with your e-mail address as *username*. Leave the client fields empty."
    " Scopes narrow the login; without any it holds all that your role does.",
)
api_key = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    scheme_name="key",
    description="A key from `POST /auth/keys`. It can also be sent as a bearer token.",
)


async def get_tokens(request: Request) -> Tokens:
    return app_state(request).tokens


async def get_passwords(request: Request) -> PasswordHasher:
    return app_state(request).passwords


async def get_credentials(request: Request) -> CredentialCache:
    return app_state(request).credentials


TokensDep = Annotated[Tokens, Depends(get_tokens)]
PasswordsDep = Annotated[PasswordHasher, Depends(get_passwords)]
CredentialsDep = Annotated[CredentialCache, Depends(get_credentials)]


async def get_principal(
    request: Request,
    _bearer: Annotated[str | None, Depends(bearer)],
    _key: Annotated[str | None, Depends(api_key)],
    credentials: CredentialsDep,
) -> Principal:
    """Whoever a bearer token or an `X-API-Key` speaks for; both are described in OpenAPI."""
    principal = await resolve_principal(request.scope, credentials)
    if principal is None:
        raise Unauthorized
    kind = ActorKind.LOGIN if principal.key_id is None else ActorKind.KEY
    identify_actor(kind, user_id=principal.user_id, key_id=principal.key_id)
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]


async def check_scopes(
    wanted: SecurityScopes, principal: PrincipalDep, sessions: SessionsDep
) -> None:
    missing = [one for one in wanted.scopes if one not in principal.scopes]
    if Scope.ADMIN in missing:
        async with sessions.begin() as session:
            await record_refused(session, "admin")
    if missing:
        raise MissingScope(missing)


def needs(*scopes: Scope) -> Any:
    """Lets nobody in whose credential does not hold all of these."""
    return Security(check_scopes, scopes=[str(one) for one in scopes])


async def check_unlimited(principal: PrincipalDep) -> None:
    if principal.trigger_ids is not None:
        raise LimitedKey


async def get_login(principal: PrincipalDep) -> Principal:
    check_login(principal)
    return principal


async def take_turn(principal: PrincipalDep, questions: CpuBoundDep) -> AsyncIterator[None]:
    """Lasts until the answer is sent."""
    async with questions.turn(principal.user_id):
        yield


UNLIMITED = Depends(check_unlimited)
TURN = Depends(take_turn)  # for expensive questions; holds no connection
LoginDep = Annotated[Principal, Depends(get_login)]
