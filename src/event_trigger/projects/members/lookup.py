"""Finds accounts by address for owners who add members, and limits failed tries."""

from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.logins.throttle import FailureCounts, lookups_of
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.users import Users
from event_trigger.db.engine import Sessions
from event_trigger.errors import Invalid


async def find_account(
    sessions: Sessions, principal: Principal, *, email: str, address: str | None
) -> int:
    """Returns the id of the user with an e-mail address; too many failures make the caller wait.

    The count is locked until the outcome is known, so that parallel tries learn no more. Only newer
    accounts are stored in canonical spelling. `address` is the caller's IP address.
    """
    lookups = lookups_of(user_id=principal.user_id, address=address)
    async with sessions.begin() as session:
        await FailureCounts(session).count_attempt(lookups)
        user = await Users(session).get_by_email(email.strip().lower(), fold_address(email))
        if user is not None:
            await FailureCounts(session).take_back(lookups)
    if user is None:
        raise Invalid.at(
            ["email"],
            "There is no account with this address. Invite the person instead, with POST"
            " /projects/{id}/invitations.",
        )
    return user.id
