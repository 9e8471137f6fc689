"""Users can register if the operator allows it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from event_trigger.auth.users import add_user
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.models import Role
from tests.support.databases import connect
from tests.support.lending import Lending
from tests.support.logins import ask_for_tokens, sign_in, who_am_i
from tests.support.problems import places_of, problem_of
from tests.support.services import Service, quick_passwords, running_service

PASSWORD = "a password that is long enough"
LONG = "".join(map(chr, range(0x1F300, 0x1F300 + 128)))
GRACE = {"email": "grace@example.com", "password": PASSWORD}


@pytest.fixture
async def open_service(lending: Lending) -> AsyncIterator[Service]:
    async with lending.lend(running_service, {"open_registration": True}) as running:
        yield running


@pytest.fixture
def visitor(open_service: Service) -> httpx.AsyncClient:
    return open_service.client()


async def test_registration_is_closed_unless_the_operator_opens_it(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    answer = await anonymous.post("/auth/register", json=GRACE)
    empty = await anonymous.post("/auth/register")

    assert "closed" in problem_of(answer, 403)["detail"]
    problem_of(empty, 422)
    connection = await connect(service.database_url)
    assert await connection.fetchval("SELECT count(*) FROM users") == 3
    await connection.close()


async def test_somebody_who_registers_can_sign_in_as_an_ordinary_user(
    visitor: httpx.AsyncClient,
) -> None:
    answer = await visitor.post(
        "/auth/register", json={"email": " Grace@Example.com ", "password": PASSWORD}
    )

    user = answer.json()
    assert answer.status_code == 201
    assert set(user) == {"id", "email", "role", "disabled_at", "created_at"}
    assert (user["email"], user["role"]) == ("grace@example.com", "user")
    tokens = await ask_for_tokens(visitor, "grace@example.com", PASSWORD)
    headers = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    me = (await visitor.get("/auth/me", headers=headers)).json()
    assert me.items() >= user.items()
    assert (await visitor.get("/triggers", headers=headers)).json() == []


async def test_an_address_has_one_account_however_it_is_written(visitor: httpx.AsyncClient) -> None:
    first = await visitor.post("/auth/register", json=GRACE)

    second = await visitor.post("/auth/register", json={**GRACE, "email": "GRACE@example.com"})

    assert first.status_code == 201
    assert "grace" not in problem_of(second, 409)["detail"].lower()


@pytest.mark.parametrize(
    ("address", "alike"),
    [
        ("\uff47race@example.com", "grace@example.com"),
        ("ren\u00e9@example.com", "RENE\u0301@EXAMPLE.com"),
        ("\ufb01@example.com", "fi@example.com"),
        ("grace\uff20example.com", "grace@example.com"),
    ],
)
async def test_addresses_that_look_the_same_are_the_same(
    visitor: httpx.AsyncClient, address: str, alike: str
) -> None:
    first = await visitor.post("/auth/register", json={**GRACE, "email": address})

    second = await visitor.post("/auth/register", json={**GRACE, "email": alike})

    assert (first.status_code, second.status_code) == (201, 409)
    for one in (address, alike):
        assert (await ask_for_tokens(visitor, one, PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "password",
    [
        *("justinbieber", "JustinBieber", "q1w2e3r4t5y6", "\uff50assword1234", "Password12345!"),
        *("passwordpassword", "password1password1", "aaaaaaaaaaaa", "121212121212", " " * 12),
        *("123456789012", "987654321098", "qwertyuiopas", "abcdefghijklm", "\U0001f511" * 12),
    ],
)
async def test_the_commonest_passwords_are_refused(
    visitor: httpx.AsyncClient, password: str
) -> None:
    answer = await visitor.post("/auth/register", json={**GRACE, "password": password})

    assert places_of(answer) == ["#/password"]
    assert "several words" in answer.json()["detail"]


async def test_accounts_of_before_sign_in_with_what_they_have(
    open_service: Service, visitor: httpx.AsyncClient
) -> None:
    """Their passwords are short, and their addresses not in canonical spelling."""
    engine = create_engine(open_service.database_url)
    old = "rene\u0301@example.com"
    await add_user(
        create_sessions(engine), quick_passwords(), email=old, password="short", role=Role.USER
    )
    await engine.dispose()

    assert (await ask_for_tokens(visitor, f" {old.upper()}", "short")).status_code == 200


async def test_of_registrations_that_come_at_once_one_succeeds(visitor: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(visitor.post("/auth/register", json=GRACE) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_registering_does_not_touch_the_account_that_is_there(
    visitor: httpx.AsyncClient,
) -> None:
    tokens = await sign_in(visitor)

    answer = await visitor.post(
        "/auth/register", json={"email": "ada@example.com", "password": PASSWORD}
    )

    problem_of(answer, 409)
    problem_of(await ask_for_tokens(visitor, "ada@example.com", PASSWORD), 401)
    assert (await who_am_i(visitor, tokens)).status_code == 200


async def test_passwords_of_any_language_and_up_to_128_characters_work(
    visitor: httpx.AsyncClient,
) -> None:
    for number, password in enumerate(["пароль и ключ", "  spaces kept  ", LONG]):
        email = f"user{number}@example.com"

        made = await visitor.post("/auth/register", json={"email": email, "password": password})

        assert made.status_code == 201
        assert (await ask_for_tokens(visitor, email, password)).status_code == 200
        assert (await ask_for_tokens(visitor, email, password.strip() + "x")).status_code == 401


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"email": "no-at-sign"}, "#/email"),
    ({"email": "a@b@c"}, "#/email"),
    ({"email": "@example.com"}, "#/email"),
    ({"email": "ada@"}, "#/email"),
    ({"email": "a b@example.com"}, "#/email"),
    ({"email": "a\nb@example.com"}, "#/email"),
    ({"email": "a" * 65 + "@example.com"}, "#/email"),
    ({"email": "a@" + "b" * 256}, "#/email"),
    ({"email": ""}, "#/email"),
    ({"email": None}, "#/email"),
    ({"email": "gr\u00adace@example.com"}, "#/email"),
    ({"email": "gr\u200bace@example.com"}, "#/email"),
    ({"email": "\ufeffgrace@example.com"}, "#/email"),
    ({"email": "\u202emoc.elpmaxe@ecarg"}, "#/email"),
    ({"email": "grace\u2066@example.com"}, "#/email"),
    ({"email": "gr\u3164ace@example.com"}, "#/email"),
    ({"email": "gr\u2800ace@example.com"}, "#/email"),
    ({"email": "grac\ufe0fe@example.com"}, "#/email"),
    ({"email": "grace\x1b[2J@example.com"}, "#/email"),
    ({"email": "grace\x9b@example.com"}, "#/email"),
    ({"email": "gr\u0430ce@example.com"}, "#/email"),  # a Cyrillic letter among Latin ones
    ({"email": "grace@ex\u03b1mple.com"}, "#/email"),
    ({"email": 7}, "#/email"),
    ({"email": ["a@example.com"]}, "#/email"),
    ({"password": "short"}, "#/password"),
    ({"password": LONG + "x"}, "#/password"),
    ({"password": "elevenchars"}, "#/password"),
    ({"password": 123456789012}, "#/password"),
    ({"password": 12345678}, "#/password"),
    ({"password": None}, "#/password"),
    ({"role": "admin"}, "#/role"),
    ({"id": 1}, "#/id"),
]


async def test_what_cannot_be_an_account_is_refused_by_field(visitor: httpx.AsyncClient) -> None:
    for change, place in REFUSED:
        answer = await visitor.post("/auth/register", json={**GRACE, **change})

        assert places_of(answer) == [place], change


async def test_a_missing_field_is_named(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/auth/register", json={})

    assert places_of(answer) == ["#/email", "#/password"]
