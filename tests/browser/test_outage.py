"""A server that is killed while somebody types loses nothing of it, and the page says so."""

import re
import signal
import socket
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, expect

from tests.browser.conftest import Console
from tests.support.processes import serving, with_database
from tests.support.triggers import make_api

ADMIN = {
    "EVENT_TRIGGER_ADMIN_EMAIL": "admin@example.com",
    "EVENT_TRIGGER_ADMIN_PASSWORD": "eleven grey herons wading",
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def test_what_was_typed_survives_a_kill(
    browser: Browser, folder: Path, empty_url: str, looks: dict[str, Any]
) -> None:
    settings = {"PORT": str(free_port()), **with_database(empty_url), **ADMIN}
    page = await (await browser.new_context(**looks)).new_page()
    async with serving(folder, **settings) as served:
        console = Console(page, served.url)
        console.watch()
        await console.sign_in(
            ADMIN["EVENT_TRIGGER_ADMIN_EMAIL"], ADMIN["EVENT_TRIGGER_ADMIN_PASSWORD"]
        )
        await console.open("/triggers/new")
        await page.get_by_label("Name", exact=True).fill("Typed before the kill")
        other = Console(await page.context.new_page(), served.url)
        await other.open("/calendars")
        await other.page.get_by_role("button", name="New calendar").click()
        await other.page.get_by_label(re.compile("^Key")).fill("closed")
        await served.end(signal.SIGKILL)
        await _fill_while_away(other)
        await page.get_by_label("Tags").fill("kept")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_text("The server cannot be reached.").first).to_be_visible()

    async with serving(folder, **settings):
        assert await page.get_by_label("Tags").input_value() == "kept"
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("heading", name="Typed before the kill")).to_be_visible()
        await other.page.get_by_role("button", name="Make it").click()
        await expect(other.page.get_by_text("closed is made.")).to_be_visible()

    await page.context.close()
    assert console.faults == []


async def _fill_while_away(console: Console) -> None:
    """Goes on typing, and sends what nobody receives."""
    await console.page.get_by_label(re.compile("Dates")).fill("2026-12-24")
    await console.page.get_by_role("button", name="Make it").click()
    dialog = console.page.get_by_role("dialog", name="New calendar")
    await expect(dialog.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    assert await dialog.get_by_label(re.compile("Dates")).input_value() == "2026-12-24"


async def test_while_the_server_is_away_the_overview_admits_that_it_cannot_know(
    browser: Browser, folder: Path, empty_url: str, looks: dict[str, Any]
) -> None:
    settings = {"PORT": str(free_port()), **with_database(empty_url), **ADMIN}
    page = await (await browser.new_context(**looks)).new_page()
    async with serving(folder, **settings) as served:
        async with served.client(
            await served.sign_in(
                ADMIN["EVENT_TRIGGER_ADMIN_EMAIL"], ADMIN["EVENT_TRIGGER_ADMIN_PASSWORD"]
            )
        ) as client:
            await make_api(client, name="Kept")
        console = Console(page, served.url)
        await console.sign_in(
            ADMIN["EVENT_TRIGGER_ADMIN_EMAIL"], ADMIN["EVENT_TRIGGER_ADMIN_PASSWORD"]
        )
        charts = page.locator(".bars")
        await expect(charts).to_have_count(4)
        await served.end(signal.SIGKILL)

        verdict = page.get_by_role("region", name="Verdict")
        await expect(verdict).to_contain_text("This cannot be known right now")
        await expect(page.get_by_text(re.compile(r"This is \d+ s old")).first).to_be_visible()
        await expect(page).to_have_title(re.compile("^○"))
        await expect(charts).to_have_count(4)  # each part keeps what it showed

    await page.context.close()
