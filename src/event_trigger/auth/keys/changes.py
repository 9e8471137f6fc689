"""Changes API keys: anybody who sees one may take from it, and only a fresh login gives it more."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.keys.lifecycle import (
    check_consistent,
    check_fresh_login,
    check_triggers,
    patched,
    rights_of,
    visible_keys,
)
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import ApiKeyUpdate
from event_trigger.auth.scopes import MissingScope
from event_trigger.db.clock import database_now
from event_trigger.errors import Conflict, Forbidden, NotFound
from event_trigger.models import ApiKey


class KeyEnded(Conflict):
    slug, title = "key-ended", "The key has ended"
    default_detail = "This key has ended, and cannot work again. Make another one."


class OthersKey(Forbidden):
    slug, title = "others-key", "Somebody else's key"
    default_detail = (
        "This key belongs to another member. You may take scopes, triggers or time from it, or"
        " end it; only its user may give it more, or another name."
    )


async def change_key(
    session: AsyncSession, caller: Principal, key_id: int, body: ApiKeyUpdate
) -> ApiKey:
    """Applies a merge patch to a key.

    1. Lock the caller and the key, and refuse one that has ended: it may have leaked.
    2. Check the new rights. More rights than before take the key's own user, a fresh login, and no
       scope beyond that login's.
    3. Store them, and tell every replica.
    """
    await Users(session).get_locked(caller.user_id)  # before keys, as all that change both
    key = await ApiKeys(session).get_locked(visible_keys(caller), key_id)
    if key is None:
        raise NotFound
    project_id = key.project_id or key.user_id
    now, before = await database_now(session), rights_of(key)
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyEnded
    after = patched(before, body)
    is_renamed = "name" in body.model_fields_set and body.name != key.name
    if key.user_id != caller.user_id and (is_renamed or after.exceed(before)):
        raise OthersKey
    if after.exceed(before):
        holds = await check_fresh_login(session, caller, project_id)
        if missing := [one for one in after.scopes if one not in holds]:
            raise MissingScope(missing)
    await check_triggers(session, project_id, after.trigger_ids or (), known=before.trigger_ids)
    check_consistent(after, now)
    key.name = body.name if is_renamed else key.name
    key.scopes, key.trigger_ids = [*after.scopes], _listed(after.trigger_ids)
    key.expires_at = after.expires_at
    await ApiKeys(session).store(key)
    return key


def _listed(ids: Sequence[int] | None) -> list[int] | None:
    return None if ids is None else [*ids]
