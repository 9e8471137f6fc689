"""Checks passwords, at sign-in and where a user gives the own one again, under the same limits."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.sign_ins import record_failed_sign_in
from event_trigger.auth.email_addresses import account_for_log, fold_address
from event_trigger.auth.logins.throttle import FailureCounts, subjects_of
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.repository.users import Users
from event_trigger.db.engine import Sessions
from event_trigger.errors import FieldError, Invalid, Problem, Unauthorized, pointer
from event_trigger.models import User


class WrongPassword(Invalid):
    """Answers 422 and not 401, by which a client would sign its user out; `place` had it."""

    slug, title = "wrong-password", "Wrong password"

    def __init__(self, place: str) -> None:
        detail = "This is not your current password."
        super().__init__(detail, errors=[FieldError("pointer", pointer(place), detail)])


@dataclass(frozen=True, slots=True)
class GivenPassword:
    """A password that somebody gives for an account, from the IP address `address`.

    `email` is the typed address in lower case, under which older accounts are stored; `account` is
    its canonical spelling.
    """

    email: str
    account: str
    text: str = field(repr=False)
    address: str | None


async def check_own_password(
    sessions: Sessions,
    passwords: PasswordHasher,
    user_id: int,
    text: str,
    *,
    address: str | None,
    place: str,
) -> User:
    """Returns the signed-in user, whose password is right; raises WrongPassword at `place`.

    Raises Unauthorized for a user who has just been erased, and so has no password.
    """
    async with sessions() as session:
        user = await Users(session).get_one(user_id)
    given = GivenPassword(user.email, fold_address(user.email), text, address)
    try:
        checked = await check_password(sessions, passwords, given, refusal=WrongPassword(place))
    except WrongPassword:
        async with sessions() as session:
            await Users(session).get_one(user_id)
        raise
    if checked.id != user_id:  # the user was erased, and somebody else has the address
        raise Unauthorized
    return checked


async def check_password(
    sessions: Sessions, passwords: PasswordHasher, given: GivenPassword, *, refusal: Problem
) -> User:
    """Returns the enabled user with this address and password; raises `refusal`.

    1. Refuse a caller that has guessed too often, and wait for a slot to hash in.
    2. Count a failure before the password is checked, so that all parallel guesses count.
    3. Verify the password outside any transaction, so that many sign-ins hold no connections.
    4. Forget the failure, or record it in the audit log and raise `refusal`.
    """
    subjects = subjects_of(email=given.account, address=given.address)
    async with sessions() as session:
        await FailureCounts(session).check(subjects)
    async with passwords.slot():
        async with sessions.begin() as session:
            await FailureCounts(session).count_attempt(subjects)
            user = await Users(session).get_by_email(given.email, given.account)
        enabled = user if user is not None and user.disabled_at is None else None
        password_hash = None if enabled is None else enabled.password_hash
        is_right = await passwords.verify(given.text, password_hash)
        async with sessions.begin() as session:
            if is_right:
                await FailureCounts(session).forget(*subjects)
            else:
                await _record_failure(session, given, user)
    if not is_right or enabled is None:
        raise refusal
    return enabled


async def _record_failure(session: AsyncSession, given: GivenPassword, user: User | None) -> None:
    await record_failed_sign_in(
        session, account_for_log(given.account), None if user is None else user.id
    )
