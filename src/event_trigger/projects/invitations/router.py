"""HTTP operations on invitations: making, listing, withdrawing and accepting them."""

from typing import Any, NoReturn

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import RedirectResponse

from event_trigger.auth.dependencies import CallerDep, CredentialsDep, PasswordsDep, PrincipalDep
from event_trigger.auth.idempotency import IDEMPOTENT_IN_NAMED_PROJECT, KeyedRequestDep
from event_trigger.auth.logins.throttle import TooManyFailures
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.principal import Principal
from event_trigger.db.transactions import after_commit
from event_trigger.errors import (
    FieldError,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
    pointer,
)
from event_trigger.projects.dependencies import FULL_LOGIN, OWNER
from event_trigger.projects.invitations import lifecycle
from event_trigger.projects.invitations.lifecycle import (
    ACCEPT_PATH,
    InvitationLink,
    NewAccount,
    mail_invitation,
)
from event_trigger.projects.lifecycle import FullLoginRequired
from event_trigger.projects.members.lifecycle import AlreadyMember
from event_trigger.projects.repository import Invitations
from event_trigger.projects.schemas import (
    InvitationAccept,
    InvitationCreate,
    InvitationCreated,
    InvitationRead,
    ProjectRead,
    read_project,
)
from event_trigger.web.dependencies import SessionDep, SessionsDep, app_state
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.request_head import base_url, client_address
from event_trigger.web.routes import LazyRoute
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

OPTIONAL_LOGIN: dict[str, Any] = {"security": [{}, {"login": []}]}

router = strict_router(
    prefix="/projects/{project_id}/invitations",
    tags=["projects"],
    responses=problems(Unauthorized, FullLoginRequired, NotFound, Invalid),
    dependencies=[FULL_LOGIN, OWNER],
)
accepting = strict_router(tags=["projects"])
pages = APIRouter(include_in_schema=False, route_class=LazyRoute)


@router.post(
    "",
    summary="Invite somebody",
    operation_id="create_invitation",
    dependencies=[IDEMPOTENT_IN_NAMED_PROJECT],
    status_code=201,
    responses=problems(lifecycle.TooManyInvitations, TooManyFailures, UnsupportedMediaType),
)
async def create_invitation(
    project_id: PathId,
    body: InvitationCreate,
    principal: PrincipalDep,
    session: SessionDep,
    request: Request,
) -> InvitationCreated:
    """Makes a link that adds one member, once and within 7 days. This needs the role `owner`.

    Give `url` to the person, who sends it as `token` to `POST /invitations/accept`: signed in, or
    with an address and a password for a new account. With `email`, it is also mailed, where the
    operator has set up mail: `mailed` says so. The link ends early if its maker is no longer an
    owner.
    """
    made, token = await lifecycle.invite(
        session, principal, project_id, role=body.role, email=body.email
    )
    state, mailed = app_state(request), False
    public_url = state.settings.public_url
    if public_url is not None and state.settings.mails_accounts:
        link = InvitationLink(made, token, public_url)
        mailed = await mail_invitation(session, state.vault, link, by=principal.user_id)
    read = InvitationRead.model_validate(made).model_dump()
    return InvitationCreated(**read, url=f"{base_url(request)}{ACCEPT_PATH}#{token}", mailed=mailed)


@router.get("", summary="List open invitations", operation_id="list_invitations")
async def list_invitations(
    project_id: PathId, session: SessionDep, paging: PageQueryDep
) -> list[InvitationRead]:
    """Lists the project's open invitations, newest first. This needs the role `owner`.

    The `Link` header with `rel="next"` leads to the next page.
    """
    page = await Invitations(session).list_open(
        project_id, before=paging.before_id(), limit=paging.limit
    )
    return [InvitationRead.model_validate(one) for one in paging.rows_of(page, lambda one: one.id)]


@router.delete(
    "/{invitation_id}",
    summary="Withdraw an invitation",
    operation_id="delete_invitation",
    status_code=204,
)
async def delete_invitation(
    project_id: PathId, invitation_id: PathId, principal: PrincipalDep, session: SessionDep
) -> None:
    """Withdraws an open invitation: its link no longer works. This needs the role `owner`."""
    await lifecycle.withdraw(session, principal, project_id, invitation_id)


async def keep_acceptance(keyed: KeyedRequestDep, caller: CallerDep) -> None:
    if caller is None:
        await keyed.keep_for_nobody()
    else:
        await keyed.keep_for(caller, owner_id=caller.user_id)


@accepting.post(
    ACCEPT_PATH,
    summary="Accept an invitation",
    operation_id="accept_invitation",
    dependencies=[Depends(keep_acceptance, scope="function")],
    openapi_extra=OPTIONAL_LOGIN,
    responses=problems(
        Unauthorized,
        lifecycle.ForAnotherAddress,
        lifecycle.InvitationRefused,
        AlreadyMember,
        UnsupportedMediaType,
        Invalid,
        TooManySignIns,
    ),
)
async def accept_invitation(
    body: InvitationAccept,
    caller: CallerDep,
    request: Request,
    sessions: SessionsDep,
    session: SessionDep,
    passwords: PasswordsDep,
    credentials: CredentialsDep,
) -> ProjectRead:
    """Makes you a member of the project that the link is for.

    Sign in first, and send `token` alone. Without an account, send no credential, but also `email`
    and `password`: that makes an account, even if sign-up is closed; sign in with it afterwards.
    An invitation that names an address is for that account only.
    """
    token = body.token.rpartition("#")[2].strip()
    if caller is None:
        account = _new_account(body, request)
        await lifecycle.check_registration(
            sessions, app_state(request).registrations, token, account
        )
        password_hash = await passwords.hash(account.password)  # before the session has begun
        return read_project(*await lifecycle.register(session, token, account.email, password_hash))
    _check_caller(caller, body)
    joined = await lifecycle.accept(session, caller.user_id, token)
    after_commit(session, lambda: credentials.forget(str(caller.user_id)))
    return read_project(*joined)


def _new_account(body: InvitationAccept, request: Request) -> NewAccount:
    if body.email is None or body.password is None:
        _refuse_fields(
            "Sign in, or give an address and a password for a new account.",
            *(name for name in ("email", "password") if getattr(body, name) is None),
        )
    return NewAccount(body.email, body.password, client_address(request.scope))


def _check_caller(caller: Principal, body: InvitationAccept) -> None:
    if caller.is_narrowed:
        raise FullLoginRequired
    if given := [name for name in ("email", "password") if getattr(body, name) is not None]:
        _refuse_fields("You are signed in, so leave this out. For a new account, sign out.", *given)


def _refuse_fields(detail: str, *names: str) -> NoReturn:
    raise Invalid(detail, errors=[FieldError("pointer", pointer(one), detail) for one in names])


@pages.api_route(ACCEPT_PATH, methods=["GET", "HEAD"])
async def open_invitation() -> Response:
    """Leads a browser that follows the link to the console's form; it keeps the token after `#`."""
    return RedirectResponse("../console/invitation", 303)
