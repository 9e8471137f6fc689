"""Runs the application in this process, with its scheduler, and calls it over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import update

from event_trigger.app import create_app
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.tokens import Tokens
from event_trigger.auth.users import add_user
from event_trigger.config import Settings
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.migrate import migrate
from event_trigger.destinations.dns import DnsResolver
from event_trigger.models import Login, Role
from event_trigger.startup import prepare_database
from event_trigger.web.dependencies import state_of

SECRET = "only-for-tests-0123456789abcdef-0123456789"
PASSWORD = "correct horse battery staple"
PLAIN_HTTP = False  # `verify` of httpx: reading the certificates takes each client 30 ms
FAR_AHEAD = datetime(2900, 1, 1, tzinfo=UTC)
ADMIN, ADA, BOB = 1, 2, 3  # the ids of the users in every test database
_PEOPLE = {
    ADMIN: ("admin@example.com", Role.ADMIN),
    ADA: ("ada@example.com", Role.USER),
    BOB: ("bob@example.com", Role.USER),
}


def quick_passwords() -> PasswordHasher:
    return PasswordHasher(PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)))


class GivenSettings(Settings):
    """Settings by arguments alone: reading the environment takes longer than all else in them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def make_settings(database_url: str, **changes: Any) -> Settings:
    values = {"database_url": SecretStr(database_url), "jwt_secret": SecretStr(SECRET), **changes}
    return GivenSettings(**values)


async def fill_with_people(database_url: str) -> None:
    """Migrates, and adds an admin and two users, each with a login."""
    engine = create_engine(database_url)
    sessions = create_sessions(engine)
    await migrate(engine)
    for user_id, (email, role) in _PEOPLE.items():
        user = await add_user(
            sessions, quick_passwords(), email=email, password=PASSWORD, role=role
        )
        assert user.id == user_id
        async with sessions.begin() as session:
            await Logins(session).add(UUID(int=user_id), user_id, timedelta(days=1))
            # as if the password had just been given, however long the tests take
            login = update(Login).where(Login.user_id == user_id)
            await session.execute(login.values(created_at=FAR_AHEAD))
    await engine.dispose()


async def fill_with_people_and_partitions(database_url: str) -> None:
    """Leaves nothing to do to the start of a service: that would cost each test 150 statements."""
    await fill_with_people(database_url)
    engine = create_engine(database_url)
    await prepare_database(engine, create_sessions(engine), make_settings(database_url))
    await engine.dispose()


@cache
def token_of(user_id: int) -> str:
    """Signs a token that is valid whatever the time is."""
    return Tokens(SECRET).issue(user_id=user_id, login_id=UUID(int=user_id), at=FAR_AHEAD)


@dataclass
class Service:
    """A running application; `client` calls it as a user, or without a token."""

    app: FastAPI
    settings: Settings
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        assert self.settings.database_url is not None
        return self.settings.database_url.get_secret_value()

    def client(
        self, user_id: int | None = None, *, project: int | str | None = None
    ) -> httpx.AsyncClient:
        """Calls as a user, in the user's own project or in the one that is named."""
        headers = {} if user_id is None else {"Authorization": f"Bearer {token_of(user_id)}"}
        headers |= {} if project is None else {"X-Project-ID": str(project)}
        transport = httpx.ASGITransport(app=self.app)
        client = httpx.AsyncClient(
            transport=transport, base_url="http://service.test", headers=headers
        )
        self.clients.append(client)
        return client


@asynccontextmanager
async def running_service(
    database_url: str, resolver: DnsResolver | None = None, /, **settings: Any
) -> AsyncIterator[Service]:
    made = make_settings(database_url, **settings)
    app = create_app(made, passwords=quick_passwords(), resolver=resolver)
    async with app.router.lifespan_context(app):
        service = Service(app, made)
        yield service
        for client in service.clients:
            await client.aclose()


@asynccontextmanager
async def idle_service(database_url: str, **settings: Any) -> AsyncIterator[Service]:
    """Runs the application without its scheduler: due triggers do not fire."""
    made = make_settings(database_url, **settings)
    service = Service(create_app(made, passwords=quick_passwords()), made)
    yield service
    for client in service.clients:
        await client.aclose()
    await state_of(service.app).sender.aclose()
    await state_of(service.app).renderer.aclose()
    await state_of(service.app).sessions.kw["bind"].dispose()


def from_address(service: Service, address: str) -> httpx.AsyncClient:
    """Makes a client without a token that calls from this address."""
    transport = httpx.ASGITransport(app=service.app, client=(address, 1))
    client = httpx.AsyncClient(transport=transport, base_url="http://service.test")
    service.clients.append(client)
    return client
