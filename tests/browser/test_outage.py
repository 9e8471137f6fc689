"""A server that is killed while somebody types loses nothing of it, and the page says so."""

import signal
import socket
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, expect

from tests.browser.conftest import Console
from tests.support.processes import serving, with_database

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
        await served.end(signal.SIGKILL)
        await page.get_by_label("Tags").fill("kept")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_text("The server cannot be reached.").first).to_be_visible()

    async with serving(folder, **settings):
        assert await page.get_by_label("Tags").input_value() == "kept"
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("heading", name="Typed before the kill")).to_be_visible()

    await page.context.close()
    assert console.faults == []
