"""The caller of a request, and the rights of that caller."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from event_trigger.auth.scopes import Scope
from event_trigger.auth.tokens import AccessClaims
from event_trigger.errors import Forbidden, Invalid
from event_trigger.models import ProjectRole, Role


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The session of a browser."""

    token_hash: bytes = field(repr=False)  # SHA-256


# an access token's claims, a browser's session, or the hash of an API key
Credential = AccessClaims | SessionCookie | bytes


@dataclass(frozen=True, slots=True)
class Principal:
    """A user who calls in one project, through a login or a key: `login_id` or `key_id` is set.

    `project_id` is None for an admin that named all projects. `scopes` are those of the user's
    role in the project, limited to the credential's own.
    `trigger_ids` limits a key to these triggers; None means all. `expires_at` is the credential's
    own expiry. `is_narrowed` means that a login asked for fewer scopes than its role holds; it is
    always True for keys.
    """

    user_id: int
    role: Role
    project_id: int | None
    project_role: ProjectRole
    scopes: frozenset[Scope]
    credential: Credential = field(repr=False)
    login_id: UUID | None = None
    key_id: int | None = None
    trigger_ids: frozenset[int] | None = None
    expires_at: datetime | None = None
    is_narrowed: bool = True

    def narrow(self, held: Sequence[str] | None) -> Sequence[str] | None:
        """Limits scopes that its login was narrowed to by those of the access token."""
        credential = self.credential
        return credential.narrow(held) if isinstance(credential, AccessClaims) else held

    @property
    def one_project_id(self) -> int:
        """The project that something is created in; raises NoSingleProject for all projects."""
        if self.project_id is None:
            raise NoSingleProject
        return self.project_id

    def may_see(self, trigger_id: int) -> bool:
        return self.trigger_ids is None or trigger_id in self.trigger_ids

    def visible_among(self, asked: Collection[int] | None) -> Collection[int] | None:
        """Returns the triggers that are asked for and that it may see; None is all, both ways."""
        if asked is None or self.trigger_ids is None:
            return self.trigger_ids if asked is None else {*asked}
        return {*asked} & self.trigger_ids


class NoSingleProject(Invalid):
    slug, title = "no-single-project", "Name one project"
    default_detail = (
        "This happens in one project, and X-Project-ID: * names all of them, for lists. Write the"
        " id of the project; GET /projects lists them."
    )


class LoginRequired(Forbidden):
    slug, title = "for-logins-only", "A login is required"
    default_detail = "Sign in for this: an API key cannot do it."


class NarrowedLogin(Forbidden):
    slug, title = "narrowed-login", "The login is narrowed"
    default_detail = (
        "This login is narrowed to some scopes. Sign in again without 'scope' for this."
    )


def check_login(principal: Principal) -> None:
    if principal.login_id is None:
        raise LoginRequired


def check_full_login(principal: Principal) -> None:
    """Raises LoginRequired for an API key, and NarrowedLogin for a login with fewer scopes."""
    check_login(principal)
    if principal.is_narrowed:
        raise NarrowedLogin
