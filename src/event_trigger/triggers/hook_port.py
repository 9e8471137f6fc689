"""Declares the operations on hooks that triggers need; the package `hooks`, above, has them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import Trigger, Verify


@dataclass(frozen=True, slots=True)
class HookSecrets:
    """The last part of a hook's URL, and the secret that its sender signs with, if any."""

    token: str = field(repr=False)
    secret: str | None = field(repr=False)


class HookKeeper(Protocol):
    """Makes, lists and deletes the hooks of triggers."""

    async def follow_details(
        self, session: AsyncSession, trigger: Trigger, *, before: Mapping[str, Any]
    ) -> HookSecrets | None:
        """Makes or deletes the hook as changed details ask; gives the secrets of a new hook."""

    async def list_tokens(
        self, session: AsyncSession, trigger_ids: Collection[int]
    ) -> Mapping[int, str]:
        """Returns the hooks' tokens by trigger id; leaves out hooks whose key was lost."""

    async def delete(self, session: AsyncSession, *trigger_ids: int) -> None: ...


def verify_in(details: Mapping[str, Any]) -> Verify | None:
    """Reads how calls of a trigger's hook are verified; None if it has no hook."""
    hook = details.get("hook")
    return None if hook is None else Verify(hook["verify"])
