"""The console's files are served as they were built, and the page at all of its views' paths."""

import re
from typing import Any

import httpx
import pytest

from event_trigger.console.pages import ROOT

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_a_browser_is_led_to_the_console_and_others_to_the_docs(
    anonymous: httpx.AsyncClient,
) -> None:
    browsers, others = await anonymous.get("/", headers=BROWSER), await anonymous.get("/")

    assert (browsers.status_code, browsers.headers["location"]) == (307, "console/")
    assert (others.status_code, others.headers["location"]) == (307, "api/docs")
    assert browsers.headers["vary"] == "Accept"


@pytest.mark.parametrize("path", ["", "triggers", "triggers/7", "no/such/view", "session"])
async def test_each_view_has_the_page_so_that_a_reload_stays(
    anonymous: httpx.AsyncClient, path: str
) -> None:
    page = await anonymous.get(f"/console/{path}")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_the_pages_files_are_kept_for_ever_and_compressed(
    anonymous: httpx.AsyncClient,
) -> None:
    page = await anonymous.get("/console/")
    assets = re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', page.text)
    assert {one.rpartition(".")[2] for one in assets} == {"css", "js"}

    for path in assets:
        found = await anonymous.get(path, headers={"accept-encoding": "gzip"})
        file = (ROOT / "assets" / path.rpartition("/")[2]).read_bytes()
        assert found.content == file
        assert found.headers["content-encoding"] == "gzip"
        assert "immutable" in found.headers["cache-control"]
        plain = await anonymous.get(path, headers={"accept-encoding": "identity"})
        assert (plain.content, "content-encoding" in plain.headers) == (file, False)
        assert (await anonymous.head(path)).status_code == 200


async def test_there_are_no_other_files(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/console/assets/none.js")).status_code == 404
    page = await anonymous.get("/console/")
    for name in ("..%2Findex.html", "%2e%2e%2f%2e%2e%2fpages.py"):  # paths of the page, no files
        assert (await anonymous.get(f"/console/assets/{name}")).content == page.content


class TestUnderAPrefix:
    @pytest.fixture
    def service_settings(self) -> dict[str, Any]:
        return {"root_path": "/event-trigger"}

    async def test_its_paths_have_the_prefix(self, anonymous: httpx.AsyncClient) -> None:
        page = await anonymous.get("/event-trigger/console/")

        assert 'data-prefix="/event-trigger"' in page.text
        [*paths] = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
        for path in paths:
            assert path.startswith("/event-trigger/")
        script = next(path for path in paths if path.endswith(".js"))
        assert (await anonymous.get(script)).status_code == 200
