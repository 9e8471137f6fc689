"""The caller of a request, and the rights of that caller."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from event_trigger.auth.scopes import Scope
from event_trigger.auth.tokens import AccessClaims
from event_trigger.errors import Forbidden
from event_trigger.models import Role

Credential = AccessClaims | bytes  # an access token's claims, or the hash of an API key


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who calls through a login or an API key: either `login_id` or `key_id` is set.

    `trigger_ids` limits a key to these triggers; None means all. `expires_at` is the credential's
    own expiry. `is_narrowed` means that a login asked for fewer scopes than its role holds; it is
    always True for keys.
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
        """Tells whether the caller sees the triggers and events of all users."""
        return Scope.ADMIN in self.scopes

    @property
    def owner_id(self) -> int | None:
        """The owner whose rows the caller sees; None means all owners."""
        return None if self.is_admin else self.user_id

    def may_see(self, trigger_id: int) -> bool:
        return self.trigger_ids is None or trigger_id in self.trigger_ids


class LoginRequired(Forbidden):
    slug, title = "for-logins-only", "A login is required"
    default_detail = "Sign in for this: an API key cannot make, see or end credentials."


def check_login(principal: Principal) -> None:
    if principal.login_id is None:
        raise LoginRequired
