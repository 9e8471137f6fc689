"""HTTP operations on the session of a browser."""

from fastapi import Request, Response

from event_trigger.auth.dependencies import (
    CredentialsDep,
    LoginDep,
    OriginDep,
    PasswordsDep,
)
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.logins import lifecycle
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.principal import LoginRequired
from event_trigger.auth.session_cookie import (
    delete_cookie,
    is_insecure,
    is_same_origin,
    set_cookie,
)
from event_trigger.console.schemas import SessionCreate
from event_trigger.errors import Forbidden, Invalid, Unauthorized, UnsupportedMediaType
from event_trigger.web.dependencies import SessionsDep, SettingsDep
from event_trigger.web.openapi.invalid_examples import of_unknown_parameter
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.strict_json import strict_router

router = strict_router(prefix="/console/session", tags=["auth"])


class OtherOrigin(Forbidden):
    """Answers a page of another site that would sign its visitor in here."""

    slug, title = "other-origin", "A page of another site"
    default_detail = (
        "A session starts only from a page of this service. Other programs sign in at POST"
        " /auth/token."
    )


class InsecureOrigin(Forbidden):
    """Answers a page that came without TLS: its browser would drop the cookie without a word."""

    slug, title = "insecure-origin", "No TLS"
    default_detail = (
        "Browsers keep this session only over https, or from localhost. Open the console by its"
        " https address; or the operator sets EVENT_TRIGGER_INSECURE_COOKIE=true, and anybody on"
        " the way can read it."
    )


@router.post(
    "",
    summary="Start a browser's session",
    operation_id="start_session",
    status_code=204,
    responses={
        **problems(
            lifecycle.WrongLogin,
            OtherOrigin,
            InsecureOrigin,
            UnsupportedMediaType,
            Invalid,
            TooManySignIns,
        ),
        **with_headers(204, "Set-Cookie"),
    },
)
async def start_session(
    body: SessionCreate,
    request: Request,
    response: Response,
    origin: OriginDep,
    sessions: SessionsDep,
    passwords: PasswordsDep,
    settings: SettingsDep,
) -> None:
    """Signs a browser in with a cookie that scripts cannot read, instead of with tokens.

    The cookie counts only on requests of this service's own pages (`Sec-Fetch-Site`, or else
    `Origin`), and never for hooks or metrics; a bearer token or a key beside it wins. The session
    is one of `GET /auth/sessions`. It ends 12 hours after its last use, and after 30 days in any
    case. Wrong passwords are limited as at `POST /auth/token`.
    """
    if _comes_from_elsewhere(request):
        raise OtherOrigin
    if not settings.insecure_cookie and is_insecure(request.headers.get("origin")):
        raise InsecureOrigin
    attempt = lifecycle.SignIn(
        email=body.email.strip().lower(),
        account=fold_address(body.email),
        password=body.password,
        origin=origin,
        scopes=None,
    )
    cookie = await lifecycle.sign_in_browser(sessions, passwords, attempt)
    set_cookie(response, cookie, is_plain=settings.insecure_cookie)


@router.delete(
    "",
    summary="End a browser's session",
    operation_id="end_browser_session",
    status_code=204,
    responses={
        **problems(Unauthorized, LoginRequired, of_unknown_parameter()),
        **with_headers(204, "Set-Cookie"),
    },
)
async def end_session(
    response: Response,
    login: LoginDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
    settings: SettingsDep,
) -> None:
    """Ends this session, and deletes its cookie. Every replica refuses it within a second."""
    assert login.login_id is not None
    async with sessions.begin() as session:
        await lifecycle.sign_out(session, login.login_id)
    credentials.forget(str(login.user_id))
    delete_cookie(response, is_plain=settings.insecure_cookie)


def _comes_from_elsewhere(request: Request) -> bool:
    """Tells whether a browser says that a page of another site makes this request."""
    says_where = {"origin", "sec-fetch-site"} & {name.lower() for name in request.headers}
    return bool(says_where) and not is_same_origin(request.scope)
