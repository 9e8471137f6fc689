"""Returns endpoints their caller, and checks the caller's scopes before the endpoint runs."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes

from event_trigger.audit.actor import identify_actor
from event_trigger.audit.recorder import record_refused
from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import resolve_principal, sends_credential
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.principal import NoSingleProject, Principal, check_full_login, check_login
from event_trigger.auth.project_header import PROJECT_PARAMETER
from event_trigger.auth.repository.logins import Origin, clean_user_agent
from event_trigger.auth.scopes import SCOPE_DESCRIPTIONS, LimitedKey, MissingScope, Scope
from event_trigger.auth.tokens import Tokens
from event_trigger.errors import Unauthorized
from event_trigger.models import ActorKind
from event_trigger.web.cpu_bound import CpuBoundDep
from event_trigger.web.dependencies import app_state
from event_trigger.web.openapi.document import Callers
from event_trigger.web.request_head import client_address

CALLERS = Callers(
    PROJECT_PARAMETER,
    "key",
    {
        "type": "apiKey",
        "description": "A key from `POST /auth/keys`. It can also be sent as a bearer token.",
        "in": "header",
        "name": "X-API-Key",
    },
)


class _PrincipalOfCaller(OAuth2PasswordBearer):
    """The scheme `login`, and the dependency that gives a request's principal.

    FastAPI analyses it for each of its 300 uses in routes, so it has no dependencies of its own:
    the document gets CALLERS besides.
    """

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        """Returns the principal of a bearer token or an `X-API-Key`.

        Raises Unauthorized without one.
        """
        return await _identify(request, app_state(request).credentials)


get_principal = _PrincipalOfCaller(
    tokenUrl="/auth/token",
    refreshUrl="/auth/token",
    scheme_name="login",
    scopes={str(scope): words for scope, words in SCOPE_DESCRIPTIONS.items()},
    description="Sign in with your e-mail address as *username*. Leave the client fields empty."
    " Select scopes to narrow the login; without any, it has all scopes of your role.",
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


async def _identify(request: Request, credentials: CredentialCache) -> Principal:
    principal = await resolve_principal(request.scope, credentials)
    if principal is None:
        raise Unauthorized
    if principal.project_id is None and request.method != "GET":
        raise NoSingleProject
    kind = ActorKind.LOGIN if principal.key_id is None else ActorKind.KEY
    identify_actor(kind, user_id=principal.user_id, key_id=principal.key_id)
    return principal


async def get_caller(request: Request, credentials: CredentialsDep) -> Principal | None:
    """Returns None without a credential; raises Unauthorized for one that is not good.

    A browser sends its cookie unasked, so that an ended session counts as none.
    """
    sends_one = sends_credential(request.headers)
    if not sends_one and await resolve_principal(request.scope, credentials) is None:
        return None
    return await _identify(request, credentials)


async def identify_again(request: Request, credentials: CredentialCache) -> Principal:
    """Returns the request's principal as it is after a change that the request has made."""
    principal = await resolve_principal({**request.scope, "state": {}}, credentials)
    if principal is None:
        raise Unauthorized
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]
CallerDep = Annotated[Principal | None, Depends(get_caller)]


async def check_scopes(request: Request, required: SecurityScopes, principal: PrincipalDep) -> None:
    """Raises MissingScope for missing scopes, and records the attempt if one is `admin`."""
    missing = [one for one in required.scopes if one not in principal.scopes]
    if Scope.ADMIN in missing:
        async with app_state(request).sessions.begin() as session:
            await record_refused(session, "admin")
    if missing:
        raise MissingScope(missing)


def needs(*scopes: Scope) -> Any:
    """Makes a dependency that requires all of these scopes."""
    return Security(check_scopes, scopes=[str(one) for one in scopes])


async def check_unlimited(principal: PrincipalDep) -> None:
    """Raises LimitedKey for an API key that is limited to some triggers."""
    if principal.trigger_ids is not None:
        raise LimitedKey


async def get_login(principal: PrincipalDep) -> Principal:
    """Returns the principal of a login; raises ForLogins for an API key."""
    check_login(principal)
    return principal


async def get_full_login(principal: PrincipalDep) -> Principal:
    """Returns the principal of a login that was not narrowed to some scopes."""
    check_full_login(principal)
    return principal


async def get_origin(request: Request) -> Origin:
    return Origin(
        client_address(request.scope), clean_user_agent(request.headers.get("user-agent"))
    )


async def take_slot(principal: PrincipalDep, cpu_bound: CpuBoundDep) -> AsyncIterator[None]:
    """Holds one of the caller's slots for expensive requests until the response is sent."""
    async with cpu_bound.slot(principal.user_id):
        yield


UNLIMITED = Depends(check_unlimited)
LOGIN = Depends(get_login)
EXPENSIVE = Depends(take_slot)  # holds no database connection
LoginDep = Annotated[Principal, Depends(get_login)]
FullLoginDep = Annotated[Principal, Depends(get_full_login)]
OriginDep = Annotated[Origin, Depends(get_origin)]
