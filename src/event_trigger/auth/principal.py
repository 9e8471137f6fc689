"""Who is calling, and what they may do."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from event_trigger.auth.scopes import Scope
from event_trigger.auth.tokens import AccessClaims
from event_trigger.errors import Forbidden
from event_trigger.models import Role

Credential = AccessClaims | bytes  # what an access token claims, or the hash of an API key


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, through a login or through an API key: one of the two ids is there.

    `trigger_ids` are the only triggers that the key is good for; None is all of them.
    `expires_at` is when the credential ends by itself, if it does. `is_narrowed` says that a login
    was given fewer scopes than its user's role holds; keys are always taken for narrowed.
    """

    user_id: int
    role: Role
    scopes: frozenset[Scope]
    credential: Credential = field(repr=False)
    login_id: UUID | None = None
    key_id: int | None = None
    trigger_ids: frozenset[int] | None = None
    expires_at: datetime | None = None
    is_narrowed: bool = True

    @property
    def is_admin(self) -> bool:
        """Whether everybody's triggers and events are seen, and not only one's own."""
        return Scope.ADMIN in self.scopes

    @property
    def owner_id(self) -> int | None:
        """Whose rows are seen; None is everybody's."""
        return None if self.is_admin else self.user_id

    def may_see(self, trigger_id: int) -> bool:
        return self.trigger_ids is None or trigger_id in self.trigger_ids


class ForLogins(Forbidden):
    slug, title = "for-logins-only", "For people who have signed in"
    default_detail = "Sign in for this: an API key cannot make, see or end credentials."


def check_login(principal: Principal) -> None:
    if principal.login_id is None:
        raise ForLogins
