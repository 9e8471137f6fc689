"""Makes the people and credentials of the matrix, in a project that Ada made."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import update

from event_trigger.auth.users import add_user
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.models import Login, ProjectRole, Role, User
from event_trigger.web.dependencies import state_of
from tests.security.hostile import NOBODYS
from tests.support.keys import make_key
from tests.support.logins import sign_in
from tests.support.memberships import add_project, remove_member
from tests.support.services import ADA, ADMIN, BOB, FAR_AHEAD, PASSWORD, Service, quick_passwords
from tests.support.triggers import make_api

READ_SCOPES = ["triggers:read", "events:read", "destinations:read"]
_MEMBERS = {
    "maker": ProjectRole.OWNER,  # makes what the team has, and is none of the callers
    "coowner": ProjectRole.OWNER,
    "editor": ProjectRole.EDITOR,
    "operator": ProjectRole.OPERATOR,
    "viewer": ProjectRole.VIEWER,
    "former": ProjectRole.EDITOR,
}
Headers = dict[str, str]


async def new_user(service: Service, name: str) -> int:
    sessions = state_of(service.app).sessions
    user = await add_user(
        sessions, quick_passwords(), email=email_of(name), password=PASSWORD, role=Role.USER
    )
    return user.id


def email_of(name: str) -> str:
    return f"{name}@example.com"


@dataclass
class Callers:
    """The callers of a service by their names in the matrix, and the ids of the people."""

    service: Service
    team: int
    people: dict[str, int]
    maker: Headers
    formerkey: Headers
    made: dict[str, Headers] = field(default_factory=dict)

    async def headers(self, name: str) -> Headers:
        """Gives the headers of `who` or `who@project`."""
        who, _, project = name.partition("@")
        if who not in self.made:
            self.made[who] = await self._credential(who)
        own = self.people.get(who)
        named = {"team": self.team, "his": BOB, "nobodys": NOBODYS, "own": own}.get(
            project, project
        )
        return self.made[who] | ({"X-Project-ID": str(named)} if project else {})

    def forget(self, name: str) -> None:
        del self.made[name.partition("@")[0]]

    @property
    def members(self) -> dict[int, str]:
        """Gives the roles of the team's members, besides Ada's."""
        return {self.people[one]: role for one, role in _MEMBERS.items() if one != "former"}

    def forget_logins(self) -> None:
        """Lets all sign in again, except those whose credential is a key."""
        self.made = {
            name: made
            for name, made in self.made.items()
            if "Authorization" not in made or name == "signedout"
        }

    def client(self, headers: Headers) -> httpx.AsyncClient:
        client = self.service.client()
        client.headers.update(headers)
        return client

    async def _credential(self, who: str) -> Headers:  # noqa: PLR0911 - one for each credential
        match who:
            case "nobody":
                return {}
            case "key":
                return await self._key("ada")
            case "hiskey":
                return await self._key("bob")
            case "reader":
                return await self._key("ada", *READ_SCOPES)
            case "limited":
                other = await make_api(self.client(self.maker))
                return await self._key("ada", trigger_ids=[other["id"]])
            case "narrowed":
                return await self.login("ada", scope="triggers:fire")
            case "lesser":
                return await self.login("admin", scope="triggers:read")
            case "deleted":
                ada = self.client(await self.headers("ada"))
                key = await make_key(ada)
                await ada.delete(f"/auth/keys/{key['id']}")
                return {"X-API-Key": key["key"]}
            case "formerkey":
                return self.formerkey
            case "signedout":
                headers = await self.login("ada")
                await self.service.client().post("/auth/logout", headers=headers)
                return headers
        return await self.login(who)

    async def login(self, who: str, *, scope: str = "") -> Headers:
        return (await sign_in(self.service.client(), email_of(who), scope=scope)).headers

    async def _key(self, who: str, *scopes: str, **more: Any) -> Headers:
        return await _key(self.client(await self.headers(who)), *scopes, **more)


async def _key(client: httpx.AsyncClient, *scopes: str, **more: Any) -> Headers:
    return {"X-API-Key": (await make_key(client, *scopes, **more))["key"]}


async def make_callers(service: Service) -> Callers:
    """Makes a project with a member of each role, and one whose membership was lost."""
    people = {"ada": ADA, "bob": BOB, "admin": ADMIN}
    people |= {name: await new_user(service, name) for name in _MEMBERS}
    team = await add_project(service, ADA, {people[one]: role for one, role in _MEMBERS.items()})
    logins = {name: (await sign_in(service.client(), email_of(name))).headers for name in _MEMBERS}
    async with state_of(service.app).sessions.begin() as session:
        (await session.get_one(User, ADA)).default_project_id = team
        # as if the password had just been given, however long the tests take
        login = update(Login).where(Login.user_id == people["maker"])
        await session.execute(login.values(created_at=FAR_AHEAD))
        await notify(session, CREDENTIALS_CHANGED, str(ADA))
    in_team = {"X-Project-ID": str(team)}
    former = service.client()
    former.headers.update(logins["former"] | in_team)
    formerkey = await _key(former)
    await remove_member(service, team, people["former"])
    return Callers(service, team, people, logins["maker"] | in_team, formerkey)
