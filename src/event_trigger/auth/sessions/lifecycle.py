"""Ends a user's logins; every replica refuses an ended one within a second."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.sessions.repository import LiveLogins, VisibleLogins
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.errors import NotFound, Unauthorized


async def visible_logins(session: AsyncSession, login: Principal) -> VisibleLogins:
    """Selects the logins that a login may see and end: its user's own that still live.

    A narrowed login sees only those that hold no scope beyond its own.
    """
    assert login.login_id is not None
    found = await Logins(session).get_with_user(login.login_id, login.user_id)
    if found is None:
        raise Unauthorized
    return VisibleLogins(login.user_id, login.narrow(found[0].scopes))


async def end_session(session: AsyncSession, login: Principal, login_id: UUID) -> None:
    """Ends one login; raises NotFound for one that the caller may not see, or that has ended."""
    visible = await visible_logins(session, login)
    if not await LiveLogins(session).end(visible, login_id):
        raise NotFound
    await record(session, "login", after={"revoked": "ended by its user", "login": str(login_id)})
    await notify(session, CREDENTIALS_CHANGED, str(login.user_id))


async def end_other_sessions(session: AsyncSession, login: Principal) -> None:
    """Ends all logins that the caller may see, but the one that it uses."""
    assert login.login_id is not None
    visible = await visible_logins(session, login)
    ended = await LiveLogins(session).end_others(visible, but=login.login_id)
    if ended:
        await record(session, "login", after={"revoked": "all others", "ended": ended})
        await notify(session, CREDENTIALS_CHANGED, str(login.user_id))
