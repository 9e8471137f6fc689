"""Signs in with a password, for tests that need a login of their own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from event_trigger.auth.passwords.hashing import PasswordHasher
from tests.support.databases import connect
from tests.support.services import PASSWORD, Service


@dataclass(frozen=True)
class Tokens:
    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


def tokens_of(answer: httpx.Response) -> Tokens:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return Tokens(body["access_token"], body["refresh_token"])


async def ask_for_tokens(
    client: httpx.AsyncClient,
    email: str = "ada@example.com",
    password: str = PASSWORD,
    *,
    scope: str = "",
) -> httpx.Response:
    form = {"username": email, "password": password, "scope": scope}
    return await client.post("/auth/token", data=form)


async def sign_in(
    client: httpx.AsyncClient, email: str = "ada@example.com", *, scope: str = ""
) -> Tokens:
    return tokens_of(await ask_for_tokens(client, email, scope=scope))


async def refresh(client: httpx.AsyncClient, tokens: Tokens) -> httpx.Response:
    return await client.post("/auth/refresh", json={"refresh_token": tokens.refresh})


async def who_am_i(client: httpx.AsyncClient, tokens: Tokens) -> httpx.Response:
    return await client.get("/auth/me", headers=tokens.headers)


async def used_earlier(service: Service, seconds: float) -> None:
    """Moves the use of all used refresh tokens `seconds` into the past."""
    connection = await connect(service.database_url)
    await connection.execute(
        "UPDATE refresh_tokens SET used_at = used_at - make_interval(secs => $1)", seconds
    )
    await connection.close()


class Meanwhile(PasswordHasher):
    """Calls `happens` while a password is hashed."""

    def __init__(self, happens: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)))
        self._happens = happens

    async def verify(self, password: str, password_hash: str | None) -> bool:
        fits = await super().verify(password, password_hash)
        await self._happens()
        return fits

    async def hash(self, password: str) -> str:
        await self._happens()
        return await super().hash(password)
