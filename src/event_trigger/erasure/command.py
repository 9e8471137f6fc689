"""Erases a user for the operator, who is told before what will go."""

from collections.abc import Callable

from event_trigger.auth.users import get_one_by_address
from event_trigger.db.engine import Sessions
from event_trigger.erasure.job import ProjectErasure
from event_trigger.erasure.users import Erased, erase_user, preview_erasure


async def erase_by_address(
    sessions: Sessions, email: str, *, confirm: Callable[[str], bool]
) -> str:
    """Erases the user with this address, if `confirm` agrees to a description of what goes.

    Goes through the audit log before it returns; the job does so again for the entries that
    requests were just adding. Raises NotFound, LastAdmin or StillNeeded.
    """
    async with sessions() as session:
        user_id = (await get_one_by_address(session, email)).id
        going = await preview_erasure(session, user_id)
    if not confirm(f"This erases user {user_id} for good: {_in_words(going)}."):
        return "Nothing was erased."
    async with sessions.begin() as session:
        erased = await erase_user(session, user_id)
    await ProjectErasure(sessions).redact()
    return f"User {user_id} is erased: {_in_words(erased)}."


def _in_words(erased: Erased) -> str:
    parts = (
        _counted(erased.logins, "login"),
        _counted(erased.keys, "API key"),
        _counted(erased.projects, "project"),
    )
    return (
        f"{', '.join(parts)} with {_counted(erased.triggers, 'trigger')} and"
        f" {_counted(erased.destinations, 'destination')}"
    )


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
