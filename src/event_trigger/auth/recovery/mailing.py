"""Sends the mails to people: one attempt after another, until they are sent or expire."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

import structlog

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.audit.recorder import record
from event_trigger.auth.credential_cache import hash_credential
from event_trigger.auth.recovery.lifecycle import RESET_LIFETIME
from event_trigger.auth.repository.password_resets import PasswordResets
from event_trigger.auth.repository.users import Users
from event_trigger.db.engine import Sessions
from event_trigger.db.installation import read_installation
from event_trigger.mail.message import Mail
from event_trigger.mail.outbox.content import (
    MailContent,
    open_mail,
    open_request,
    seal_content,
)
from event_trigger.mail.outbox.repository import AccountMails, ClaimedMail
from event_trigger.mail.sender import Mailer, MailResult
from event_trigger.mail_addresses import ascii_address
from event_trigger.models import AccountMailKind, ActorKind
from event_trigger.vault import SealBroken, Vault

log = structlog.get_logger()

ATTEMPT_SECONDS = 30.0
MOST_IN_A_RUN = 100
_WAITS = (5, 30, 60, 300, 600, 1800, 3600)  # seconds; the last one repeats until the mail expires
_TOKEN_BYTES = 32
_SUBJECT = "Set a new password"
_TEXT = """\
Somebody, perhaps you, has asked for a new password for {email}
at {url}

This link is good for one new password, within 30 minutes:

  {url}/auth/reset#{token}

Or send it from a terminal, with a new password of 12 characters or more:

  curl {url}/auth/reset -H 'Content-Type: application/json' \\
    -d '{{"token": "{token}", "new": "…"}}'

That ends all your logins. If you have not asked, you need not do anything: your password is as it
was.
"""


@dataclass(frozen=True, slots=True)
class AccountMailing:
    """The job that sends; `public_url` is where people reach the service."""

    sessions: Sessions
    vault: Vault
    mailer: Mailer | None
    public_url: str | None

    async def run(self) -> float | None:
        """Sends what is due; gives the seconds until the next mail is. Replicas share the work."""
        if self.mailer is None:
            return None
        for _ in range(MOST_IN_A_RUN):
            if not await self._send_next(self.mailer):
                break
        async with self.sessions() as session:
            return await AccountMails(session).seconds_until_next()

    async def _send_next(self, mailer: Mailer) -> bool:
        """Sends the mail that is due first; False if there is none.

        1. Claim it; for a request, look for the account and write the mail, in one transaction.
        2. Send it outside any transaction.
        3. Delete it, or have it wait for another attempt.
        """
        async with self.sessions.begin() as session:
            mails = AccountMails(session)
            claimed = await mails.claim()
            if claimed is None:
                return False
            content = await self._content_of(mails, claimed)
            installation = await read_installation(session)
        if content is None:
            return True
        mail_id = f"mail_{installation}_{claimed.id}"
        mail = Mail(mail_id, content.to, content.subject, content.text, claimed.created_at)
        result = await mailer.send(mail, within=ATTEMPT_SECONDS)
        async with self.sessions.begin() as session:
            await self._record(AccountMails(session), claimed, result)
        return True

    async def _content_of(self, mails: AccountMails, claimed: ClaimedMail) -> MailContent | None:
        """Returns the mail, or None if there is nothing to send: then it is deleted."""
        content = None
        try:
            if claimed.expires_at <= claimed.now:
                log.warning("account_mail_expired", mail_id=claimed.id, kind=claimed.kind)
            elif claimed.kind == AccountMailKind.RESET_REQUEST:
                content = await self._write_reset(mails, claimed)
            else:
                content = open_mail(self.vault, claimed.sealed)
        except SealBroken:
            log.error("account_mail_unreadable", mail_id=claimed.id, kind=claimed.kind)
        if content is None:
            await mails.finish(claimed)
        return content

    async def _write_reset(self, mails: AccountMails, claimed: ClaimedMail) -> MailContent | None:
        """Makes a link for an enabled account with the address that was typed."""
        asked, session = open_request(self.vault, claimed.sealed), mails.session
        user = await Users(session).get_by_email(asked.email, asked.account)
        if user is None or user.disabled_at is not None or self.public_url is None:
            return None
        to = ascii_address(user.email)
        if to is None:
            log.warning("account_mail_not_sent", user_id=user.id, reason="the address")
            return None
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        reset_id = await PasswordResets(session).add(
            user.id, hash_credential(token), lasts=RESET_LIFETIME
        )
        text = _TEXT.format(email=user.email, url=self.public_url, token=token)
        content = MailContent(to, _SUBJECT, text)
        await mails.write(claimed, seal_content(self.vault, content), reset_id)
        actor = Actor(ActorKind.ANONYMOUS, command="forgot_password", address=asked.address)
        with acting_as(actor):
            await record(session, "user", user.id, after={"reset": "mailed"})
        return content

    async def _record(self, mails: AccountMails, claimed: ClaimedMail, result: MailResult) -> None:
        about = {"mail_id": claimed.id, "kind": claimed.kind}
        if result.error is None:
            await mails.finish(claimed)
            log.info("account_mail_sent", **about)
        elif result.is_final:
            await mails.finish(claimed)
            log.warning("account_mail_refused", status_code=result.code, **about)
        else:
            after = timedelta(seconds=_WAITS[min(claimed.tries, len(_WAITS) - 1)])
            await mails.retry(claimed, after=after)
            log.warning("account_mail_failed", error=result.error, status_code=result.code, **about)
