"""Creates and ends API keys; a key never holds a scope that its maker does not hold."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.credential_cache import KEY_PREFIX, hash_credential
from event_trigger.auth.memberships import Memberships, lock_project
from event_trigger.auth.principal import Principal, check_login
from event_trigger.auth.repository.api_keys import ApiKeys, VisibleKeys
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import ApiKeyCreate, ApiKeyUpdate
from event_trigger.auth.scopes import MissingScope, Scope, held_scopes
from event_trigger.db.clock import database_now
from event_trigger.errors import Conflict, Invalid, NotFound, Unauthorized
from event_trigger.models import ApiKey, ProjectRole, Role

MAX_KEYS = 100
DEFAULT_KEY_LIFETIME = timedelta(days=365)
FRESH_LOGIN = timedelta(minutes=15)
_PREFIX_CHARACTERS = len(KEY_PREFIX) + 6  # shown in lists, to distinguish keys


@dataclass(frozen=True, slots=True)
class KeyRights:
    """The scopes of a key, the triggers it works for, and its end; None is no limit."""

    scopes: Sequence[str]
    trigger_ids: Sequence[int] | None
    expires_at: datetime | None

    def exceed(self, others: "KeyRights") -> bool:
        """Tells whether they allow anything that the others do not."""
        return (
            not set(self.scopes) <= set(others.scopes)
            or _exceed(self.trigger_ids, others.trigger_ids)
            or _is_later(self.expires_at, others.expires_at)
        )


def rights_of(key: ApiKey) -> KeyRights:
    return KeyRights(key.scopes, key.trigger_ids, key.expires_at)


def patched(rights: KeyRights, body: ApiKeyUpdate) -> KeyRights:
    """Returns the rights after a JSON Merge Patch (RFC 7396): absent fields stay."""
    given = body.model_fields_set
    return KeyRights(
        [str(one) for one in body.scopes] if "scopes" in given else rights.scopes,
        body.trigger_ids if "trigger_ids" in given else rights.trigger_ids,
        body.expires_at if "expires_at" in given else rights.expires_at,
    )


def _exceed(ids: Sequence[int] | None, others: Sequence[int] | None) -> bool:
    if others is None:
        return False
    return ids is None or not set(ids) <= set(others)


def _is_later(end: datetime | None, other: datetime | None) -> bool:
    if other is None:
        return False
    return end is None or end > other


async def check_triggers(
    session: AsyncSession,
    project_id: int,
    wanted: Sequence[int],
    *,
    known: Sequence[int] | None = None,
) -> None:
    """Refuses to limit a key to triggers that are not in its project, unless it has them already.

    These may have been deleted since.
    """
    before = set(known or ())
    places = {place: one for place, one in enumerate(wanted) if one not in before}
    if not places:
        return
    found = await ApiKeys(session).list_known_triggers(project_id, set(places.values()))
    for place, one in places.items():
        if one not in found:
            raise Invalid.at(["trigger_ids", place], "There is no such trigger in this project.")


def check_consistent(rights: KeyRights, now: datetime) -> None:
    if rights.trigger_ids is not None:
        for one in (Scope.ADMIN, Scope.METRICS_READ):
            if one in rights.scopes:
                raise Invalid.at(
                    ["scopes"], f"A key for some triggers cannot hold the scope {one}."
                )
    if rights.expires_at is not None and rights.expires_at <= now:
        raise Invalid.at(
            ["expires_at"], "A key must expire in the future. To end it now, delete it."
        )


class TooManyKeys(Conflict):
    slug, title = "too-many-keys", "Too many keys"
    default_detail = (
        f"You have {MAX_KEYS} keys in all your projects, the most that one user may have. End one"
        " first."
    )


class NotAMember(Conflict):
    slug, title = "not-a-member", "Not a member of the project"
    default_detail = (
        "A key works only while its user is a member of its project, and you are none of this one."
        " Become a member of the project first."
    )


class Reauthenticate(Unauthorized):
    """Asks for the password again (RFC 9470), so that a stolen token cannot make a lasting key."""

    slug, title = "reauthenticate", "Give your password again"
    default_detail = (
        "Making a key, or giving it more, needs a login whose password was given within the last 15"
        " minutes. Sign in again (POST /auth/token), and repeat it with the new token; a refreshed"
        " one will not do."
    )
    challenge = (
        'Bearer error="insufficient_user_authentication",'
        f' max_age="{int(FRESH_LOGIN.total_seconds())}"'
    )


def visible_keys(principal: Principal) -> VisibleKeys:
    """Selects the keys that a login may see and end.

    They are the user's own in the project; an owner sees those of all members. A narrowed login
    sees only keys that it could have made. Another one sees all, also those made while the user
    was an admin.
    """
    is_owner = principal.project_role is ProjectRole.OWNER
    return VisibleKeys(
        principal.project_id,
        None if is_owner else principal.user_id,
        principal.scopes if principal.is_narrowed else None,
    )


async def check_fresh_login(
    session: AsyncSession, principal: Principal, project_id: int
) -> frozenset[Scope]:
    """Returns the login's present scopes in the project, and locks its user until the commit.

    Raises Reauthenticate if the password was given more than 15 minutes ago. A caller who is no
    member of the project gets NotAMember if an admin may name it all the same, else NotFound.
    """
    assert principal.login_id is not None
    await Users(session).get_locked(principal.user_id)  # so that MAX_KEYS holds for parallel calls
    found = await Logins(session).get_with_user(principal.login_id, principal.user_id)
    if found is None:
        raise Unauthorized
    login, user = found
    if await database_now(session) - login.created_at > FRESH_LOGIN:
        raise Reauthenticate
    role = await Memberships(session).role_in(project_id, user.id)
    if role is None:
        raise NotAMember if Scope.ADMIN in principal.scopes else NotFound
    return held_scopes(Role(user.role), principal.narrow(login.scopes), project_role=role)


async def make_key(
    session: AsyncSession, maker: Principal, body: ApiKeyCreate
) -> tuple[ApiKey, str]:
    """Creates a key; returns it with its text, which is not stored and cannot be shown again.

    1. Lock the project and then the maker: the membership and the role stay until the commit.
    2. Refuse scopes that the maker does not hold, triggers of other projects, and a key too many.
    3. Store the key, and forget the oldest of the maker's ended ones.
    """
    project_id = maker.one_project_id
    await lock_project(session, project_id)
    holds = await check_fresh_login(session, maker, project_id)
    await check_triggers(session, project_id, body.trigger_ids or ())
    if missing := [one for one in body.scopes if one not in holds]:
        raise MissingScope(missing)
    keys, now = ApiKeys(session), await database_now(session)
    expires_at = (
        body.expires_at if "expires_at" in body.model_fields_set else now + DEFAULT_KEY_LIFETIME
    )
    check_consistent(KeyRights(body.scopes, body.trigger_ids, expires_at), now)
    if await keys.count_live_of(maker.user_id) >= MAX_KEYS:
        raise TooManyKeys
    text = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        user_id=maker.user_id,
        project_id=project_id,
        name=body.name,
        prefix=text[:_PREFIX_CHARACTERS],
        key_hash=hash_credential(text),
        scopes=[str(one) for one in body.scopes],
        trigger_ids=body.trigger_ids,
        expires_at=expires_at,
        created_at=now,
    )
    await keys.add(key)
    await keys.forget_ended(maker.user_id, keep=MAX_KEYS)
    return key, text


async def get_key(session: AsyncSession, principal: Principal, key_id: int) -> ApiKey:
    """Returns a key, ended or not; raises NotFound if the login may not see it."""
    key = await ApiKeys(session).get(visible_keys(principal), key_id)
    if key is None:
        raise NotFound
    return key


async def end_key(session: AsyncSession, principal: Principal, key_id: int) -> int:
    """Ends a key; returns its user's id. Raises NotFound if the login may not see the key.

    A key may end itself, and no other one (LoginRequired).
    """
    if principal.key_id == key_id:
        own = VisibleKeys(None, principal.user_id, None)
        key = await ApiKeys(session).get(own, key_id)
        if key is None:
            raise NotFound
    else:
        check_login(principal)
        key = await get_key(session, principal, key_id)
    await ApiKeys(session).delete(key)
    return key.user_id
