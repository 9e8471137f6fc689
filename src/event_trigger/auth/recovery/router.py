"""HTTP operations on forgotten passwords."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.responses import RedirectResponse

from event_trigger.auth.dependencies import CredentialsDep, OriginDep, PasswordsDep
from event_trigger.auth.logins.throttle import TooManyFailures
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.recovery import lifecycle
from event_trigger.auth.repository.password_resets import RESET_PATH
from event_trigger.auth.schemas import NewPassword
from event_trigger.errors import Invalid, UnsupportedMediaType
from event_trigger.web.dependencies import SessionDep, SessionsDep, app_state
from event_trigger.web.problems import problems
from event_trigger.web.routes import LazyRoute
from event_trigger.web.schemas import RequestModel, ResponseModel, Text
from event_trigger.web.strict_json import strict_router

router = strict_router(tags=["auth"], responses=problems(UnsupportedMediaType, Invalid))
pages = APIRouter(include_in_schema=False, route_class=LazyRoute)


class ForgottenPassword(RequestModel):
    email: Annotated[Text, Field(min_length=1, max_length=320, examples=["ada@example.com"])]


class RecoveryAsked(ResponseModel):
    message: str = "If there is an account with this address, a link is on its way to it."


class PasswordRecovery(RequestModel):
    token: Annotated[
        Text,
        Field(
            max_length=3000,
            repr=False,
            description="The link of the mail, or the part of it after `#`.",
            examples=["hbAV5kjxi5w7N0UQpaSQRKJZNUqJM3CT1rw6TbRv8Pw"],
        ),
    ]
    new: Annotated[
        NewPassword,
        Field(
            repr=False,
            examples=["eleven grey herons wading"],
            json_schema_extra={"format": "password"},
        ),
    ]
    end_keys: bool = Field(False, description="Ends all your API keys, too, in every project.")


@router.post(
    "/auth/forgot",
    summary="Ask for a new password",
    operation_id="forgot_password",
    status_code=202,
    responses=problems(lifecycle.NoRecovery, TooManyFailures),
)
async def forgot_password(
    body: ForgottenPassword, request: Request, origin: OriginDep, session: SessionDep
) -> RecoveryAsked:
    """Mails a link that sets a new password, if there is an account with this address.

    The answer is the same if there is none. The link works once, within 30 minutes. Three calls for
    an account are allowed at once, then one more every 10 minutes; twenty from one address, then
    one more a minute. Beyond that, the answer is 429 with `Retry-After`. Where the operator has set
    up no mail it is 403.
    """
    state = app_state(request)
    if not state.settings.mails_accounts:
        raise lifecycle.NoRecovery
    await lifecycle.ask(session, state.vault, body.email, address=origin.address)
    return RecoveryAsked()


@router.post(
    RESET_PATH,
    summary="Set a new password by a link",
    operation_id="reset_password",
    status_code=204,
    responses=problems(lifecycle.ResetRefused, TooManySignIns),
)
async def reset_password(
    body: PasswordRecovery,
    origin: OriginDep,
    sessions: SessionsDep,
    passwords: PasswordsDep,
    credentials: CredentialsDep,
) -> None:
    """Sets a new password, with the link of the mail, and ends all your logins within a second.

    API keys stay, unless `end_keys` is true. Sign in with the new password afterwards.
    """
    token = body.token.rpartition("#")[2].strip()
    wanted = lifecycle.Recovery(token, body.new, body.end_keys, origin.address)
    user_id = await lifecycle.recover(sessions, passwords, wanted)
    credentials.forget(str(user_id))


@pages.api_route(RESET_PATH, methods=["GET", "HEAD"])
async def open_reset() -> Response:
    """Leads a browser that follows the link to the console's form; it keeps the token after `#`."""
    return RedirectResponse("../console/reset", 303)
