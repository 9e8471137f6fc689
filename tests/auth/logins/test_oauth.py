"""OAuth 2.0 clients sign in, refresh by themselves, and are told what is wrong (RFC 6749)."""

import asyncio
from typing import Any

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

from tests.support.logins import ask_for_tokens, refresh, sign_in, tokens_of, used_earlier, who_am_i
from tests.support.problems import problem_of
from tests.support.services import ADA, PASSWORD, Service
from tests.support.streams import listening

ADAS = "ada@example.com"
ALL = "destinations:read destinations:write events:read triggers:fire triggers:read triggers:write"


async def ask(client: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await client.post("/auth/token", data=form)


async def test_authlib_signs_in_refreshes_by_itself_and_raises(service: Service) -> None:
    renewed: list[dict[str, Any]] = []

    def use(url: str, method: str) -> tuple[dict[str, Any], Any]:
        """Signs in, and calls with an expired token, then with one that cannot be refreshed."""
        with Authlib(
            token_endpoint=f"{url}/auth/token",
            token_endpoint_auth_method=method,
            update_token=lambda token, **_: renewed.append(token),
        ) as client:
            with pytest.raises(OAuthError, match="invalid_grant"):
                client.fetch_token(username=ADAS, password="wrong")
            first = dict(client.fetch_token(username=ADAS, password=PASSWORD))
            client.token["expires_at"] = 1
            me = client.get(f"{url}/auth/me").json()
            client.token.update(expires_at=1, refresh_token="etr_ended")
            with pytest.raises(OAuthError, match="invalid_grant"):
                client.get(f"{url}/auth/me")
            return first, me

    async with listening(service) as url:
        for method in ("none", "client_secret_basic", "client_secret_post"):
            first, me = await asyncio.to_thread(use, url, method)

            token = renewed.pop()
            assert not renewed
            assert me["id"] == ADA
            assert token["refresh_token"] != first["refresh_token"]
            assert token["scope"] == first["scope"] == ALL


async def test_requests_oauthlib_signs_in_refreshes_by_itself_and_raises(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    renewed: list[dict[str, Any]] = []

    def use(url: str) -> tuple[dict[str, Any], Any]:
        session = OAuth2Session(
            client=LegacyApplicationClient(client_id=""),
            auto_refresh_url=f"{url}/auth/token",
            token_updater=renewed.append,
        )
        with pytest.raises(InvalidGrantError):
            session.fetch_token(f"{url}/auth/token", username=ADAS, password="wrong")
        first = session.fetch_token(f"{url}/auth/token", username=ADAS, password=PASSWORD)
        session.token = {**first, "expires_in": -30, "expires_at": 1}
        return first, session.get(f"{url}/auth/me").json()

    async with listening(service) as url:
        first, me = await asyncio.to_thread(use, url)

    assert me["id"] == ADA
    assert me["scopes"] == ALL.split()
    assert [one["refresh_token"] != first["refresh_token"] for one in renewed] == [True]


async def test_a_refresh_token_is_exchanged_as_at_its_own_endpoint(
    service: Service, anonymous: httpx.AsyncClient
) -> None:
    first = await sign_in(anonymous)

    answer = await ask(anonymous, grant_type="refresh_token", refresh_token=first.refresh)
    second = tokens_of(answer)
    await used_earlier(service, 11)
    reused = await ask(anonymous, grant_type="refresh_token", refresh_token=first.refresh)

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.json()["scope"] == ALL
    assert problem_of(reused, 400)["error"] == "invalid_grant"
    problem_of(await who_am_i(anonymous, second), 401)
    problem_of(await refresh(anonymous, second), 401)


async def test_a_refresh_narrows_the_access_token_and_not_the_login(
    service: Service, anonymous: httpx.AsyncClient
) -> None:
    wide = await sign_in(anonymous)

    answer = await ask(
        anonymous, grant_type="refresh_token", refresh_token=wide.refresh, scope="triggers:read"
    )
    narrow = tokens_of(answer)
    again = await ask(anonymous, grant_type="refresh_token", refresh_token=narrow.refresh)
    all_named = await ask(
        anonymous, grant_type="refresh_token", refresh_token=tokens_of(again).refresh, scope=ALL
    )

    assert answer.json()["scope"] == "triggers:read"
    me = (await who_am_i(anonymous, narrow)).json()
    assert me["scopes"] == ["triggers:read"]
    body = {"type": "api", "details": {}}
    problem_of(await anonymous.post("/triggers", json=body, headers=narrow.headers), 403)
    problem_of(await anonymous.post("/projects", json={"name": "a"}, headers=narrow.headers), 403)
    key = {"name": "a", "scopes": ["triggers:write"]}
    problem_of(await anonymous.post("/auth/keys", json=key, headers=narrow.headers), 403)
    assert (await anonymous.get("/auth/sessions", headers=narrow.headers)).json() == []
    for whole in map(tokens_of, (again, all_named)):
        made = await anonymous.post("/projects", json={"name": "a"}, headers=whole.headers)
        assert made.status_code == 201


async def test_a_sign_in_leaves_out_scopes_that_the_user_does_not_hold(
    anonymous: httpx.AsyncClient,
) -> None:
    answer = await ask(anonymous, username=ADAS, password=PASSWORD, scope="admin triggers:read")

    assert answer.json()["scope"] == "triggers:read"


async def test_refusals_have_the_codes_of_the_rfc(anonymous: httpx.AsyncClient) -> None:
    narrowed = await sign_in(anonymous, scope="triggers:read")
    grant = {"grant_type": "refresh_token", "refresh_token": narrowed.refresh}
    refused = [
        ({"username": ADAS, "password": "wrong"}, 401, "invalid_grant"),
        ({"username": ADAS, "password": PASSWORD, "scope": "x"}, 400, "invalid_scope"),
        ({"username": ADAS}, 400, "invalid_request"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({**grant, "scope": "triggers:write"}, 400, "invalid_scope"),
        ({**grant, "refresh_token": "etr_no"}, 400, "invalid_grant"),
    ]
    for form, status, error in refused:
        problem = problem_of(await ask(anonymous, **form), status)

        assert problem["error"] == error, form
        assert problem["error_description"].isascii()
        assert '"' not in problem["error_description"]

    assert (await ask(anonymous, **grant)).status_code == 200  # none of them used it up
    for _ in range(10):
        await ask_for_tokens(anonymous, "no@example.com", "wrong")
    waiting = problem_of(await ask_for_tokens(anonymous, "no@example.com", "wrong"), 429)
    assert waiting["error"] == "temporarily_unavailable"
