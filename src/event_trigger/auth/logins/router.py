"""HTTP operations for signing in and out, and for registration."""

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

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
from event_trigger.auth.logins.oauth import (
    FORM,
    InvalidTokenRequest,
    PasswordGrant,
    RefreshGrant,
    as_oauth,
    read_grant,
    refusing_as_oauth,
)
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.principal import LoginRequired
from event_trigger.auth.schemas import RefreshRequest, TokenRead, UserCreate, UserRead
from event_trigger.errors import (
    BadRequest,
    Forbidden,
    Invalid,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.models import Role
from event_trigger.web.dependencies import SessionDep, SessionsDep, app_state
from event_trigger.web.openapi.invalid_examples import of_unknown_parameter
from event_trigger.web.problems import problems
from event_trigger.web.query_parameters import StrictQueryRoute
from event_trigger.web.strict_json import strict_router

router = strict_router(prefix="/auth", tags=["auth"])
forms = APIRouter(  # OAuth 2.0 sends a form, not JSON
    prefix="/auth", tags=["auth"], route_class=StrictQueryRoute
)
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_NO_FORM = (
    "Send a form with 'Content-Type: application/x-www-form-urlencoded': username and password, or"
    " grant_type=refresh_token and refresh_token."
)


class RegistrationClosed(Forbidden):
    default_detail = "Registration is closed. Ask the operator for an account."


async def read_form(request: Request) -> PasswordGrant | RefreshGrant:
    """Raises InvalidTokenRequest, also for a body that is no form."""
    if not request.headers.get("content-type", "").startswith(_FORM_TYPES):
        raise InvalidTokenRequest(_NO_FORM)
    try:
        async with request.form(max_files=0) as form:
            return read_grant(form.multi_items())
    except HTTPException as error:
        if error.status_code != BadRequest.status:
            raise
        raise InvalidTokenRequest(_NO_FORM) from None
    except (LookupError, ValueError):  # a charset that does not exist, or does not fit
        raise InvalidTokenRequest(_NO_FORM) from None


@forms.post(
    "/token",
    summary="Sign in, or refresh",
    operation_id="sign_in",
    openapi_extra=FORM,
    responses=problems(
        as_oauth(lifecycle.NoScopeLeft()),
        as_oauth(lifecycle.WrongLogin()),
        as_oauth(TooManySignIns.example()),
        of_unknown_parameter(),
    ),
)
async def sign_in(
    request: Request,
    origin: OriginDep,
    sessions: SessionsDep,
    session: SessionDep,
    passwords: PasswordsDep,
    tokens: TokensDep,
    response: Response,
) -> TokenRead:
    """Exchanges a password, or a refresh token, for an access token and a refresh token.

    OAuth 2.0 (RFC 6749): `grant_type=password`, the default, takes an e-mail address and a
    password; `grant_type=refresh_token` takes a refresh token, which works once, as at
    `POST /auth/refresh`. A client's id and secret are ignored. Refusals also have `error` and
    `error_description`.

    Wrong passwords are limited: ten for an account, then one more every 30 seconds; and fifty from
    one address, then one more every 3 seconds. Beyond that, the answer is 429 with `Retry-After`.
    """
    response.headers["Pragma"] = "no-cache"  # RFC 6749, section 5.1, beside Cache-Control
    with refusing_as_oauth():
        match await read_form(request):
            case PasswordGrant() as given:
                attempt = lifecycle.SignIn(
                    email=given.username.strip().lower(),
                    account=fold_address(given.username),
                    password=given.password,
                    origin=origin,
                    scopes=given.scopes,
                )
                return await lifecycle.sign_in(sessions, passwords, tokens, attempt)
            case RefreshGrant() as given:
                return await lifecycle.refresh(
                    session,
                    tokens,
                    refresh_token=given.refresh_token,
                    origin=origin,
                    scopes=given.scopes,
                )


@router.post(
    "/refresh",
    summary="Refresh tokens",
    operation_id="refresh_tokens",
    responses=problems(lifecycle.RefreshRefused, UnsupportedMediaType, Invalid),
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
    responses=problems(Unauthorized, LoginRequired, of_unknown_parameter()),
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
    responses=problems(
        RegistrationClosed, users.AddressTaken, UnsupportedMediaType, Invalid, TooManySignIns
    ),
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
        raise RegistrationClosed
    await app_state(request).registrations.count(origin.address)
    password_hash = await passwords.hash(body.password)  # before the session has begun
    user = await users.add_account(
        session, email=body.email, password_hash=password_hash, role=Role.USER
    )
    return UserRead.model_validate(user)
