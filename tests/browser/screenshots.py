"""Takes the pictures of docs/images: `make screenshots`, or with a folder for them.

Each is a view as a team sees it that has worked with the service for a day.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.conftest import CHROMIUM
from tests.browser.small_png import shrink
from tests.browser.team import fill, keep_calling
from tests.faults.site import site
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import PASSWORD

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESK, HAND = 1440, 390
HEIGHTS = {DESK: 900, HAND: 844}


@dataclass(frozen=True)
class Picture:
    name: str
    path: str
    width: int = DESK
    theme: Literal["light", "dark"] = "light"
    user: str = "ada@example.com"


PICTURES = (
    Picture("overview", "/"),
    Picture("overview-dark", "/", theme="dark"),
    Picture("overview-hand", "/", width=HAND),
    Picture("first-steps", "/", user="bob@example.com"),
    Picture("triggers", "/triggers"),
    Picture("triggers-dark", "/triggers", theme="dark"),
    Picture("trigger", "/triggers/{trigger}"),
    Picture("trigger-hand", "/triggers/{trigger}", width=HAND, theme="dark"),
    Picture("editor", "/triggers/{nightly}/edit"),
    Picture("events", "/events"),
    Picture("event", "/events?open={event}"),
    Picture("event-hand", "/events?open={event}", width=HAND),
    Picture("deliveries", "/deliveries"),
    Picture("destinations", "/destinations"),
    Picture("destination", "/destinations?open={destination}"),
    Picture("upcoming", "/upcoming"),
    Picture("calendar", "/calendars?open=bank-holidays"),
    Picture("set", "/sets?open=billing"),
    Picture("keys", "/keys"),
    Picture("members", "/members"),
    Picture("sessions", "/sessions"),
    Picture("users", "/users", user="admin@example.com"),
    Picture("audit", "/audit"),
    Picture("audit-dark", "/audit", theme="dark"),
)
SETTLES = 1_500  # ms after the last request: pictures of a page that still moves differ
# letters that look alike are drawn alike, which makes small files of pictures full of text
SMALL = ("--disable-lcd-text", "--disable-font-subpixel-positioning")


async def take_all(folder: Path, only: frozenset[str]) -> None:
    """Fills a service of its own, and takes each picture with a browser of its own."""
    wanted = [one for one in PICTURES if not only or one.name in only]
    settings = {f"EVENT_TRIGGER_{name.upper()}": one for name, one in ALLOW_LOOPBACK.items()}
    settings["EVENT_TRIGGER_RETENTION_INTERVAL"] = "PT1H"  # the past is planted until it closes it
    async with receiving() as receiver, site(settings) as built, async_playwright() as playwright:
        await built.start(1)
        client = built.client()
        ids = await fill(client, built.url, receiver)
        calling = asyncio.create_task(_keep_calling(client, ids))
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", *SMALL]
        )
        url = built.replicas[0].url
        users = dict.fromkeys(one.user for one in wanted)
        signed_in = {user: await _sign_in(chromium, url, user) for user in users}
        blank = await chromium.new_page()
        for one in wanted:
            path = one.path.format(**ids)
            png = await _take(chromium, one, f"{url}/console{path}", signed_in[one.user])
            to = folder / f"{one.name}.png"
            to.write_bytes(await shrink(blank, png))
            sys.stdout.write(f"{to.name:24}{to.stat().st_size / 1024:6.0f} KiB\n")
            sys.stdout.flush()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        await client.aclose()
        await chromium.close()


async def _keep_calling(client: httpx.AsyncClient, ids: dict[str, int]) -> None:
    """Lets events arrive while pictures are taken, which also opens the breaker of one receiver."""
    async for _ in keep_calling(client, ids):
        await asyncio.sleep(0.7)


async def _sign_in(browser: Browser, url: str, user: str) -> Any:
    """Gives the cookie of a session."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{url}/console/")
    await page.get_by_label("E-mail").fill(user)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("navigation", name="Views").wait_for()
    state = await context.storage_state()
    await context.close()
    return state


async def _take(browser: Browser, one: Picture, url: str, state: Any) -> bytes:
    context = await browser.new_context(
        storage_state=state,
        viewport={"width": one.width, "height": HEIGHTS[one.width]},
        color_scheme=one.theme,
        reduced_motion="reduce",
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    page = await context.new_page()
    await page.goto(url)
    await _settle(page)
    png = await page.screenshot()
    await context.close()
    return png


async def _settle(page: Page) -> None:
    """Waits until the view has its data: streams never end, so not until the network is idle."""
    await page.locator("main h1, main h2").first.wait_for(state="attached")
    await page.locator(".skeleton").first.wait_for(state="detached")
    await page.wait_for_timeout(SETTLES)


if __name__ == "__main__":
    given = sys.argv[1:]
    target = Path(given[0]) if given else IMAGES
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take_all(target, frozenset(given[1:])))
