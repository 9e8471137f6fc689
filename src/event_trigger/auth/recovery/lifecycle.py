"""Asks for a link that sets a new password, and uses it: once, and within 30 minutes."""

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.credential_cache import hash_credential
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.logins.throttle import FailureCounts, recoveries_of, subjects_of
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.repository.password_resets import PasswordResets
from event_trigger.auth.repository.users import Users
from event_trigger.db.engine import Sessions
from event_trigger.errors import Forbidden, NotFound
from event_trigger.mail.outbox.content import ResetRequest, seal_content
from event_trigger.mail.outbox.repository import AccountMails
from event_trigger.models import AccountMailKind
from event_trigger.vault import Vault

RESET_LIFETIME = timedelta(minutes=30)


class NoRecovery(Forbidden):
    """Answers where no mail can be sent."""

    slug, title = "no-password-recovery", "No mails are sent here"
    default_detail = (
        "No mails are sent here. Ask the operator for a new password, who sets one with python -m"
        " event_trigger user password."
    )


class ResetRefused(NotFound):
    """Answers unknown, used and expired links in the same way."""

    slug, title = "reset-refused", "The link is not good"
    default_detail = (
        "This link is unknown, used or expired. Ask for another one with POST /auth/forgot."
    )


@dataclass(frozen=True, slots=True)
class Recovery:
    """A new password, asked for by a link from `address`."""

    token: str = field(repr=False)
    new: str = field(repr=False)
    end_keys: bool
    address: str | None


async def ask(session: AsyncSession, vault: Vault, email: str, *, address: str | None) -> None:
    """Queues a request, whether there is such an account or not: looking for it comes later.

    So nobody learns from the answer or its time whether there is one. Raises TooManyFailures.
    """
    request = ResetRequest(email.strip().lower(), fold_address(email), address)
    subjects = recoveries_of(email=request.account, address=address)
    await FailureCounts(session).count_attempt(subjects)
    await AccountMails(session).add(
        AccountMailKind.RESET_REQUEST, seal_content(vault, request), lasts=RESET_LIFETIME
    )


async def recover(sessions: Sessions, passwords: PasswordHasher, wanted: Recovery) -> int:
    """Sets a new password and ends all the user's logins; returns the user's id.

    1. Refuse a link that is not good, before anything is hashed.
    2. Hash the password outside any transaction.
    3. Use the link up, store the password, end logins, other links and, if asked, keys; forget the
       wrong passwords that were tried.
    """
    token_hash = hash_credential(wanted.token)
    async with sessions() as session:
        if not await PasswordResets(session).is_open(token_hash):
            raise ResetRefused
    password_hash = await passwords.hash(wanted.new)
    async with sessions.begin() as session:
        resets = PasswordResets(session)
        user_id = await resets.use(token_hash)
        user = None if user_id is None else await Users(session).get_locked(user_id)
        if user is None or user.disabled_at is not None:
            raise ResetRefused
        user.password_hash = password_hash
        await session.flush()
        await resets.end_all_of(user.id)
        await Logins(session).revoke_all_of(user.id)
        ended = await ApiKeys(session).end_all_of(user.id) if wanted.end_keys else 0
        await record(session, "user", user.id, after={"recovered": True, "keys_ended": ended})
        account = subjects_of(email=fold_address(user.email), address=None)
        await FailureCounts(session).forget(*account)
        return user.id
