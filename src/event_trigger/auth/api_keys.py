"""Making and ending API keys: what a key may hold is never more than its maker holds."""

import secrets

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.credentials import KEY_PREFIX, hash_of
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository import ApiKeys, Users
from event_trigger.auth.schemas import ApiKeyCreate
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.db.clock import database_now
from event_trigger.errors import Conflict, Forbidden, Invalid, NotFound
from event_trigger.models import ApiKey

MOST_KEYS = 100
_SHOWN = len(KEY_PREFIX) + 6  # enough to tell one's keys apart


class TooManyKeys(Conflict):
    slug, title = "too-many-keys", "Too many keys"
    default_detail = f"You have {MOST_KEYS} keys. Delete one first."


def seen_by(principal: Principal) -> frozenset[Scope]:
    """Who is narrowed does not see keys that may do more; who was an admin sees what is left."""
    return principal.scopes | {Scope.ADMIN}


class ForLogins(Forbidden):
    slug, title = "for-logins-only", "For people who have signed in"
    default_detail = "Sign in for this: an API key cannot make, see or end credentials."


def check_login(principal: Principal) -> None:
    if principal.login_id is None:
        raise ForLogins


async def make(
    session: AsyncSession, principal: Principal, body: ApiKeyCreate
) -> tuple[ApiKey, str]:
    """Gives the key itself too: it is not kept, and can never be shown again.

    Raises MissingScope for what the maker does not hold. That the triggers are the maker's own is
    checked by whoever knows triggers.
    """
    if missing := [one for one in body.scopes if one not in principal.scopes]:
        raise MissingScope(missing)
    if body.trigger_ids is not None and Scope.ADMIN in body.scopes:
        raise Invalid.at(["scopes"], "A key for some triggers cannot hold the scope admin.")
    await Users(session).get_locked(principal.user_id)  # of two that come at once, one counts first
    keys = ApiKeys(session)
    if body.expires_at is not None and body.expires_at <= await database_now(session):
        raise Invalid.at(["expires_at"], "A key must expire in the future.")
    if await keys.count_of(principal.user_id) >= MOST_KEYS:
        raise TooManyKeys
    text = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        user_id=principal.user_id,
        name=body.name,
        prefix=text[:_SHOWN],
        key_hash=hash_of(text),
        scopes=[str(one) for one in body.scopes],
        trigger_ids=body.trigger_ids,
        expires_at=body.expires_at,
        created_at=await database_now(session),
    )
    await keys.add(key)
    return key, text


async def end(session: AsyncSession, principal: Principal, key_id: int) -> int:
    """Gives the id of the user whose key it was."""
    keys = ApiKeys(session)
    key = await keys.get(principal.owner_id, key_id, within=seen_by(principal))
    if key is None:
        raise NotFound
    await keys.delete(key)
    return key.user_id
