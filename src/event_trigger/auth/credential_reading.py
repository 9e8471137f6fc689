"""Reads the principals of credentials: one statement for each, without a transaction.

A credential in use is read twice a second, so that its reading costs as much as several calls of
an owner who calls seldom.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text

from event_trigger.auth.memberships import Memberships
from event_trigger.auth.principal import Credential, Principal, SessionCookie
from event_trigger.auth.project_header import Unnamed, WantedProject
from event_trigger.auth.repository.logins import note_used, was_just_used
from event_trigger.auth.scopes import Scope, held_scopes
from event_trigger.auth.tokens import AccessClaims
from event_trigger.db.engine import Sessions, engine_of
from event_trigger.db.plain_session import PlainReads, Pooled, ReadSession
from event_trigger.errors import NotFound
from event_trigger.models import ProjectRole, Role, User

_ROLE = """
    (SELECT member.role FROM project_members AS member
    JOIN projects ON projects.id = member.project_id AND projects.deleted_at IS NULL
    WHERE member.project_id = {project} AND member.user_id = users.id)
"""
_USER = f"""
    users.id AS user_id, users.role, users.default_project_id,
    {_ROLE.format(project="users.default_project_id")} AS default_role,
    {_ROLE.format(project="users.id")} AS own_role,
    {_ROLE.format(project="CAST(:wanted AS bigint)")} AS wanted_role,
    EXISTS (SELECT FROM projects
        WHERE projects.id = CAST(:wanted AS bigint) AND projects.deleted_at IS NULL) AS is_there
"""
_READ_LOGIN, _READ_SESSION = (
    text(f"""
    SELECT {_USER}, logins.last_used_at, logins.scopes, logins.expires_at, logins.id
    FROM logins JOIN users ON users.id = logins.user_id
    WHERE {condition} AND logins.revoked_at IS NULL AND logins.expires_at > now()
        AND users.disabled_at IS NULL
""")  # noqa: S608
    for condition in (
        "logins.id = :login_id AND users.id = :user_id",
        "logins.cookie_hash = :cookie_hash",
    )
)
_READ_KEY = text(f"""
    SELECT {_USER}, api_keys.last_used_at, api_keys.scopes, api_keys.expires_at,
        NULL AS login_id, api_keys.id AS key_id, api_keys.trigger_ids,
        api_keys.project_id AS home_id,
        {_ROLE.format(project="api_keys.project_id")} AS home_role
    FROM api_keys JOIN users ON users.id = api_keys.user_id
    WHERE api_keys.key_hash = :key_hash AND users.disabled_at IS NULL
        AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now())
""")  # noqa: S608


class _Found(NamedTuple):
    """A credential that works, its user, and the user's roles in the projects that matter."""

    user_id: int
    role: str
    default_project_id: int | None
    default_role: str | None
    own_role: str | None
    wanted_role: str | None
    is_there: bool  # the wanted project
    last_used_at: datetime | None
    scopes: Collection[str] | None
    expires_at: datetime | None
    login_id: UUID | None  # one of both
    key_id: int | None = None
    trigger_ids: Collection[int] | None = None
    home_id: int | None = None  # the project of a key; None is the user's own
    home_role: str | None = None

    def lacks_own(self, wanted: WantedProject, *, is_key: bool) -> bool:
        """Tells whether the user's own project matters, and has still to be added.

        The version before projects added the user.
        """
        if self.own_role is not None:
            return False
        if wanted == self.user_id or (is_key and self.home_id is None):
            return True
        return wanted is Unnamed.DEFAULT and self.default_role is None

    def enter(
        self, wanted: WantedProject, *, narrowed_to: Iterable[str] | None
    ) -> tuple[int | None, ProjectRole]:
        """Returns the project that a call happens in, and the user's role there.

        Without a wanted one it is the user's default project, or else its own. An admin enters any
        project as its owner, and None for all. Raises NotFound.
        """
        if wanted is Unnamed.DEFAULT:
            if self.default_role is not None:
                return self.default_project_id, ProjectRole(self.default_role)
            return self.user_id, ProjectRole.OWNER
        is_admin = Scope.ADMIN in held_scopes(Role(self.role), narrowed_to)
        if wanted is Unnamed.ALL and is_admin:
            return None, ProjectRole.OWNER
        if wanted is not Unnamed.ALL and self.wanted_role is not None:
            return wanted, ProjectRole(self.wanted_role)
        if wanted is not Unnamed.ALL and self.is_there and is_admin:
            return wanted, ProjectRole.OWNER
        raise NotFound


class CredentialReader:
    """Reads credentials as they are now, and notes that they are used."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._reads = PlainReads(engine_of(sessions))

    async def read(self, credential: Credential, wanted: WantedProject) -> Principal | None:
        """Returns the principal in the wanted project, or None if the credential does not work.

        Raises NotFound for a project that there is not, or that the caller may not enter.
        """
        is_key = isinstance(credential, bytes)
        found = await self._find(credential, wanted)
        if found is not None and found.lacks_own(wanted, is_key=is_key):
            await self._add_own(found.user_id)
            found = await self._find(credential, wanted)
        if found is None:
            return None
        if isinstance(credential, bytes):
            principal = _principal_of_key(found, credential, wanted)
        else:
            principal = _principal_of_login(found, credential, wanted)
        if principal is not None and not was_just_used(found.last_used_at):
            async with self._sessions.begin() as session:
                await note_used(session, login_id=found.login_id, key_id=found.key_id)
        return principal

    async def _find(self, credential: Credential, wanted: WantedProject) -> _Found | None:
        project = None if isinstance(wanted, Unnamed) else wanted
        values: dict[str, Any] = {"wanted": project}
        match credential:
            case AccessClaims():
                statement = _READ_LOGIN
                values |= {"login_id": credential.login_id, "user_id": credential.user_id}
            case SessionCookie():
                statement, values["cookie_hash"] = _READ_SESSION, credential.token_hash
            case bytes():
                statement, values["key_hash"] = _READ_KEY, credential
        try:
            return await _first(self._reads, statement, values)
        except Pooled:
            async with self._sessions() as session:
                return await _first(session, statement, values)

    async def _add_own(self, user_id: int) -> None:
        async with self._sessions.begin() as session:
            user = await session.get(User, user_id)
            if user is not None:
                await Memberships(session).get_own(user)


async def _first(
    session: ReadSession, statement: TextClause, values: dict[str, Any]
) -> _Found | None:
    rows = (await session.execute(statement, values)).all()
    return _Found(*rows[0]) if rows else None


def _principal_of_login(
    found: _Found, credential: AccessClaims | SessionCookie, wanted: WantedProject
) -> Principal:
    narrowed_to: Sequence[str] | None = None if found.scopes is None else [*found.scopes]
    expires_at = found.expires_at
    if isinstance(credential, AccessClaims):
        narrowed_to, expires_at = credential.narrow(narrowed_to), credential.expires_at
    project_id, project_role = found.enter(wanted, narrowed_to=narrowed_to)
    role = Role(found.role)
    return Principal(
        found.user_id,
        role,
        project_id,
        project_role,
        held_scopes(role, narrowed_to, project_role=project_role),
        credential,
        login_id=found.login_id,
        expires_at=expires_at,
        is_narrowed=narrowed_to is not None,
    )


def _principal_of_key(found: _Found, key_hash: bytes, wanted: WantedProject) -> Principal | None:
    """Makes the principal of a key; it works only while its user is a member of its project."""
    role, scopes = Role(found.role), found.scopes or ()
    home = found.user_id if found.home_id is None else found.home_id
    home_role = found.own_role if found.home_id is None else found.home_role
    if home_role is None:
        return None
    if wanted not in (Unnamed.DEFAULT, home) and Scope.ADMIN not in held_scopes(role, scopes):
        raise NotFound
    entered: tuple[int | None, ProjectRole] = home, ProjectRole(home_role)
    if wanted not in (Unnamed.DEFAULT, home):
        entered = found.enter(wanted, narrowed_to=scopes)
    project_id, project_role = entered
    return Principal(
        found.user_id,
        role,
        project_id,
        project_role,
        held_scopes(role, scopes, project_role=project_role),
        key_hash,
        key_id=found.key_id,
        trigger_ids=None if found.trigger_ids is None else frozenset(found.trigger_ids),
        expires_at=found.expires_at,
    )
