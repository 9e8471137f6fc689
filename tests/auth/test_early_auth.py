"""The principal is resolved once a request, and again when a body took longer than a moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import (
    RESOLVED_FOR_SECONDS,
    EarlyAuthMiddleware,
    resolve_principal,
)
from event_trigger.auth.principal import Principal
from event_trigger.auth.project_header import Unnamed, WantedProject
from event_trigger.auth.tokens import Tokens
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import Sessions
from tests.support.logins import sign_in
from tests.support.problems import problem_of
from tests.support.services import ADA, SECRET, Service, token_of


class CountingCache(CredentialCache):
    """Counts how often a credential is identified."""

    asked = 0

    async def identify(
        self, token: str, project: WantedProject = Unnamed.DEFAULT
    ) -> Principal | None:
        self.asked += 1
        return await super().identify(token, project)


@pytest.fixture
def credentials(sessions: Sessions) -> CountingCache:
    return CountingCache(sessions, Tokens(SECRET), DatabaseClock(sessions))


def at(seconds: float) -> Callable[[], float]:
    """A clock that stands still, however long a query takes."""
    return partial(float, seconds)


def request_of(token: str) -> Scope:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": "POST", "path": "/triggers", "headers": headers}


async def test_a_request_has_its_principal_resolved_once(credentials: CountingCache) -> None:
    request = request_of(token_of(ADA))

    found = [await resolve_principal(request, credentials, clock=at(0)) for _ in range(3)]

    assert [one.user_id for one in found if one is not None] == [ADA] * 3
    assert credentials.asked == 1


async def test_each_request_has_its_own(credentials: CountingCache) -> None:
    good = await resolve_principal(request_of(token_of(ADA)), credentials)
    bad = await resolve_principal(request_of("nonsense"), credentials)

    assert good is not None
    assert bad is None
    assert credentials.asked == 2


async def test_a_bad_credential_is_asked_about_once_as_well(credentials: CountingCache) -> None:
    request = request_of("etk_unknown")

    found = [await resolve_principal(request, credentials, clock=at(0)) for _ in range(3)]

    assert found == [None] * 3
    assert credentials.asked == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_is_not_known_learns_nothing_about_the_header(
    service: Service, method: str
) -> None:
    for token, status in (("nonsense", 401), ("etk_unknown", 401), (token_of(ADA), 422)):
        client = service.client(project="nonsense")
        client.headers["Authorization"] = f"Bearer {token}"

        problem_of(await client.request(method, "/triggers"), status)


async def test_what_was_resolved_a_while_ago_is_resolved_again(
    credentials: CountingCache,
) -> None:
    request = request_of(token_of(ADA))

    for seconds in (0.0, RESOLVED_FOR_SECONDS / 2, RESOLVED_FOR_SECONDS * 2):
        await resolve_principal(request, credentials, clock=at(seconds))

    assert credentials.asked == 2


async def test_a_request_that_passes_every_layer_asks_once(credentials: CountingCache) -> None:
    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        await resolve_principal(scope, credentials, clock=at(0))

    async def nothing() -> Any:
        raise AssertionError("the body was read, or an answer was sent")

    async def unsent(_: Any) -> None:
        raise AssertionError("an answer was sent")

    early = EarlyAuthMiddleware(application, credentials=credentials)
    await early(request_of(token_of(ADA)), nothing, unsent)

    assert credentials.asked == 1


@pytest.mark.parametrize("path", ["/triggers", "/triggers/{}/trigger", "/triggers/{}/test"])
async def test_a_login_that_ends_while_its_body_arrives_is_refused(
    path: str, service: Service
) -> None:
    anonymous = service.client()
    tokens = await sign_in(anonymous)
    made = await anonymous.post("/triggers", json={"type": "api"}, headers=tokens.headers)

    async def slow_body() -> AsyncIterator[bytes]:
        yield b'{"type": '
        await anonymous.post("/auth/logout", headers=tokens.headers)
        await asyncio.sleep(RESOLVED_FOR_SECONDS * 2)
        yield b'"api"}'

    answer = await anonymous.post(
        path.format(made.json()["id"]),
        content=slow_body(),
        headers=tokens.headers | {"content-type": "application/json"},
    )

    problem_of(answer, 401)
