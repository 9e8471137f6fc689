"""Opens the console in Chromium, and watches over what the page does besides the test."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import PASSWORD, Service
from tests.support.streams import listening

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
expect.set_options(timeout=60_000)  # ms, which only bound a hang
# a status that a test provokes is also written to the browser's log
_STATUSES = "the server responded with a status of"
_AWAY = "net::ERR_"
TOLD = "told"  # the name of a property whose value is told after the run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if "tests/browser" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium on this machine"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == TOLD:
                terminalreporter.write_line(str(value))


async def write_code(editor: Locator, text: str) -> None:
    """Writes over the text of an editor of code, once it is there, as a person does."""
    await expect(editor).to_have_attribute("contenteditable", "true")
    await editor.press("ControlOrMeta+A")
    await editor.press_sequentially(text)


@dataclass
class Console:
    """A page of the console, and each thing that it did and should not have done."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def open(self, path: str = "/") -> None:
        await self.page.goto(f"{self.url}/console{path}")

    async def sign_in(self, email: str = "ada@example.com", password: str = PASSWORD) -> None:
        await self.open()
        await self.page.get_by_label("E-mail").fill(email)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_role("navigation", name="Views").wait_for()

    def watch(self) -> None:
        """Notes errors, refusals of the content security policy and calls to other hosts."""
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("request", lambda request: self._count(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and _STATUSES not in text and _AWAY not in text:
            self.faults.append(text)

    def _count(self, url: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.faults.append(f"calls {url}")


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return dict(ALLOW_LOOPBACK)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        await chromium.close()


@pytest.fixture
def looks() -> dict[str, Any]:
    """How the browser looks at the page: a desk by day, for a test to replace."""
    return {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}


@pytest.fixture
async def console(
    browser: Browser, service: Service, looks: dict[str, Any]
) -> AsyncIterator[Console]:
    """A signed-out page on the lent service; it must have done nothing wrong by the end."""
    async with listening(service) as url:
        context = await browser.new_context(timezone_id="Europe/Berlin", **looks)
        context.set_default_timeout(60_000)
        made = Console(await context.new_page(), url)
        made.watch()
        yield made
        await context.close()
        assert made.faults == []
