"""Signing in, staying signed in, and every way in which a login ends."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select

from event_trigger.auth.logins import lifecycle
from event_trigger.auth.repository.logins import Logins, Origin
from event_trigger.auth.tokens import Tokens
from event_trigger.auth.users import add_first_admin, disable_user, set_password
from event_trigger.clock import utc_now
from event_trigger.db.engine import Sessions
from event_trigger.errors import NotFound
from event_trigger.models import Login, ProjectRole
from tests.support.databases import connect
from tests.support.logins import Meanwhile, ask_for_tokens, refresh, sign_in, tokens_of, who_am_i
from tests.support.memberships import add_project
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, PASSWORD, SECRET, Service, quick_passwords

ADAS = "ada@example.com"
ADA_SAYS = lifecycle.SignIn(ADAS, ADAS, PASSWORD, Origin("192.0.2.1"), None)
FORM = {"content-type": "application/x-www-form-urlencoded"}


def multipart(text: bytes, *, charset: str = "utf-8") -> tuple[bytes, dict[str, str]]:
    """Returns a multipart form whose fields are in the given charset."""
    lines = [b"--b", b'Content-Disposition: form-data; name="username"', b"", text]
    lines += [b"--b", b'Content-Disposition: form-data; name="password"', b"", b"x", b"--b--", b""]
    return b"\r\n".join(lines), {
        "content-type": f"multipart/form-data; boundary=b; charset={charset}"
    }


async def test_the_right_password_opens_the_service(anonymous: httpx.AsyncClient) -> None:
    answer = await ask_for_tokens(anonymous)

    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    assert answer.headers["cache-control"] == "no-store"
    me = (await who_am_i(anonymous, tokens_of(answer))).json()
    assert me.keys() >= {"id", "email", "role", "disabled_at", "created_at"}
    assert (me["id"], me["email"], me["role"]) == (ADA, ADAS, "user")


async def test_an_address_is_read_without_its_case(anonymous: httpx.AsyncClient) -> None:
    spellings = ["Ada@Example.COM", "  ada@example.com ", "ADA@EXAMPLE.COM"]

    answers = [await ask_for_tokens(anonymous, address) for address in spellings]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_what_swagger_sends_signs_in(anonymous: httpx.AsyncClient) -> None:
    form = {"grant_type": "password", "username": ADAS, "password": PASSWORD}
    clientless = {"Authorization": "Basic Og==", "X-Requested-With": "XMLHttpRequest"}

    by_header = await anonymous.post("/auth/token", data=form, headers=clientless)
    by_form = await anonymous.post(
        "/auth/token", data={**form, "client_id": "x", "client_secret": "y", "scope": ""}
    )

    assert (by_header.status_code, by_form.status_code) == (200, 200)


async def test_a_multipart_form_signs_in(anonymous: httpx.AsyncClient) -> None:
    parts = {"username": (None, ADAS), "password": (None, PASSWORD)}

    answer = await anonymous.post("/auth/token", files=parts)

    assert answer.status_code == 200


async def test_a_wrong_login_does_not_say_what_was_wrong(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    await disable_user(sessions, email="bob@example.com")

    wrong_password = await ask_for_tokens(anonymous, ADAS, "wrong")
    unknown = await ask_for_tokens(anonymous, "nobody@example.com")
    disabled = await ask_for_tokens(anonymous, "bob@example.com")
    no_address = await ask_for_tokens(anonymous, " ", " ")

    answers = [wrong_password, unknown, disabled, no_address]
    assert {problem_of(answer, 401)["type"] for answer in answers} == {
        "urn:event-trigger:problem:wrong-login"
    }
    assert len({answer.content for answer in answers}) == 1
    shown = [{k: v for k, v in one.headers.items() if k != "x-request-id"} for one in answers]
    assert all(headers == shown[0] for headers in shown)
    assert wrong_password.headers["www-authenticate"] == "Bearer"


REFUSED_FORMS = [
    (b"username=a%00b&password=x", ["#/username"]),
    (b"username=a\0b&password=x", ["#/username"]),
    (b"username=a&password=%00", ["#/password"]),
    (b"username=" + b"a" * 321 + b"&password=x", ["#/username"]),
    (b"username=" + b"a" * 16_000 + b"&password=x", ["#/username"]),
    (b"username=a&password=" + b"x" * 1025, ["#/password"]),
    (b"password=x", ["#/username"]),
    (b"username=a", ["#/password"]),
    (b"username=&password=", ["#/username", "#/password"]),
    (b"", ["#/username", "#/password"]),
    (b"username=a&password=x&grant_type=refresh_token", ["#/refresh_token"]),
    (b"username=a&password=x&grant_type=implicit", ["#/grant_type"]),
    (b"username=a&username=b&password=x", ["#/username"]),
    (b"grant_type=refresh_token&refresh_token=" + b"x" * 201, ["#/refresh_token"]),
    (b"username=a&password=x&scope=" + b"s" * 1001, ["#/scope"]),
]


async def test_a_form_that_cannot_be_right_is_refused_by_field(
    anonymous: httpx.AsyncClient,
) -> None:
    for form, refused in REFUSED_FORMS:
        answer = await anonymous.post("/auth/token", content=form, headers=FORM)

        assert places_of(answer, 400) == refused, form[:60]


async def test_a_charset_cannot_smuggle_in_half_a_surrogate_pair(
    anonymous: httpx.AsyncClient,
) -> None:
    for charset in ("utf-7", "unicode_escape", "raw_unicode_escape"):
        body, headers = multipart(b"+2AA-\\ud800", charset=charset)

        answer = await anonymous.post("/auth/token", content=body, headers=headers)

        assert places_of(answer, 400) == ["#/username"], charset


async def test_no_charset_is_our_fault(anonymous: httpx.AsyncClient) -> None:
    for charset in ("undefined", "idna", "punycode", "utf-16", "hex", "rot13", "no-such", "%00"):
        body, headers = multipart(b"a..b\xff\xfe", charset=charset)

        answer = await anonymous.post("/auth/token", content=body, headers=headers)

        assert answer.status_code in {400, 401}, charset
        problem_of(answer, answer.status_code)


UNREADABLE_FORMS = [
    (b"username=%ED%A0%80&password=x", FORM["content-type"], 401),
    (b"username=\xff\xfe&password=\xff", FORM["content-type"], 401),
    (b"a=1&" * 4000, FORM["content-type"], 400),
    (b"garbage", "multipart/form-data; boundary=b", 400),
    (b"garbage", "multipart/form-data", 400),
    (b'{"username": "a", "password": "x"}', "application/json", 400),
    (b"username=a&password=x", "text/plain", 400),
]


async def test_a_form_that_cannot_be_read_is_a_problem(anonymous: httpx.AsyncClient) -> None:
    for body, media_type, status in UNREADABLE_FORMS:
        headers = {"content-type": media_type}

        answer = await anonymous.post("/auth/token", content=body, headers=headers)

        problem_of(answer, status)


async def test_a_file_is_not_a_user_name(anonymous: httpx.AsyncClient) -> None:
    parts = {"username": ("name.txt", b"ada@example.com"), "password": (None, b"x")}

    answer = await anonymous.post("/auth/token", files=parts)

    problem_of(answer, 400)


async def test_there_are_no_scopes_to_ask_for(anonymous: httpx.AsyncClient) -> None:
    form = {"username": ADAS, "password": PASSWORD}

    asking = await anonymous.post("/auth/token", data={**form, "scope": "admin"})
    blank = await anonymous.post("/auth/token", data={**form, "scope": "  "})

    assert "scope" in problem_of(asking, 400)["detail"]
    assert blank.status_code == 200


async def test_logging_out_ends_both_tokens_at_once(anonymous: httpx.AsyncClient) -> None:
    tokens = await sign_in(anonymous)
    other = await sign_in(anonymous)

    answer = await anonymous.post("/auth/logout", headers=tokens.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    problem_of(await who_am_i(anonymous, tokens), 401)
    problem_of(await refresh(anonymous, tokens), 401)
    problem_of(await anonymous.post("/auth/logout", headers=tokens.headers), 401)
    assert (await who_am_i(anonymous, other)).status_code == 200


async def test_a_new_password_ends_the_logins_made_with_the_old_one(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    tokens = await sign_in(anonymous)
    bobs = await sign_in(anonymous, "bob@example.com")

    await set_password(sessions, quick_passwords(), email=ADAS, password="a new password")

    problem_of(await who_am_i(anonymous, tokens), 401)
    problem_of(await refresh(anonymous, tokens), 401)
    problem_of(await ask_for_tokens(anonymous), 401)
    assert (await ask_for_tokens(anonymous, ADAS, "a new password")).status_code == 200
    assert (await who_am_i(anonymous, bobs)).status_code == 200


async def test_disabling_a_user_ends_everything(
    anonymous: httpx.AsyncClient, sessions: Sessions
) -> None:
    tokens = await sign_in(anonymous)

    await disable_user(sessions, email=ADAS)

    problem_of(await who_am_i(anonymous, tokens), 401)
    problem_of(await refresh(anonymous, tokens), 401)
    problem_of(await ask_for_tokens(anonymous), 401)


async def test_a_login_with_the_old_password_does_not_outlive_a_change_during_its_check(
    sessions: Sessions,
) -> None:
    async def password_changes() -> None:
        await set_password(sessions, quick_passwords(), email=ADAS, password="a new password")

    slow = Meanwhile(password_changes)

    with pytest.raises(lifecycle.WrongLogin):
        await lifecycle.sign_in(sessions, slow, Tokens(SECRET), ADA_SAYS)

    assert await _count_live_logins(sessions) == 0


async def test_a_user_who_is_disabled_during_the_check_gets_no_login(sessions: Sessions) -> None:
    async def is_disabled() -> None:
        await disable_user(sessions, email=ADAS)

    slow = Meanwhile(is_disabled)

    with pytest.raises(lifecycle.WrongLogin):
        await lifecycle.sign_in(sessions, slow, Tokens(SECRET), ADA_SAYS)

    assert await _count_live_logins(sessions) == 0


async def _count_live_logins(sessions: Sessions) -> int:
    async with sessions() as session:
        live = select(func.count()).where(Login.user_id == ADA, Login.revoked_at.is_(None))
        return await session.scalar(live) or 0


async def test_an_expired_login_ends_both_tokens(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    tokens = await sign_in(anonymous)
    connection = await connect(service.database_url)

    await connection.execute("UPDATE logins SET expires_at = now()")
    await connection.close()

    problem_of(await who_am_i(anonymous, tokens), 401)
    problem_of(await refresh(anonymous, tokens), 401)


async def test_a_token_for_another_users_login_is_refused(anonymous: httpx.AsyncClient) -> None:
    adas_login = UUID(int=ADA)
    token = Tokens(SECRET).issue(user_id=ADA + 1, login_id=adas_login, at=utc_now())

    answer = await anonymous.get("/auth/me", headers={"Authorization": f"Bearer {token}"})

    problem_of(answer, 401)


OTHER_AUTHORIZATIONS = [
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer not-a-token",
    b"Basic YWRhOng=",
    b"Bearer \xff\xfe",
    b"Bearer " + b"a" * 60_000,
    b"bearer a.b.c, Bearer d.e.f",
]


async def test_any_other_authorization_is_answered_as_none(anonymous: httpx.AsyncClient) -> None:
    without = await anonymous.get("/auth/me")

    for header in OTHER_AUTHORIZATIONS:
        answer = await anonymous.get("/auth/me", headers={b"authorization": header})

        assert problem_of(answer, 401) == problem_of(without, 401), header[:60]
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_only_hashes_reach_the_database(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    tokens = await sign_in(anonymous)
    connection = await connect(service.database_url)

    rows = [
        str(row)
        for table in ("users", "logins", "refresh_tokens")
        for row in await connection.fetch(f"SELECT t::text FROM {table} t")
    ]
    await connection.close()

    stored = "\n".join(rows)
    assert stored.count("$argon2id$") == 3
    assert PASSWORD not in stored
    assert tokens.refresh not in stored
    assert tokens.refresh.encode().hex() not in stored


async def test_expired_logins_are_purged_and_the_others_stay(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await Logins(session).add(uuid4(), ADA, -timedelta(seconds=1))
        await Logins(session).add(uuid4(), ADA, timedelta(seconds=60))

    async with sessions.begin() as session:
        before = await session.scalar(select(func.count()).select_from(Login))
        await Logins(session).purge_expired()
        after = await session.scalar(select(func.count()).select_from(Login))

    assert (before, after) == (5, 4)


async def test_changing_an_account_that_does_not_exist_says_so(sessions: Sessions) -> None:
    nobody = "nobody@example.com"

    with pytest.raises(NotFound):
        await disable_user(sessions, email=nobody)
    with pytest.raises(NotFound):
        await set_password(sessions, quick_passwords(), email=nobody, password="12345678")


async def test_the_first_admin_is_made_only_while_there_is_nobody(sessions: Sessions) -> None:
    passwords = quick_passwords()
    async with sessions.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("DELETE FROM users")

    made = await add_first_admin(sessions, passwords, email="a@example.com", password=PASSWORD)
    again = await add_first_admin(sessions, passwords, email="b@example.com", password=PASSWORD)

    assert (made, again) == (True, False)


async def test_of_two_replicas_that_start_at_once_one_makes_the_admin(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("DELETE FROM users")

    async def other_replica_is_quicker() -> None:
        await add_first_admin(sessions, quick_passwords(), email=ADAS, password=PASSWORD)

    slow = Meanwhile(other_replica_is_quicker)

    made = await add_first_admin(sessions, slow, email=ADAS, password=PASSWORD)

    assert made is False


async def test_the_scopes_that_are_shown_are_those_in_the_default_project(
    service: Service, anonymous: httpx.AsyncClient, database: Any
) -> None:
    project = await add_project(service, ADMIN, {ADA: ProjectRole.VIEWER})
    await database.execute("UPDATE users SET default_project_id = $2 WHERE id = $1", ADA, project)

    signed_in = await ask_for_tokens(anonymous)
    renewed = await refresh(anonymous, tokens_of(signed_in))

    mine = (await who_am_i(anonymous, tokens_of(renewed))).json()
    assert mine["scopes"] == ["destinations:read", "events:read", "triggers:read"]
    assert [one.json()["scope"].split() for one in (signed_in, renewed)] == [mine["scopes"]] * 2
