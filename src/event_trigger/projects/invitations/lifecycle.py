"""Makes, mails, withdraws and accepts invitations, which add one member, once and within 7 days."""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.credential_cache import hash_credential
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.logins.throttle import FailureCounts, Registrations, invitations_of
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.users import Users
from event_trigger.auth.users import add_account
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.errors import Conflict, Forbidden, NotFound, Unauthorized
from event_trigger.instants import instant_text
from event_trigger.mail.message import one_line
from event_trigger.mail.outbox.content import MailContent, seal_content
from event_trigger.mail.outbox.repository import AccountMails
from event_trigger.mail_addresses import ascii_address
from event_trigger.models import AccountMailKind, Invitation, Project, ProjectRole, Role
from event_trigger.projects.lifecycle import lock, lock_as_owner
from event_trigger.projects.members.lifecycle import join
from event_trigger.projects.repository import Invitations
from event_trigger.vault import Vault

INVITATION_LIFETIME = timedelta(days=7)
MAX_OPEN = 100
_TOKEN_BYTES = 32
ACCEPT_PATH = "/invitations/accept"
_SUBJECT = "Invitation to the project {project}"
_TEXT = """\
{by} invites you to the project "{project}", as {role},
at {url}

This link is good for one use, until {until}:

  {url}{path}#{token}

If you have an account there, sign in, and send the link as "token" to POST {path}.
Without one, choose a password of 12 characters or more:

  curl {url}{path} -H 'Content-Type: application/json' \\
    -d '{{"token": "{token}", "email": "{email}", "password": "…"}}'

If you do not know what this is about, you need not do anything.
"""


class TooManyInvitations(Conflict):
    slug, title = "too-many-invitations", "Too many invitations"
    default_detail = (
        f"The project has {MAX_OPEN} open invitations, the most that one may have. Withdraw one"
        " first."
    )


class InvitationRefused(NotFound):
    """Answers unknown, used, expired and withdrawn invitations in the same way."""

    slug, title = "invitation-refused", "Invitation refused"
    default_detail = (
        "This invitation is unknown, used, expired or withdrawn. Ask an owner of the project for"
        " another one."
    )


class ForAnotherAddress(Forbidden):
    slug, title = "invitation-for-another", "The invitation is for another address"
    default_detail = "This invitation names another e-mail address. Accept it with that account."


@dataclass(frozen=True, slots=True)
class NewAccount:
    """The account that an invited person asks for; `address` is the IP address of the call."""

    email: str
    password: str = field(repr=False)
    address: str | None


async def invite(
    session: AsyncSession,
    principal: Principal,
    project_id: int,
    *,
    role: ProjectRole,
    email: str | None,
) -> tuple[Invitation, str]:
    """Makes an invitation; returns it with its token, which is not stored."""
    await lock_as_owner(session, principal, project_id)
    invitations, now = Invitations(session), await database_now(session)
    if await invitations.count_open(project_id) >= MAX_OPEN:
        raise TooManyInvitations
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    invitation = Invitation(
        project_id=project_id,
        token_hash=hash_credential(token),
        role=role,
        email=email,
        made_by=principal.user_id,
        created_at=now,
        expires_at=now + INVITATION_LIFETIME,
    )
    await invitations.add(invitation)
    return invitation, token


async def withdraw(
    session: AsyncSession, principal: Principal, project_id: int, invitation_id: int
) -> None:
    await lock_as_owner(session, principal, project_id)
    invitations = Invitations(session)
    invitation = await invitations.get(project_id, invitation_id)
    if invitation is None:
        raise NotFound
    await invitations.delete(invitation)


async def accept(session: AsyncSession, user_id: int, token: str) -> tuple[Project, ProjectRole]:
    """Adds a user to the project of an invitation."""
    project, invitation = await _claim(session, token)
    user = await Users(session).get_locked(user_id)
    if user is None:
        raise Unauthorized
    _check_address(invitation, user.email)
    return await _use(session, project, invitation, user.id)


async def check_registration(
    sessions: Sessions, registrations: Registrations, token: str, account: NewAccount
) -> None:
    """Refuses a token that is not good; then counts the registration, as every other one.

    It comes before the password is hashed, which is expensive.
    """
    async with sessions() as session:
        invitation = await Invitations(session).get_open(hash_credential(token))
    if invitation is None:
        raise InvitationRefused
    _check_address(invitation, account.email)
    await registrations.count(account.address)


async def register(
    session: AsyncSession, token: str, email: str, password_hash: str
) -> tuple[Project, ProjectRole]:
    """Adds an account to the project of an invitation, also when sign-up is closed.

    Claims the invitation, adds the account and lets it join, in one transaction.
    """
    project, invitation = await _claim(session, token)
    user = await add_account(session, email=email, password_hash=password_hash, role=Role.USER)
    return await _use(session, project, invitation, user.id)


async def _claim(session: AsyncSession, token: str) -> tuple[Project, Invitation]:
    """Locks the project, so that of two uses of an invitation the second sees the first."""
    invitations, token_hash = Invitations(session), hash_credential(token)
    found = await invitations.get_open(token_hash)
    if found is None:
        raise InvitationRefused
    try:
        project = await lock(session, found.project_id)
    except NotFound:
        raise InvitationRefused from None
    invitation = await invitations.get_open(token_hash)
    if invitation is None:
        raise InvitationRefused
    return project, invitation


async def _use(
    session: AsyncSession, project: Project, invitation: Invitation, user_id: int
) -> tuple[Project, ProjectRole]:
    role = ProjectRole(invitation.role)
    await join(session, project.id, user_id, role)
    invitation.accepted_at = await database_now(session)
    await session.flush()
    return project, role


def _check_address(invitation: Invitation, email: str) -> None:
    if invitation.email is not None and fold_address(email) != invitation.email:
        raise ForAnotherAddress


@dataclass(frozen=True, slots=True)
class InvitationLink:
    """An invitation with its token, and the URL that people reach the service at."""

    invitation: Invitation
    token: str = field(repr=False)
    public_url: str


async def mail_invitation(
    session: AsyncSession, vault: Vault, link: InvitationLink, *, by: int
) -> bool:
    """Queues the mail with the invitation; False for none, or an address that no mail reaches.

    Raises TooManyFailures for a project that has had many mailed.
    """
    invitation = link.invitation
    to = None if invitation.email is None else ascii_address(invitation.email)
    if to is None:
        return False
    await FailureCounts(session).count_attempt(invitations_of(invitation.project_id))
    project = await session.get_one(Project, invitation.project_id)
    name = one_line(project.name)
    text = _TEXT.format(
        by=(await Users(session).get_one(by)).email,
        project=name,
        role=invitation.role,
        url=link.public_url,
        path=ACCEPT_PATH,
        until=instant_text(invitation.expires_at),
        token=link.token,
        email=invitation.email,
    )
    content = MailContent(to, _SUBJECT.format(project=name), text)
    await AccountMails(session).add(
        AccountMailKind.INVITATION,
        seal_content(vault, content),
        lasts=INVITATION_LIFETIME,
        invitation_id=invitation.id,
    )
    return True
