"""Declares the operations on hooks that triggers need; the package `hooks`, above, has them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.plain_session import ReadSession
from event_trigger.errors import pointer
from event_trigger.models import Trigger, Verify
from event_trigger.web.changes import Change
from event_trigger.web.mask import MASK


@dataclass(frozen=True, slots=True)
class HookSecrets:
    """The last part of a hook's URL, and the secret that its sender signs with, if any."""

    token: str = field(repr=False)
    secret: str | None = field(repr=False)


class HookKeeper(Protocol):
    """Makes, lists and deletes the hooks of triggers."""

    async def follow_details(
        self,
        session: AsyncSession,
        trigger: Trigger,
        *,
        before: Mapping[str, Any],
        given: str | None,
    ) -> HookSecrets | None:
        """Makes, changes or deletes the hook as changed details and a given secret ask.

        Returns what a new hook has to show: its token, and its secret unless that was given.
        """

    async def list_opened(
        self, session: ReadSession, trigger_ids: Collection[int]
    ) -> Mapping[int, HookSecrets]:
        """Returns what is secret about hooks by trigger id; leaves out those whose key was lost."""

    async def delete(self, session: AsyncSession, *trigger_ids: int) -> None: ...


def verify_in(details: Mapping[str, Any]) -> Verify | None:
    """Reads how calls of a trigger's hook are verified; None if it has no hook."""
    hook = hook_in(details)
    return None if hook is None else Verify(hook["verify"])


def hook_in(details: Mapping[str, Any]) -> dict[str, Any] | None:
    """Reads the options of a trigger's hook, without its secret; None if it has no hook."""
    return details.get("hook")


async def is_other_secret(
    session: AsyncSession, hooks: HookKeeper, trigger_id: int, given: str
) -> bool:
    """Tells whether a hook has another secret than the given one, or none that can be read."""
    opened = (await hooks.list_opened(session, [trigger_id])).get(trigger_id)
    return differs(given, None if opened is None else opened.secret)


def differs(given: str, stored: str | None) -> bool:
    """Compares secrets in constant time."""
    return stored is None or not compare_digest(given.encode(), stored.encode())


def hook_secret_change(*place: str) -> Change:
    """Names the secret of a changed hook; `place` is that of its trigger in the body."""
    return Change(pointer(*place, "details", "hook", "secret"), MASK, MASK)
