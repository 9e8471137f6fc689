"""Large answers are compressed for clients that accept it, but no stream and no secret."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.datastructures import Headers

from event_trigger.web import docs
from event_trigger.web.compression import accepts_gzip, in_thread
from tests.support.hooks import make_hook
from tests.support.problems import problem_of
from tests.support.services import Service
from tests.support.triggers import make_api

LARGE = {"a": "b" * 11_000}
GZIP, PLAIN = {"accept-encoding": "br, gzip"}, {"accept-encoding": "identity"}


@pytest.fixture
def service(own_service: Service) -> Service:
    """A service whose first trigger has the id 1."""
    return own_service


async def test_a_large_answer_is_compressed_if_the_client_accepts_it(
    ada: httpx.AsyncClient,
) -> None:
    await make_api(ada, payload=LARGE)

    for path in ("/triggers", "/triggers/1", "/triggers?limit=1"):
        plain = await ada.get(path, headers=PLAIN)
        compressed = await ada.get(path, headers=GZIP)

        assert plain.headers["vary"] == compressed.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in plain.headers
        assert compressed.headers["content-encoding"] == "gzip"
        assert int(compressed.headers["content-length"]) < len(plain.content) / 10
        assert compressed.json() == plain.json()


async def test_a_small_answer_an_error_and_a_write_are_not(ada: httpx.AsyncClient) -> None:
    made = await ada.post("/triggers", json={"type": "api", "payload": LARGE}, headers=GZIP)
    changed = await ada.patch("/triggers/1", json={"name": "a"}, headers=GZIP)
    small = await ada.get("/info", headers=GZIP)
    wrong = await ada.get("/triggers?x=1", headers=GZIP)

    assert (made.status_code, changed.status_code, small.status_code) == (201, 200, 200)
    problem_of(wrong, 422)
    for answer in (made, changed, small, wrong):
        assert "content-encoding" not in answer.headers
        assert "vary" not in answer.headers


async def test_an_answer_with_a_secret_is_not(ada: httpx.AsyncClient) -> None:
    hook = await make_hook(ada, "none", payload=LARGE)

    listed = await ada.get("/triggers", headers=GZIP)
    read = await ada.get(f"/triggers/{hook.trigger_id}", headers=GZIP)

    for answer in (listed, read):
        assert hook.token in answer.text
        assert len(answer.content) > 10_240
        assert "content-encoding" not in answer.headers


async def test_an_export_is_not(ada: httpx.AsyncClient) -> None:
    await make_api(ada)
    await ada.post("/triggers/1/trigger", json=LARGE)

    answer = await ada.get("/events/export", headers=GZIP)

    assert len(answer.content) > 10_240
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZip;Q=0.5", True),
        ("br , gzip ; q=1.0, *;q=0", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("gzip;q=none", False),
        ("identity", False),
        ("x-gzipped", False),
    ],
)
def test_the_client_says_whether_it_accepts_gzip(accepted: str, expected: bool) -> None:
    assert accepts_gzip(Headers({"accept-encoding": accepted})) is expected


ASSET = "/api/docs/assets/swagger-ui-5.35.0/swagger-ui-bundle.js"


async def test_a_static_file_is_compressed_once_and_known_by_its_tag(
    anonymous: httpx.AsyncClient,
) -> None:
    source = (docs.ROOT / ASSET.removeprefix("/api/docs/")).read_bytes()

    plain = await anonymous.get(ASSET, headers=PLAIN)
    compressed = await anonymous.get(ASSET, headers=GZIP)
    once = docs.compressed_file.cache_info().misses
    again = await anonymous.get(ASSET, headers=GZIP)
    known = [
        await anonymous.get(ASSET, headers={**GZIP, "if-none-match": one.headers["etag"]})
        for one in (plain, compressed)
    ]

    assert plain.content == compressed.content == again.content == source
    assert compressed.headers["content-encoding"] == "gzip"
    assert int(compressed.headers["content-length"]) < len(source) / 3
    assert docs.compressed_file.cache_info().misses == once
    assert [answer.status_code for answer in known] == [304, 304]


async def test_the_document_has_a_strong_tag_for_each_encoding(
    anonymous: httpx.AsyncClient,
) -> None:
    plain = await anonymous.get("/openapi.json", headers=PLAIN)
    compressed = await anonymous.get("/openapi.json", headers=GZIP)

    assert plain.json() == compressed.json()
    assert compressed.headers["content-encoding"] == "gzip"
    tags = [plain.headers["etag"], compressed.headers["etag"]]
    assert len(set(tags)) == 2
    assert all(tag.startswith('"') for tag in tags)
    for known in (*tags, f'"other", W/{tags[0]}', "*"):
        answer = await anonymous.get("/openapi.json", headers={"if-none-match": known, **PLAIN})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tags[0]
    assert (
        await anonymous.get("/openapi.json", headers={"if-none-match": '"a"'})
    ).status_code == 200


async def _compressed_body() -> AsyncIterator[bytes]:
    yield gzip.compress(b'{"type": "api"}')


async def test_a_compressed_request_is_refused_with_words(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    paths = ["/triggers", "/triggers/1/trigger", f"/hooks/{hook.token}", "/auth/token"]

    for path in paths:
        for headers in ({"content-encoding": "gzip"}, {"content-encoding": "identity, br"}):
            answer = await ada.post(path, content=_compressed_body(), headers=headers)

            assert "uncompressed" in problem_of(answer, 415)["detail"], path
            assert answer.headers["accept-encoding"] == "identity"
    fired = await ada.post("/triggers/1/trigger", headers={"content-encoding": "Identity"})
    assert fired.status_code == 200


async def test_the_document_is_built_while_an_answer_is_compressed(
    anonymous: httpx.AsyncClient,
) -> None:
    is_built = threading.Event()
    compressing = asyncio.create_task(in_thread(is_built.wait))
    await asyncio.sleep(0)  # lets it take the thread
    try:
        async with asyncio.timeout(60):
            document = await anonymous.get("/openapi.json")
    finally:
        is_built.set()
        await compressing

    assert document.status_code == 200
