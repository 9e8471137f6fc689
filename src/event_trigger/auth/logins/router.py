"""HTTP operations for signing in and out, and for registration."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request

from event_trigger.auth import users
from event_trigger.auth.dependencies import (
    CredentialsDep,
    LoginDep,
    OriginDep,
    PasswordsDep,
    TokensDep,
)
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.idempotency import IDEMPOTENT_FOR_NEW_USER
from event_trigger.auth.logins import lifecycle
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.schemas import RefreshRequest, TokenRead, UserCreate, UserRead
from event_trigger.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.models import Role
from event_trigger.web.problems import problems
from event_trigger.web.query_parameters import StrictQueryRoute
from event_trigger.web.schemas import Text
from event_trigger.web.session import SessionDep, SessionsDep
from event_trigger.web.state import app_state
from event_trigger.web.strict_json import strict_router

router = strict_router(prefix="/auth", tags=["auth"])
forms = APIRouter(  # OAuth 2.0 sends a form, not JSON
    prefix="/auth", tags=["auth"], route_class=StrictQueryRoute
)


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """The form of RFC 6749, section 4.3.2, without `client_id` and `client_secret`."""

    username: str
    password: str = field(repr=False)
    scope: str


async def get_password_grant(
    username: Annotated[Text, Form(max_length=320, examples=["admin@localhost"])],
    password: Annotated[
        Text,
        Form(
            max_length=1024,
            examples=["correct horse battery staple"],
            json_schema_extra={"format": "password"},
        ),
    ],
    grant_type: Annotated[str, Form(pattern="^password$")] = "password",  # noqa: ARG001 - checked
    scope: Annotated[
        Text,
        Form(
            max_length=1000,
            description="Narrows the login to these scopes, separated by spaces.",
        ),
    ] = "",
) -> PasswordGrant:
    return PasswordGrant(username, password, scope)


PasswordGrantDep = Annotated[PasswordGrant, Depends(get_password_grant)]


@forms.post(
    "/token",
    summary="Sign in",
    operation_id="sign_in",
    responses=problems(BadRequest, Unauthorized, Invalid, TooManySignIns),
)
async def sign_in(
    form: PasswordGrantDep,
    origin: OriginDep,
    sessions: SessionsDep,
    passwords: PasswordsDep,
    tokens: TokensDep,
) -> TokenRead:
    """Exchanges an e-mail address and a password for an access token and a refresh token.

    Wrong passwords are limited: ten for an account, then one more every 30 seconds; and fifty from
    one address, then one more every 3 seconds. Beyond that, the answer is 429 with `Retry-After`.
    """
    attempt = lifecycle.SignIn(
        email=form.username.strip().lower(),
        account=fold_address(form.username),
        password=form.password,
        origin=origin,
        scopes=frozenset(form.scope.split()) or None,
    )
    return await lifecycle.sign_in(sessions, passwords, tokens, attempt)


@router.post(
    "/refresh",
    summary="Refresh tokens",
    operation_id="refresh_tokens",
    responses=problems(Unauthorized, UnsupportedMediaType, Invalid),
)
async def refresh(
    body: RefreshRequest, origin: OriginDep, session: SessionDep, tokens: TokensDep
) -> TokenRead:
    """Exchanges a refresh token for a new access token and a new refresh token.

    Each refresh token works once. A second use more than 10 seconds later ends the login, with all
    its tokens: somebody may have stolen it.
    """
    return await lifecycle.refresh(session, tokens, refresh_token=body.refresh_token, origin=origin)


@router.post(
    "/logout",
    summary="Sign out",
    operation_id="sign_out",
    status_code=204,
    responses=problems(Unauthorized, Forbidden, Invalid),
)
async def logout(login: LoginDep, sessions: SessionsDep, credentials: CredentialsDep) -> None:
    """Ends this login. Every replica refuses its tokens within a second."""
    assert login.login_id is not None
    async with sessions.begin() as session:
        await lifecycle.sign_out(session, login.login_id)
    credentials.forget(str(login.user_id))


@router.post(
    "/register",
    summary="Make an account",
    operation_id="register",
    dependencies=[IDEMPOTENT_FOR_NEW_USER],
    status_code=201,
    responses=problems(Forbidden, Conflict, UnsupportedMediaType, Invalid, TooManySignIns),
)
async def register(
    body: UserCreate,
    request: Request,
    origin: OriginDep,
    session: SessionDep,
    passwords: PasswordsDep,
) -> UserRead:
    """Makes an account, if the operator has set `EVENT_TRIGGER_OPEN_REGISTRATION=true`."""
    if not app_state(request).settings.open_registration:
        raise Forbidden("Registration is closed. Ask the operator for an account.")
    await app_state(request).registrations.count(origin.address)
    password_hash = await passwords.hash(body.password)  # before the session has begun
    user = await users.add_account(
        session, email=body.email, password_hash=password_hash, role=Role.USER
    )
    return UserRead.model_validate(user)
