"""Replaces the secrets of hooks: of one trigger, or all of them when the service's key changes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.lifecycle import KeyRotation
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.hooks.lifecycle import make_hook, record_replaced
from event_trigger.hooks.repository import Hooks
from event_trigger.hooks.sealing import FormerSecret, former_of, open_hook, seal_into
from event_trigger.instants import just_after
from event_trigger.models import Hook, Trigger, Verify
from event_trigger.triggers.hook_port import HookSecrets, verify_in
from event_trigger.triggers.hook_secrets import PUBLIC_KEYS, check_secret, make_secret
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schemas.hook_details import GivenSecret
from event_trigger.vault import SealBroken, Vault
from event_trigger.web.schemas import RequestModel

FORMER_COUNTS_FOR = timedelta(hours=24)
MOST_FORMER = 5  # secrets; each call is compared with all of them
_HOOKS_PER_BATCH = 100


class HookRotation(RequestModel):
    """How a hook's secret is replaced; without a body, by a new one, under a new URL."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keep_old": True}]})

    keep_old: bool = Field(
        False,
        description="Calls that are signed with the old secret count for 24 hours more. The URL"
        " stays, so that the sender can be changed at leisure.",
    )
    secret: GivenSecret | None = Field(
        None, description="The new secret, if the sender issues it. Left out, one is made."
    )


class NoHook(Conflict):
    slug, title = "no-hook", "The trigger has no hook"
    default_detail = "This trigger has no hook. Set its details.hook first."


class TooManyFormer(Conflict):
    slug, title = "secret-replaced-often", "The secret was replaced too often"
    default_detail = (
        f"The secret was replaced {MOST_FORMER} times within 24 hours, and all old secrets still"
        " count. Wait, or rotate without keep_old, which ends them."
    )


@dataclass(frozen=True, slots=True)
class Rotation:
    """Replaces the secret of one hook."""

    session: AsyncSession
    vault: Vault

    async def rotate(self, key: OwnedId, asked: HookRotation) -> tuple[Trigger, HookSecrets | None]:
        """Replaces a hook's secret, and its URL too unless the old secret is kept.

        Returns what the answer has to show. Even a hook that cannot be read any more can be
        replaced, but not kept. A call that was looked up before the commit may still fire by the
        old URL.
        """
        trigger = await Triggers(self.session).get_locked(key)
        if trigger is None:
            raise NotFound
        verify = verify_in(trigger.details)
        if verify is None:
            raise NoHook
        given = _given(verify, asked)
        now = await database_now(self.session)
        if asked.keep_old:
            shown = await self._keep_old(trigger, verify, given, now=now)
        else:
            shown = await self._replace(trigger, verify, given)
        trigger.updated_at = max(now, just_after(trigger.updated_at))
        await self.session.flush()
        return trigger, shown

    async def _replace(self, trigger: Trigger, verify: Verify, given: str | None) -> HookSecrets:
        """Makes a new URL; the public key of a sender stays, unless another one is given."""
        if given is None and verify in PUBLIC_KEYS:
            given = await self._public_key_of(trigger)
        made = await make_hook(self.session, self.vault, trigger, given)
        await record_replaced(self.session, trigger, "url", "secret")
        return made

    async def _public_key_of(self, trigger: Trigger) -> str | None:
        hook = await Hooks(self.session).get_locked(trigger.id)
        try:
            return None if hook is None else open_hook(hook, self.vault).secret
        except SealBroken:
            return None

    async def _keep_old(
        self, trigger: Trigger, verify: Verify, given: str | None, *, now: datetime
    ) -> HookSecrets | None:
        """Replaces the secret alone; the old one counts for 24 hours more. Raises SealBroken."""
        hook = await Hooks(self.session).get_locked(trigger.id)
        if hook is None:
            raise NoHook
        opened = open_hook(hook, self.vault)
        former = [one for one in former_of(hook, opened, self.vault) if now < one.until]
        if len(former) >= MOST_FORMER:
            raise TooManyFormer
        if opened.secret is not None:
            former.insert(0, FormerSecret(opened.secret, now + FORMER_COUNTS_FOR))
        made = None if given is not None else make_secret(verify)
        renewed = HookSecrets(opened.token, made if given is None else given)
        seal_into(hook, renewed, former, self.vault)
        await record_replaced(self.session, trigger, "secret")
        return HookSecrets(opened.token, made)


def _given(verify: Verify, asked: HookRotation) -> str | None:
    """Returns the given secret; raises Invalid for what a hook of this kind cannot do."""
    if asked.keep_old and verify == Verify.NONE:
        raise Invalid.at(["keep_old"], "A hook that verifies nothing has no secret. Leave it out.")
    if asked.secret is None:
        if asked.keep_old and verify in PUBLIC_KEYS:
            raise Invalid.at(["secret"], "Write the sender's new public key: none is made here.")
        return None
    given = asked.secret.get_secret_value()
    try:
        check_secret(verify, given)
    except ValueError as error:
        raise Invalid.at(["secret"], f"{error}.") from None
    return given


async def rotate_hook_keys(sessions: Sessions, vault: Vault) -> KeyRotation:
    """Encrypts all hooks under the current key, in batches.

    `KeyRotation` names unreadable hooks by their triggers' ids.
    """
    count, unreadable, after = 0, list[int](), 0
    while True:
        async with sessions.begin() as session:
            found = await Hooks(session).list_under_other_keys(
                vault.current, after=after, limit=_HOOKS_PER_BATCH
            )
            unreadable += [one.trigger_id for one in found if not _reseal(one, vault)]
        count += len(found)
        if len(found) < _HOOKS_PER_BATCH:
            return KeyRotation(count - len(unreadable), unreadable)
        after = found[-1].trigger_id


def _reseal(hook: Hook, vault: Vault) -> bool:
    try:
        opened = open_hook(hook, vault)
    except SealBroken:
        return False
    seal_into(hook, opened, former_of(hook, opened, vault), vault)
    return True
