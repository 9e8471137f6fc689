"""Making and ending API keys: what a key may hold is never more than its maker holds."""

import secrets
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.credential_cache import KEY_PREFIX, hash_of
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository import ApiKeys, Logins, Users
from event_trigger.auth.schemas import ApiKeyCreate
from event_trigger.auth.scopes import MissingScope, Scope, held
from event_trigger.db.clock import database_now
from event_trigger.errors import Conflict, Invalid, NotFound, Unauthorized
from event_trigger.models import ApiKey, Role

MOST_KEYS = 100
LASTS = timedelta(days=365)  # unless its maker says otherwise
FRESH_FOR = timedelta(minutes=15)
_SHOWN = len(KEY_PREFIX) + 6  # enough to tell one's keys apart


class TooManyKeys(Conflict):
    slug, title = "too-many-keys", "Too many keys"
    default_detail = f"You have {MOST_KEYS} keys. Delete one first."


class Reauthenticate(Unauthorized):
    """Asks for the password again, as RFC 9470 has it: a stolen token must not become a key."""

    slug, title = "reauthenticate", "Give your password again"
    default_detail = (
        "Making a key needs a login whose password was given within the last 15 minutes. Sign in"
        " again (POST /auth/token), and make it with the new token; a refreshed one will not do."
    )
    challenge = (
        'Bearer error="insufficient_user_authentication",'
        f' max_age="{int(FRESH_FOR.total_seconds())}"'
    )


def seen_by(principal: Principal) -> frozenset[Scope] | None:
    """The scopes beyond which a key is not seen; None is any: also who was an admin sees theirs.

    A narrowed login sees, and ends, only what it could have made.
    """
    return principal.scopes if principal.is_narrowed else None


async def check_fresh(session: AsyncSession, principal: Principal) -> frozenset[Scope]:
    """Gives what the login holds now, and keeps its user from being changed until the commit.

    Raises Reauthenticate if the password was given too long ago.
    """
    assert principal.login_id is not None
    await Users(session).get_locked(principal.user_id)  # of two that come at once, one counts first
    found = await Logins(session).get_with_user(principal.login_id, principal.user_id)
    if found is None:
        raise Unauthorized
    login, user = found
    if await database_now(session) - login.created_at > FRESH_FOR:
        raise Reauthenticate
    return held(Role(user.role), login.scopes)


async def make(
    session: AsyncSession, user_id: int, holds: frozenset[Scope], body: ApiKeyCreate
) -> tuple[ApiKey, str]:
    """Gives the key itself too: it is not kept, and can never be shown again.

    Raises MissingScope for what the maker does not hold. That the triggers are the maker's own is
    checked by whoever knows triggers.
    """
    if missing := [one for one in body.scopes if one not in holds]:
        raise MissingScope(missing)
    if body.trigger_ids is not None and Scope.ADMIN in body.scopes:
        raise Invalid.at(["scopes"], "A key for some triggers cannot hold the scope admin.")
    keys, now = ApiKeys(session), await database_now(session)
    expires_at = body.expires_at if "expires_at" in body.model_fields_set else now + LASTS
    if expires_at is not None and expires_at <= now:
        raise Invalid.at(["expires_at"], "A key must expire in the future.")
    if await keys.count_of(user_id) >= MOST_KEYS:
        raise TooManyKeys
    text = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        user_id=user_id,
        name=body.name,
        prefix=text[:_SHOWN],
        key_hash=hash_of(text),
        scopes=[str(one) for one in body.scopes],
        trigger_ids=body.trigger_ids,
        expires_at=expires_at,
        created_at=now,
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
