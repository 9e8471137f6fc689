"""The documentation pages work under a strict CSP, and load nothing from other hosts."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from event_trigger.web import docs

HERE = "http://testserver"
PAGES = ["/api/docs", "/api/redoc"]
VENDORED = sorted(path for path in docs.ROOT.glob("assets/*/**/*") if path.is_file())
OWN = sorted(
    [*docs.ROOT.glob("*.html"), *docs.ROOT.glob("assets/*.css"), *docs.ROOT.glob("assets/*.js")]
)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.include_router(docs.router)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        yield client


@pytest.mark.parametrize("page", PAGES)
async def test_page_is_html_under_a_policy_without_exceptions(
    client: httpx.AsyncClient, page: str
) -> None:
    answer = await client.get(page)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"unsafe|\*|https?:|blob:", policy)


@pytest.mark.parametrize("page", PAGES)
async def test_everything_a_page_names_is_served_from_here(
    client: httpx.AsyncClient, page: str
) -> None:
    html = (await client.get(page)).text

    names = re.findall(r'(?:src|href)="([^"]+)"', html)
    targets = [urljoin(HERE + page, name) for name in names]
    answers = [await client.get(target) for target in targets]

    assert len(names) >= 3
    assert {urlsplit(target).netloc for target in targets} == {"testserver"}
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("page", PAGES)
async def test_page_holds_no_inline_script_or_style(client: httpx.AsyncClient, page: str) -> None:
    html = (await client.get(page)).text

    assert not re.search(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]", html)


async def test_modules_that_the_own_scripts_import_are_served(client: httpx.AsyncClient) -> None:
    script = f"{HERE}/api/docs/assets/redoc-init.js"
    source = (await client.get(script)).text

    imported = re.findall(r'from "([^"]+)"', source)
    answers = [await client.get(urljoin(script, name)) for name in imported]

    assert [answer.status_code for answer in answers] == [200]
    assert "javascript" in answers[0].headers["content-type"]


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_file_mentions_no_host(path: Path) -> None:
    assert not re.search(r"https?:|[\"'(`]//", path.read_text("utf-8"))


def test_vendored_files_are_the_published_ones() -> None:
    lines = (docs.ROOT / "SHA256SUMS").read_text().splitlines()

    expected = {name: digest for digest, name in (line.split("  ") for line in lines)}

    assert VENDORED
    assert expected == {
        path.relative_to(docs.ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED
    }


@pytest.mark.parametrize("folder", sorted({path.parent for path in VENDORED}), ids=lambda f: f.name)
def test_vendored_folder_has_its_licence_and_is_described(folder: Path) -> None:
    described = (docs.ROOT / "VENDORED.md").read_text("utf-8")

    assert (folder / "LICENSE").is_file()
    assert all(name in described for name in [folder.name, *(p.name for p in folder.iterdir())])


async def test_only_versioned_assets_are_cached_without_asking(client: httpx.AsyncClient) -> None:
    ours = await client.get("/api/docs/assets/swagger-init.js")
    vendored = await client.get("/api/docs/assets/swagger-ui-5.35.0/swagger-ui.css")
    again = await client.get(str(ours.url), headers={"If-None-Match": ours.headers["etag"]})

    assert ours.headers["cache-control"] == "no-cache"
    assert vendored.headers["cache-control"] == "public, max-age=86400"
    assert again.status_code == 304


@pytest.mark.parametrize(
    "name", ["nothing.js", "", "redoc-3.0.1", "..%2fVENDORED.md", "%00", "%ED%A0%80", "a" * 5000]
)
async def test_unknown_asset_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/api/docs/assets/{name}")

    assert answer.status_code == 404


@pytest.mark.parametrize("page", PAGES)
async def test_page_answers_head_and_is_not_part_of_the_described_api(
    client: httpx.AsyncClient, page: str
) -> None:
    head = await client.head(page)
    described = (await client.get("/openapi.json")).json()

    assert (head.status_code, head.content) == (200, b"")
    assert described["paths"] == {}
