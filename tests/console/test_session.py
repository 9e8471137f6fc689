"""A browser signs in with a cookie, which counts on requests of the service's own pages only."""

from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from tests.support.databases import connect
from tests.support.keys import make_key
from tests.support.logins import sign_in
from tests.support.problems import problem_of
from tests.support.services import ADA, ADMIN, PASSWORD, Service
from tests.support.triggers import instant
from tests.support.waiting import eventually

SAME = {"sec-fetch-site": "same-origin"}
LOGIN = {"email": "ada@example.com", "password": PASSWORD}
NAME = "__Host-et_session"


async def start(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post("/console/session", json=LOGIN, headers=SAME | headers)


async def cookie_of(client: httpx.AsyncClient) -> str:
    answer = await start(client)
    assert answer.status_code == 204, answer.text
    client.cookies.clear()  # each request says by itself what it sends
    return SimpleCookie(answer.headers["set-cookie"])[NAME].value


def carrying(cookie: str, **headers: str) -> dict[str, str]:
    return {"cookie": f"theme=dark; {NAME}={cookie}", **headers}


async def me(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.get("/auth/me", headers=headers)


async def test_a_browser_works_with_its_cookie(anonymous: httpx.AsyncClient) -> None:
    answer = await start(anonymous)
    anonymous.cookies.clear()

    [morsel] = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (morsel.key, morsel["path"], morsel["domain"]) == (NAME, "/", "")
    assert (morsel["httponly"], morsel["secure"]) == (True, True)
    assert morsel["samesite"].lower() == "strict"
    assert answer.content == b""
    headers = carrying(morsel.value, **SAME)
    assert (await me(anonymous, headers)).json()["email"] == "ada@example.com"
    made = await anonymous.post("/triggers", json={"type": "api", "details": {}}, headers=headers)
    assert made.status_code == 201
    fired = await anonymous.post(f"{made.headers['location']}/trigger", headers=headers)
    assert fired.status_code == 200
    seen = await anonymous.get(fired.headers["location"], headers=headers)
    assert seen.json()["source"]["kind"] == "login"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "http://service.test"},
    ],
)
async def test_it_counts_on_requests_of_our_own_pages_only(
    anonymous: httpx.AsyncClient, sent: dict[str, str]
) -> None:
    cookie = await cookie_of(anonymous)

    assert (await me(anonymous, carrying(cookie, **sent))).status_code == 401
    body = {"type": "api", "details": {}}
    refused = await anonymous.post("/triggers", json=body, headers=carrying(cookie, **sent))
    assert refused.status_code == 401


async def test_browsers_without_fetch_metadata_send_an_origin(anonymous: httpx.AsyncClient) -> None:
    cookie = await cookie_of(anonymous)

    answer = await me(anonymous, carrying(cookie, origin="http://service.test"))

    assert answer.status_code == 200


async def test_a_token_or_key_beside_it_wins(
    anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, service: Service
) -> None:
    cookie, key = await cookie_of(anonymous), (await make_key(ada, "events:read"))["key"]
    admins = service.client(ADMIN).headers["authorization"]

    by_token = await me(anonymous, carrying(cookie, authorization=admins, **SAME))
    by_key = await me(anonymous, {**carrying(cookie, **SAME), "x-api-key": key})
    by_nothing_good = await me(anonymous, carrying(cookie, authorization="Bearer no", **SAME))

    assert by_token.json()["email"] == "admin@example.com"
    assert by_key.json()["scopes"] == ["events:read"]
    assert by_nothing_good.status_code == 401


async def test_it_is_no_token_and_no_key_is_a_cookie(
    anonymous: httpx.AsyncClient, ada: httpx.AsyncClient
) -> None:
    cookie, key = await cookie_of(anonymous), (await make_key(ada, "events:read"))["key"]

    assert (await me(anonymous, {"authorization": f"Bearer {cookie}"})).status_code == 401
    assert (await me(anonymous, {"x-api-key": cookie})).status_code == 401
    assert (await me(anonymous, carrying(key, **SAME))).status_code == 401


async def test_metrics_do_not_take_it(anonymous: httpx.AsyncClient) -> None:
    login = {"email": "admin@example.com", "password": PASSWORD}
    answer = await anonymous.post("/console/session", json=login, headers=SAME)
    cookie = SimpleCookie(answer.headers["set-cookie"])[NAME].value
    anonymous.cookies.clear()

    assert (await me(anonymous, carrying(cookie, **SAME))).status_code == 200
    scraped = await anonymous.get("/metrics", headers=carrying(cookie, **SAME))
    assert scraped.status_code == 401


async def test_it_is_one_of_the_users_sessions(anonymous: httpx.AsyncClient) -> None:
    cookie = await cookie_of(anonymous)
    headers = carrying(cookie, **SAME)

    listed = (await anonymous.get("/auth/sessions", headers=headers)).json()
    [mine] = [one for one in listed if one["is_current"]]
    life = instant(mine["expires_at"]) - instant(mine["last_used_at"])
    assert life == timedelta(hours=12)

    other = await sign_in(anonymous)
    path = f"/auth/sessions/{mine['id']}"
    assert (await anonymous.delete(path, headers=other.headers)).status_code == 204
    assert (await me(anonymous, headers)).status_code == 401


async def test_signing_out_ends_it_and_deletes_the_cookie(anonymous: httpx.AsyncClient) -> None:
    headers = carrying(await cookie_of(anonymous), **SAME)

    answer = await anonymous.delete("/console/session", headers=headers)

    assert answer.status_code == 204
    [morsel] = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (morsel.key, morsel.value, morsel["max-age"]) == (NAME, "", "0")
    assert (await me(anonymous, headers)).status_code == 401


async def moved_back(service: Service, hours: float, *, created: float = 0) -> None:
    """Moves the last use of Ada's browser, and so the end of its session, into the past."""
    connection = await connect(service.database_url)
    await connection.execute(
        "UPDATE logins SET last_used_at = last_used_at - make_interval(secs => $1 * 3600),"
        " expires_at = expires_at - make_interval(secs => $1 * 3600),"
        " created_at = created_at - make_interval(secs => $2 * 3600)"
        " WHERE user_id = $3 AND cookie_hash IS NOT NULL",
        hours,
        created,
        ADA,
    )
    await connection.close()


async def session_row(service: Service) -> Any:
    connection = await connect(service.database_url)
    row = await connection.fetchrow(
        "SELECT expires_at - now() AS left FROM logins"
        " WHERE user_id = $1 AND cookie_hash IS NOT NULL",
        ADA,
    )
    await connection.close()
    return row


async def test_it_ends_twelve_hours_after_its_last_use(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    headers = carrying(await cookie_of(anonymous), **SAME)

    await moved_back(service, 11.9)
    assert (await me(anonymous, headers)).status_code == 200
    assert (await session_row(service))["left"] > timedelta(hours=11.9)  # it was used again

    await moved_back(service, 12)
    await eventually(lambda: me(anonymous, headers), lambda answer: answer.status_code == 401)


async def test_it_ends_after_thirty_days_however_it_is_used(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    headers = carrying(await cookie_of(anonymous), **SAME)

    await moved_back(service, 1, created=30 * 24 - 1)
    assert (await me(anonymous, headers)).status_code == 200

    assert (await session_row(service))["left"] < timedelta(hours=1.1)


async def test_a_page_of_another_site_signs_nobody_in(anonymous: httpx.AsyncClient) -> None:
    crossing = await start(anonymous, **{"sec-fetch-site": "cross-site"})
    assert problem_of(crossing, 403)["type"].endswith("other-origin")

    older = await anonymous.post(
        "/console/session", json=LOGIN, headers={"origin": "http://evil.test"}
    )
    assert problem_of(older, 403)["type"].endswith("other-origin")
    assert "set-cookie" not in {*crossing.headers, *older.headers}


async def test_a_page_without_tls_learns_why_it_cannot_sign_in(
    anonymous: httpx.AsyncClient,
) -> None:
    refused = await start(anonymous, origin="http://service.test")

    assert problem_of(refused, 403)["type"].endswith("insecure-origin")
    for origin in ("https://service.test", "http://localhost:8000", "http://127.0.0.1:8000"):
        assert (await start(anonymous, origin=origin)).status_code == 204
        anonymous.cookies.clear()


async def test_wrong_passwords_are_counted(anonymous: httpx.AsyncClient) -> None:
    wrong = LOGIN | {"password": "not the right one"}

    statuses = [
        (await anonymous.post("/console/session", json=wrong, headers=SAME)).status_code
        for _ in range(11)
    ]

    assert statuses == [401] * 10 + [429]


class TestWithoutTls:
    @pytest.fixture
    def service_settings(self) -> dict[str, Any]:
        return {"insecure_cookie": True}

    async def test_an_operator_may_let_the_cookie_travel_in_plain_text(
        self, anonymous: httpx.AsyncClient
    ) -> None:
        answer = await start(anonymous, origin="http://service.test")

        [morsel] = SimpleCookie(answer.headers["set-cookie"]).values()
        assert (morsel.key, morsel["secure"], morsel["httponly"]) == ("et_session", "", True)
        anonymous.cookies.clear()
        headers = {"cookie": f"et_session={morsel.value}", **SAME}
        assert (await me(anonymous, headers)).status_code == 200
