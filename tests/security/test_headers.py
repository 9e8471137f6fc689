"""Checks the security headers of every answer, and the host names that are answered."""

import re
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from event_trigger.config import Settings
from tests.security.hostile import MARK
from tests.support.logins import sign_in
from tests.support.problems import problem_of
from tests.support.services import ADA, Service, make_settings, running_service

PAGES = ["/api/docs", "/api/redoc"]
DATA = ["/healthz", "/openapi.json", "/auth/me", "/nothing", "/triggers"]
TRUSTED = {"trusted_hosts": "api.example.com, *.example.org,[::1],127.0.0.1"}


@pytest.mark.parametrize("path", PAGES + DATA)
async def test_no_answer_lets_a_page_run_what_is_not_ours(
    ada: httpx.AsyncClient, path: str
) -> None:
    answer = await ada.get(path)

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", PAGES)
async def test_pages_hold_no_script_or_style_that_their_policy_forbids(
    anonymous: httpx.AsyncClient, path: str
) -> None:
    page = (await anonymous.get(path)).text

    assert re.findall(r"<script(?![^>]* src=)[^>]*>", page) == []
    assert re.findall(r"\sstyle=|\son\w+=|<style", page) == []
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//", page) == []


async def test_nothing_that_holds_a_token_is_stored_by_anybody(service: Service) -> None:
    anonymous, ada = service.client(), service.client(ADA)
    form = {"username": "ada@example.com", "password": "correct horse battery staple"}
    tokens = await sign_in(anonymous)
    destination = {"url": "https://93.184.216.34/"}
    made = await ada.post("/destinations", json=destination)

    answers = [
        await anonymous.post("/auth/token", data=form),
        await anonymous.post("/auth/refresh", json={"refresh_token": tokens.refresh}),
        await ada.post("/auth/keys", json={"name": "k", "scopes": ["triggers:fire"]}),
        made,
        await ada.get(f"/destinations/{made.json()['id']}/secret"),
        await ada.post(f"/destinations/{made.json()['id']}/rotate-secret"),
    ]

    for answer in answers:
        assert answer.is_success, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_tls_is_remembered_and_only_where_it_is_used(service: Service) -> None:
    transport = httpx.ASGITransport(service.app)

    async with httpx.AsyncClient(transport=transport) as client:
        safe = [await client.get(f"https://service.test{path}") for path in PAGES + DATA]
        plain = await client.get("http://service.test/healthz")

    assert {one.headers["strict-transport-security"] for one in safe} == {"max-age=63072000"}
    assert "strict-transport-security" not in plain.headers


async def test_no_other_origin_is_let_in_by_default(ada: httpx.AsyncClient) -> None:
    for path in PAGES + DATA:
        answer = await ada.get(path, headers={"origin": "https://evil.example.com"})

        assert [one for one in answer.headers if one.startswith("access-control-")] == []
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_an_answer_without_a_body_names_no_media_type(ada: httpx.AsyncClient) -> None:
    made = await ada.post("/triggers", json={"type": "api"})

    answer = await ada.delete(made.headers["location"])

    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers


async def test_any_host_is_answered_unless_some_are_trusted(ada: httpx.AsyncClient) -> None:
    answer = await ada.get("/triggers", headers={"host": "whatever.example"})

    assert answer.status_code == 200


HOSTS = [
    ("api.example.com", 200),
    ("API.Example.COM", 200),
    ("api.example.com:8443", 200),
    ("a.example.org", 200),
    ("a.b.example.org:80", 200),
    ("127.0.0.1:8000", 200),
    ("[::1]:8000", 200),
    ("[::1]", 200),
    ("example.com", 400),
    ("evil.api.example.com", 400),
    ("api.example.com.evil.example", 400),
    ("api.example.com@evil.example", 400),
    ("evil.example:api.example.com", 400),
    ("example.org", 400),
    ("evilexample.org", 400),
    ("[::2]", 400),
    ("", 400),
    (f"{MARK}.example.net", 400),
]


async def test_only_trusted_hosts_are_answered(database_url: str) -> None:
    async with running_service(database_url, **TRUSTED) as service:
        ada = service.client(ADA)
        answers = [await ada.get("/triggers", headers={"host": host}) for host, _ in HOSTS]

    assert [answer.status_code for answer in answers] == [status for _, status in HOSTS]
    for answer in answers:
        if answer.status_code == 400:
            problem = problem_of(answer, 400)
            assert problem["type"] == "urn:event-trigger:problem:unknown-host"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert MARK not in answer.text + str(answer.headers)


async def test_a_host_is_looked_at_before_anything_is_done(database_url: str) -> None:
    async with running_service(database_url, **TRUSTED) as service:
        ada = service.client(ADA)
        trusted = {"host": "api.example.com"}
        forms: list[dict[str, Any]] = [{"headers": {"host": "evil.example"}}]
        forms.append({"headers": [("host", "api.example.com"), ("host", "evil.example")]})
        refused = [await ada.post("/triggers", json={"type": "api"}, **one) for one in forms]
        page = await ada.get("/api/docs", headers={"host": "evil.example"})
        kept = await ada.get("/triggers", headers=trusted)

    for answer in [*refused, page]:
        problem_of(answer, 400)
    assert kept.json() == []


async def test_probes_are_answered_under_every_name(database_url: str) -> None:
    async with running_service(database_url, **TRUSTED) as service:
        anonymous = service.client()
        alive = await anonymous.get("/healthz", headers={"host": "10.1.2.3:8000"})
        ready = await anonymous.get("/readyz", headers={"host": "10.1.2.3:8000"})
        near = await anonymous.get("/healthz/", headers={"host": "10.1.2.3:8000"})

    assert alive.status_code == 200
    assert ready.status_code in {200, 503}  # it has only just begun
    problem_of(near, 400)


def test_trusted_hosts_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_TRUSTED_HOSTS", " API.example.com ,*.example.org,, ")

    assert Settings(_env_file=None).trusted_hosts == ("api.example.com", "*.example.org")
    assert make_settings("postgresql://nowhere/nothing", trusted_hosts="").trusted_hosts == ()


@pytest.mark.parametrize(
    "wrong", ["https://example.com", "example.com:8000", "*", "*.", "a.*.b", "a b", "example.com/"]
)
def test_what_is_no_name_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_TRUSTED_HOSTS", wrong)

    with pytest.raises(ValidationError, match=r"write names such as api\.example\.com"):
        Settings(_env_file=None)
