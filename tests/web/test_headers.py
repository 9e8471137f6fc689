"""Every response has a request id and safe headers, and is logged once."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import IntegrityError
from starlette.middleware import Middleware
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from event_trigger.web.middleware import RequestMiddleware
from event_trigger.web.problems import add_problem_handlers
from event_trigger.web.request_meter import RequestMeter
from tests.support.problems import problem_of
from tests.support.services import ADA, Service, running_service, token_of

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ORIGIN = "https://console.example.com"
ALLOWED_ACROSS_ORIGINS = {
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
    *("Last-Event-ID", "X-API-Key", "X-Project-ID", "X-Request-ID", "Cache-Control"),
    "traceparent",
}
EXPOSED_ACROSS_ORIGINS = "ETag, Idempotent-Replayed, Link, Location, Retry-After, X-Request-ID"
CANARY = "canary-7f3a9c"


async def test_every_answer_is_safe_by_default(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    answers = [
        await anonymous.get("/healthz"),
        await anonymous.get("/auth/me"),
        await anonymous.get("/nothing"),
        await ada.get("/triggers"),
        await ada.post("/triggers", json={}),
        await ada.put("/triggers"),
        await ada.post("/triggers", content=b"x" * 2_000_000),
        await ada.delete("/triggers/1"),
    ]

    assert [answer.status_code for answer in answers] == [
        200,
        401,
        404,
        200,
        422,
        405,
        413,
        404,
    ]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers


async def test_pages_keep_a_policy_of_their_own(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/api/docs")
    root = await anonymous.get("/")

    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["x-frame-options"] == "DENY"
    assert (root.status_code, root.headers["location"]) == (307, "api/docs")


async def test_https_is_remembered_where_it_is_used(service: Service) -> None:
    transport = httpx.ASGITransport(service.app)

    async with httpx.AsyncClient(transport=transport, base_url="https://service.test") as client:
        answer = await client.get("/healthz")

    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_a_request_keeps_the_id_that_it_came_with(anonymous: httpx.AsyncClient) -> None:
    for offered in ("a", "0af7651916cd43dd8448eb211c80319c", "A-b_c.9", "x" * 100):
        answer = await anonymous.get("/healthz", headers={"x-request-id": offered})

        assert answer.headers["x-request-id"] == offered


async def test_an_id_that_could_do_harm_is_replaced(anonymous: httpx.AsyncClient) -> None:
    offers = [b"", b"a b", b"x" * 101, b"a\nb", b"\xe9", b"<script>", b"a;b", b"\x1b[2J", b"a\0b"]

    answers = [await anonymous.get("/healthz", headers={b"x-request-id": one}) for one in offers]

    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert len(set(ids)) == len(offers)


async def test_each_request_is_logged_once_with_its_id(
    anonymous: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    await anonymous.get("/auth/me?secret=1", headers={"x-request-id": "my-id"})

    lines = [line for line in capsys.readouterr().out.splitlines() if "my-id" in line]
    assert len(lines) == 1
    assert re.search(r"method=GET .*path=/auth/me .*status=401", lines[0])
    assert "secret" not in lines[0]


async def test_no_other_origin_may_read_answers_unless_it_is_configured(
    ada: httpx.AsyncClient,
) -> None:
    answer = await ada.get("/triggers", headers={"origin": ORIGIN})
    preflight = await ada.options(
        "/triggers", headers={"origin": ORIGIN, "access-control-request-method": "POST"}
    )

    assert answer.status_code == 200
    assert preflight.status_code == 204
    for one in (answer, preflight):
        assert [name for name in one.headers if name.startswith("access-control-")] == []


async def test_configured_origins_may_read_answers_and_errors(database_url: str) -> None:
    async with running_service(database_url, cors_origins=(ORIGIN,)) as service:
        client = service.client(ADA)
        answer = await client.get("/triggers", headers={"origin": ORIGIN})
        refused = await service.client().get("/triggers", headers={"origin": ORIGIN})
        too_large = await client.post(
            "/triggers", headers={"origin": ORIGIN}, content=b"x" * 2_000_000
        )
        preflight = await client.options(
            "/triggers",
            headers={
                "origin": ORIGIN,
                "access-control-request-method": "POST",
                "access-control-request-headers": ", ".join(ALLOWED_ACROSS_ORIGINS).lower(),
            },
        )
        stranger = await client.get("/triggers", headers={"origin": "https://evil.example.com"})

    assert (answer.status_code, refused.status_code, too_large.status_code) == (200, 401, 413)
    for one in (answer, refused, too_large, preflight):
        assert one.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in one.headers
    assert answer.headers["access-control-expose-headers"] == EXPOSED_ACROSS_ORIGINS
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-methods"].count("POST") == 1
    allowed = set(preflight.headers["access-control-allow-headers"].split(", "))
    assert allowed - {"Accept", "Accept-Language", "Content-Language"} == ALLOWED_ACROSS_ORIGINS
    assert "access-control-allow-origin" not in stranger.headers


@pytest.fixture
async def broken() -> AsyncIterator[httpx.AsyncClient]:
    """An application whose endpoints fail in every way."""
    app = FastAPI(middleware=[Middleware(RequestMiddleware, meter=RequestMeter((), prefix=""))])
    add_problem_handlers(app)

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError(CANARY)

    @app.get("/wrong-statement")
    async def wrong_statement() -> None:
        raise IntegrityError("INSERT", {"secret": CANARY}, Exception("23505"))

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("the other half")

        return StreamingResponse(body())

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield client


async def test_a_crash_is_a_problem_without_its_cause(broken: httpx.AsyncClient) -> None:
    for path in ("/crash", "/wrong-statement"):
        with capture_logs([merge_contextvars]) as logged:
            answer = await broken.get(path, headers={"x-request-id": "my-id"})

        assert problem_of(answer, 500)["type"] == "urn:event-trigger:problem:internal-error"
        assert CANARY not in answer.text
        assert answer.headers["x-request-id"] == "my-id"
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
        assert [entry["event"] for entry in logged] == ["request_crashed", "request"]
        assert [entry["request_id"] for entry in logged] == ["my-id", "my-id"]
        assert (logged[0]["exc_info"], logged[1]["status"]) == (True, 500)


async def test_an_answer_that_breaks_off_breaks_the_connection(broken: httpx.AsyncClient) -> None:
    with capture_logs() as logged, pytest.raises(RuntimeError, match="the other half"):
        await broken.get("/half")

    assert [entry["event"] for entry in logged] == ["request_crashed", "request"]


async def test_a_token_in_the_address_opens_nothing(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"/auth/me?access_token={token_of(ADA)}")

    problem_of(answer, 401)
