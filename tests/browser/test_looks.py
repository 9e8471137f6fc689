"""Every view is accessible in both themes, on a desk and in a hand; and the page is light."""

import gzip
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from event_trigger.console.pages import ROOT
from tests.browser.conftest import Console
from tests.support.calendars import put_calendar
from tests.support.destinations import make_destination
from tests.support.sets import put_set
from tests.support.triggers import make_api, make_scheduled

HMAC = {"header": "X-Signature", "algorithm": "sha256", "encoding": "hex", "signs": "{body}"}
AXE = Path(__file__).parents[2] / "console/node_modules/axe-core/axe.min.js"
MOST_BYTES = 55 * 1024
MOST_REQUESTS = 6
VIEWS = (
    *("/", "/triggers", "/triggers/new", "/triggers/{trigger}", "/triggers/{trigger}?tab=payload"),
    *(
        "/triggers/{trigger}?tab=next",
        "/triggers/{called}?tab=hook",
        "/triggers/{trigger}?tab=history",
    ),
    *("/triggers/{trigger}?tab=rates", "/triggers/{called}/edit", "/triggers?tag=billing"),
    *("/triggers/{trigger}/edit", "/events", "/events?open={event}", "/deliveries"),
    *("/deliveries?open={delivery}", "/destinations", "/destinations?open={destination}"),
    "/destinations?open=new",
    *("/upcoming", "/upcoming?span=7d", "/calendars", "/sets", "/keys", "/sessions", "/members"),
    *("/users", "/audit", "/nowhere", "/events?live=1", "/events?since=2026-01-01T00:00:00Z"),
    *("/calendars?open=closed", "/sets?open=billing", "/audit?target=trigger&open={entry}"),
)
# views whose button opens a form
FORMS = {
    "/calendars": "New calendar",
    "/keys": "New key",
    "/members": "Invite",
    "/sessions": "Change password",
    "/users": "Add a user",
    "/events?open={event}": "Edit & fire",
}
_RUN_AXE = """
async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}))
    .violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).slice(0, 3).join(" | ")}`)
"""


@pytest.fixture(params=[(1440, "light"), (390, "dark"), (1440, "dark"), (390, "light")], ids=str)
def looks(request: pytest.FixtureRequest) -> dict[str, Any]:
    width, theme = request.param
    return {"viewport": {"width": width, "height": 900}, "color_scheme": theme}


async def _fill(client: httpx.AsyncClient) -> dict[str, int]:
    """Makes one of each, with a name that is too long for any column."""
    made = await make_destination(client, "http://127.0.0.1:9/hook", key="crm")
    trigger = await make_scheduled(
        client,
        {"cron": "30 2 * * 1-5", "timezone": "Asia/Kolkata"},
        name="Nightly report of everything that anybody may ever want to know " * 2,
        tags=["billing", "nightly"],
        destinations=[made["id"]],
    )
    called = await make_api(client, name="Called", details={"hook": {"verify": "hmac", **HMAC}})
    fired = await client.post(f"/triggers/{trigger['id']}/trigger")
    [delivery] = (await client.get("/deliveries")).json()
    await client.post("/auth/keys", json={"name": "a key", "scopes": ["triggers:fire"]})
    await put_calendar(client, "closed", "2026-12-24")
    await put_set(client, "billing", {"triggers": {"invoices": {"type": "api"}}})
    await client.patch(f"/triggers/{trigger['id']}", json={"name": "Other"})
    [entry] = (await client.get("/audit", params={"action": "update_trigger"})).json()
    return {
        "entry": entry["id"],
        "trigger": trigger["id"],
        "called": called["id"],
        "event": int(fired.headers["event-id"]),
        "delivery": delivery["id"],
        "destination": made["id"],
    }


async def test_no_view_breaks_a_rule_of_accessibility(
    console: Console, admin: httpx.AsyncClient, looks: dict[str, Any]
) -> None:
    ids = await _fill(admin)
    found: dict[str, list[str]] = {}
    await console.open()
    await console.page.get_by_label("Password").wait_for()
    await console.page.evaluate(AXE.read_text())
    assert await console.page.evaluate(_RUN_AXE) == []
    await console.sign_in("admin@example.com")

    for view in VIEWS:
        await console.open(view.format(**ids))
        await console.page.locator("main h1, main .empty, main form").first.wait_for()
        found |= await _violations(console, view, looks)
    for view, button in FORMS.items():
        await console.open(view.format(**ids))
        await console.page.get_by_role("button", name=button, exact=True).click()
        await console.page.locator("dialog form").wait_for()
        found |= await _violations(console, f"{view}, {button}", looks)
    await console.page.context.clear_cookies()
    await console.open()
    await console.sign_in("bob@example.com")  # whose project is empty
    await console.page.get_by_role("heading", name="Make the first trigger").wait_for()
    found |= await _violations(console, "first steps", looks)

    assert found == {}


async def _violations(console: Console, view: str, looks: dict[str, Any]) -> dict[str, list[str]]:
    await console.page.evaluate(AXE.read_text())
    found: dict[str, list[str]] = {}
    if violations := await console.page.evaluate(_RUN_AXE):
        found[view] = violations
    width = await console.page.evaluate("document.documentElement.scrollWidth")
    if width > looks["viewport"]["width"]:
        found[f"{view} is wider than the screen"] = [str(width)]
    return found


def test_the_first_load_is_small() -> None:
    files = first_load()

    assert len(files) <= MOST_REQUESTS
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= MOST_BYTES
    assert len(files) < len([*(ROOT / "assets").iterdir()])  # charts and editors come when opened


def first_load() -> set[Path]:
    """Finds the files that the page names, and those that its scripts import at once."""
    open_ones, found = {ROOT / "index.html"}, set[Path]()
    while open_ones:
        file = open_ones.pop()
        found.add(file)
        named = re.findall(r'assets/([\w.-]+)|(?:from|import)"\./([\w.-]+)"', file.read_text())
        open_ones |= {ROOT / "assets" / (one or other) for one, other in named} - found
    return found


async def test_the_first_load_takes_few_requests(console: Console) -> None:
    await console.open()
    await console.page.get_by_label("Password").wait_for()

    assert len(console.requests) <= MOST_REQUESTS, console.requests
