"""Mails invitations that name an address, with the link that the answer has, too."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.logins.throttle import FailureCounts, invitations_of
from event_trigger.auth.repository.users import Users
from event_trigger.instants import instant_text
from event_trigger.mail.message import one_line
from event_trigger.mail.outbox.content import MailContent, seal_content
from event_trigger.mail.outbox.repository import AccountMails
from event_trigger.mail_addresses import ascii_address
from event_trigger.models import AccountMailKind, Invitation, Project
from event_trigger.projects.invitations.lifecycle import INVITATION_LIFETIME
from event_trigger.vault import Vault

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
