"""Measures the console in Chromium: its first load, lists of a large project, and a fast stream.

The browser shares the cores with the service and the load, whose average is told with the times.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from playwright.async_api import CDPSession, Page, Request, async_playwright

from bench.gauges import MIB, connected
from bench.large_log import plant_two_days
from bench.report import Rounds, at_most, table
from bench.served import default_site
from tests.browser.conftest import CHROMIUM
from tests.faults.site import Site
from tests.support.services import ADA, PASSWORD

BATCHES = 4  # a second
STILL = 5  # seconds without an event
# the times at which a selector is first in the document, and the durations of long tasks
_WATCH = """
window.watched = {seen: {}, long: []};
new PerformanceObserver((list) => {
    watched.long.push(...list.getEntries().map((one) => one.duration));
}).observe({type: "longtask", buffered: true});
new MutationObserver(() => {
    for (const selector of [".verdict", ".signin form"]) {
        if (!(selector in watched.seen) && document.querySelector(selector) !== null) {
            watched.seen[selector] = performance.now();
        }
    }
}).observe(document, {childList: true, subtree: true});
"""
_ROWS = "document.querySelectorAll('tbody tr, .live li').length"
# rows of the view that is left do not count
_CLICK = """
(selector) => new Promise((done) => {
    const link = document.querySelector(selector);
    const old = document.querySelector("tbody tr");
    const began = performance.now();
    const look = new MutationObserver(() => {
        const row = document.querySelector("tbody tr");
        if (row === null || row === old || location.pathname !== link.pathname) return;
        look.disconnect();
        done(performance.now() - began);
    });
    look.observe(document, {childList: true, subtree: true});
    link.click();
})
"""
VIEWS = {"triggers": "/triggers", "events": "/events", "deliveries": "/deliveries"}


class FirstLoad(NamedTuple):
    """The first visit of a browser without a cache, until it can be used; times are in ms."""

    kib: float
    requests: int
    form: float
    overview: float


class Streamed(NamedTuple):
    """A tail that was open while events were fired; `heap` is what it grew by (MiB)."""

    fired: int
    shown: int
    per_second: float
    long_tasks: int
    longest_ms: float
    heap: float
    rows: int


@asynccontextmanager
async def signed_in(url: str) -> AsyncIterator[Page]:
    """Opens the console in a browser of its own."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = await chromium.new_page(viewport={"width": 1440, "height": 900})
        await page.add_init_script(_WATCH)
        await page.goto(f"{url}/console/")
        await page.get_by_label("E-mail").fill("ada@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.locator(".verdict").wait_for()
        yield page
        await chromium.close()


async def measure_first_load(url: str) -> FirstLoad:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = await chromium.new_page()
        await page.add_init_script(_WATCH)
        answered: list[Request] = []

        def note(request: Request) -> None:
            answered.append(request)

        page.on("requestfinished", note)
        await page.goto(f"{url}/console/")
        await page.get_by_label("E-mail").wait_for()
        form = await page.evaluate("watched.seen['.signin form']")
        requests = len(answered)
        files = [one for one in answered if "/console/" in one.url]
        sizes = [await one.sizes() for one in files]
        kib = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes) / 1024
        await page.get_by_label("E-mail").fill("ada@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.locator(".verdict").wait_for()
        await page.goto("about:blank")
        await page.goto(f"{url}/console/")
        await page.locator(".verdict").wait_for()
        overview = await page.evaluate("watched.seen['.verdict']")
        await chromium.close()
        return FirstLoad(kib, requests, form, overview)


async def measure_lists(page: Page, found: Rounds[float], url: str, rounds: int) -> int:
    """Clicks through the menu; returns the largest number of rows that a view had."""
    most = 0
    await page.goto(f"{url}/console/upcoming")
    await page.locator("main h1").wait_for()
    for _ in range(rounds):
        for name, path in VIEWS.items():
            selector = f"nav.menu a[href$='{path}']"
            found.add(name, await page.evaluate(_CLICK, selector))
            most = max(most, await page.evaluate(_ROWS))
    return most


async def measure_stream(
    built: Site, page: Page, *, per_second: int, seconds: float, trigger_id: int
) -> Streamed:
    """Fires by batches for so long, while the tail is open."""
    url = built.replicas[0].url
    await page.goto(f"{url}/console/events?live=1")
    await page.locator(".live").get_by_text("Live", exact=False).first.wait_for()
    devtools = await page.context.new_cdp_session(page)
    await asyncio.sleep(1)
    await page.evaluate("watched.long.length = 0")
    before = await _heap_of(devtools)
    began = time.monotonic()
    fired = await _fire(built, trigger_id, per_second, seconds)
    took = time.monotonic() - began
    shown = await _until_still(page, fired)
    long_tasks = await page.evaluate("watched.long")
    rows = await page.evaluate(_ROWS)
    heap = await _heap_of(devtools) - before
    return Streamed(
        fired, shown, fired / took, len(long_tasks), max(long_tasks, default=0), heap, rows
    )


async def _until_still(page: Page, wanted: int) -> int:
    """Returns the number of events that the tail has got, once no more of them come."""
    got, still = -1, 0
    while got != wanted and still < STILL:
        await asyncio.sleep(1)
        before, got = got, int(await page.locator(".live").get_attribute("data-sum") or 0)
        still = still + 1 if got == before else 0
    return got


async def _fire(built: Site, trigger_id: int, per_second: int, seconds: float) -> int:
    calls = [
        {"trigger": trigger_id, "payload": {"order": number, "note": "x" * 150}}
        for number in range(per_second // BATCHES)
    ]
    began, sent = time.monotonic(), 0
    async with built.client() as client:
        while sent / BATCHES < seconds:
            answer = await client.post("/triggers/trigger-batch", json={"calls": calls})
            assert answer.status_code == 200, answer.text
            sent += 1
            await asyncio.sleep(max(0.0, began + sent / BATCHES - time.monotonic()))
    return sent * len(calls)


async def _heap_of(devtools: CDPSession) -> float:
    await devtools.send("HeapProfiler.collectGarbage")
    used = await devtools.send("Runtime.getHeapUsage")
    return float(used["usedSize"]) / MIB


async def report_console(
    *, triggers: int, events: int, rounds: int, per_second: int, seconds: float
) -> list[str]:
    """Fills a project, and uses it as a person would, and then follows its events."""
    loads, lists, streams = Rounds[FirstLoad](), Rounds[float](), Rounds[Streamed]()
    most = 0
    async with default_site() as built:
        await plant_two_days(built.url, events=events, triggers=triggers, deliveries=events // 10)
        await built.start(1)
        url = built.replicas[0].url
        for _ in range(rounds):
            await loads.take("load", measure_first_load(url))
        async with connected(built) as database:
            trigger_id = await database.fetchval(
                "SELECT id FROM triggers WHERE owner_id = $1 AND type = 'api'"
                " AND status = 'active' ORDER BY id LIMIT 1",
                ADA,
            )
        async with signed_in(url) as page:
            most = await lists.attempt("lists", measure_lists(page, lists, url, rounds)) or 0
            streaming = measure_stream(
                built, page, per_second=per_second, seconds=seconds, trigger_id=trigger_id
            )
            await streams.take("stream", streaming)
    return _told(
        loads,
        lists,
        streams,
        most,
        title=f"console, {triggers:,} triggers, {events:,} events, load average"
        f" {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores",
    )


def _told(
    loads: Rounds[FirstLoad],
    lists: Rounds[float],
    streams: Rounds[Streamed],
    most: int,
    *,
    title: str,
) -> list[str]:
    load, stream = loads.medians().get("load"), streams.medians().get("stream")
    rows = {f"{name}: click to rows": [f"{ms:.0f} ms"] for name, ms in lists.medians().items()}
    if load is not None:
        rows |= {
            "first load": [f"{load.kib:.1f} KiB"],
            "its requests": [f"{load.requests:.0f}"],
            "until the form of the first visit": [f"{load.form:.0f} ms"],
            "until the overview's verdict": [f"{load.overview:.0f} ms"],
        }
    if stream is not None:
        rows |= {
            "stream: events a second": [f"{stream.per_second:,.0f}"],
            "stream: fired": [f"{stream.fired:,.0f}"],
            "stream: dropped": [f"{stream.fired - stream.shown:,.0f}"],
            "stream: long tasks": [f"{stream.long_tasks:.0f}"],
            "stream: the longest": [f"{stream.longest_ms:.0f} ms"],
            "stream: heap grew by": [f"{stream.heap:.1f} MiB"],
        }
    slowest = max(lists.medians().values(), default=None)
    shown = max(most, 0 if stream is None else stream.rows)
    failed = {**loads.failed, **lists.failed, **streams.failed}
    return [
        *table(title, [""], rows, failed),
        at_most("first load", load and load.kib, 55, " KiB"),
        at_most("requests of the first load", load and load.requests, 6),
        at_most("until the overview's verdict", load and load.overview, 1_000, " ms"),
        at_most("a click to rows", slowest, 150, " ms"),
        at_most("rows in the document", shown, 100),
        at_most("events that the tail missed", stream and stream.fired - stream.shown, 0),
        at_most("long tasks while streaming", stream and stream.long_tasks, 0),
    ]
