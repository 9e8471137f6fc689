"""Events are found, followed, replayed, fired with changes and exported."""

import asyncio
import json
import re

import httpx
from playwright.async_api import expect

from tests.browser.conftest import Console
from tests.support.projects import make_project
from tests.support.services import Service
from tests.support.triggers import make_api, make_scheduled


async def _fire(client: httpx.AsyncClient, trigger: dict[str, int], payload: object) -> int:
    answer = await client.post(f"/triggers/{trigger['id']}/trigger", json=payload)
    assert answer.status_code == 200, answer.text
    return int(answer.headers["event-id"])


async def test_filters_stand_in_the_url_and_are_saved(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    trigger = await make_api(ada, name="Called")
    await _fire(ada, trigger, {})
    await ada.post(f"/triggers/{trigger['id']}/test")
    await console.sign_in()
    await console.open("/events")
    rows = page.get_by_role("region", name="Events").locator("tbody tr")
    await expect(rows).to_have_count(2)

    await page.get_by_label("Tests").select_option("false")
    await page.get_by_label(re.compile("^By")).select_option("login")
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Save these filters").click()
    await page.get_by_label("Name of these filters").fill("Real calls")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Clear").click()
    await expect(rows).to_have_count(2)
    await page.reload()
    await page.get_by_role("button", name="Real calls", exact=True).click()

    await expect(rows).to_have_count(1)
    assert "is_test=false" in page.url
    assert "source=login" in page.url
    await page.get_by_label(re.compile("^By")).select_option("hook")
    await expect(page.get_by_text("No event matches.")).to_be_visible()


async def test_a_time_is_chosen_in_the_zone_of_the_page(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await _fire(ada, await make_api(ada), {})
    await console.sign_in()
    await console.open("/events?tz=Asia%2FKolkata")
    await page.get_by_label("Within").select_option("chosen")

    await page.get_by_label("Since").fill("2026-03-13T10:00")

    await expect(page).to_have_url(re.compile("since=2026-03-13T04%3A30%3A00.000Z"))
    await expect(page.get_by_role("region", name="Events").locator("tbody tr")).to_have_count(1)


async def test_an_event_is_changed_and_fired_again(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    trigger = await make_api(ada, name="Orders")
    first = await _fire(ada, trigger, {"order": 1, "note": "keep"})
    await console.sign_in()
    await console.open(f"/events?open={first}")

    await page.get_by_role("button", name="Edit & fire").click()
    dialog = page.get_by_role("dialog", name="Edit & fire")
    await dialog.get_by_label("Payload").fill("{no json")
    await dialog.get_by_role("button", name="Fire", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("This is no JSON")
    await dialog.get_by_label("Payload").fill('{"order": 2, "note": "keep"}')
    await dialog.get_by_role("button", name="Fire", exact=True).click()

    await expect(page.get_by_text(re.compile(r"Event \d+ is on record"))).to_be_visible()
    newest, oldest = (await ada.get("/events")).json()
    assert newest["payload"] == {"order": 2, "note": "keep"}
    assert (oldest["id"], oldest["payload"]["order"]) == (first, 1)
    await expect(page.get_by_role("dialog", name=f"Event {newest['id']}")).to_be_visible()


async def test_the_key_r_replays_the_open_event(console: Console, ada: httpx.AsyncClient) -> None:
    first = await _fire(ada, await make_api(ada), {"order": 1})
    await console.sign_in()
    await console.open(f"/events?open={first}")
    await expect(console.page.get_by_role("dialog")).to_contain_text('"order": 1')

    await console.page.keyboard.press("r")

    await expect(console.page.get_by_role("dialog")).to_contain_text("Replay of")
    newest = (await ada.get("/events")).json()[0]
    assert (newest["replay_of"], newest["payload"]) == (first, {"order": 1})


async def test_new_rows_wait_while_somebody_reads(console: Console, ada: httpx.AsyncClient) -> None:
    page = console.page
    trigger = await make_api(ada, name="Lively")
    for number in range(3):
        await _fire(ada, trigger, {"number": number})
    await console.sign_in()
    await console.open("/events")
    table = page.get_by_role("region", name="Events")
    rows = table.locator("tbody tr")
    await expect(rows).to_have_count(3)
    read = await rows.first.inner_text()
    await table.hover()

    for number in range(2):
        await _fire(ada, trigger, {"number": number})
    pill = page.get_by_role("button", name="2 new ↑")
    await expect(pill).to_be_visible()
    assert (await rows.first.inner_text()).split()[0] == read.split()[0]
    await pill.click()

    await expect(rows).to_have_count(5)
    await expect(pill).to_have_count(0)


async def test_rows_that_nobody_reads_come_by_themselves(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    await _fire(ada, trigger, {})
    await console.sign_in()
    await console.open("/events")
    rows = console.page.get_by_role("region", name="Events").locator("tbody tr")
    await expect(rows).to_have_count(1)

    await _fire(ada, trigger, {})

    await expect(rows).to_have_count(2)


async def test_the_tail_is_held_by_a_key_and_keeps_at_most_fifty_rows(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    trigger = await make_api(ada, name="Busy")
    await console.sign_in()
    await console.open("/events?live=1")
    tail = page.get_by_role("region", name="Live tail")
    await expect(tail).to_contain_text("Live")
    await page.keyboard.press(".")
    await expect(tail).to_contain_text("Held")

    calls = [{"trigger": trigger["id"], "payload": {"n": n}} for n in range(60)]
    await ada.post("/triggers/trigger-batch", json={"calls": calls})
    await expect(tail.get_by_role("button", name="60 new ↑")).to_be_visible()
    assert await tail.locator("li").count() == 0
    await page.keyboard.press(".")

    await expect(tail.locator("li")).to_have_count(50)
    newest = (await ada.get("/events", params={"limit": 1})).json()[0]["id"]
    await expect(tail.locator("li").first).to_contain_text(str(newest))


async def test_above_two_hundred_a_second_the_tail_tells_the_rate(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    await console.sign_in()
    await console.open("/events?live=1")
    tail = console.page.get_by_role("region", name="Live tail")
    await expect(tail).to_contain_text("Live")

    calls = [{"trigger": trigger["id"]} for _ in range(1_000)]
    for _ in range(3):
        await ada.post("/triggers/trigger-batch", json={"calls": calls})
    await expect(tail).to_contain_text("a second: the newest of them are shown")
    await expect(tail.locator(".live")).to_have_attribute("data-sum", "3000")
    assert await tail.locator("li").count() == 50


async def test_an_export_is_of_the_project_that_is_shown(
    console: Console, ada: httpx.AsyncClient, service: Service
) -> None:
    page = console.page
    project = await make_project(ada, "Billing")
    there = service.client(2, project=project)
    await _fire(ada, await make_api(ada), {"where": "own"})
    await _fire(there, await make_api(there), {"where": "billing"})
    await console.sign_in()
    await console.open("/events")
    found = []
    for name in (None, "Billing"):
        if name is not None:
            await page.get_by_label("Project").select_option(label=name)
            await asyncio.sleep(0)
        async with page.expect_download() as download:
            await page.get_by_text("Export NDJSON").click()
        text = (await (await download.value).path()).read_text()
        found += [json.loads(line)["payload"]["where"] for line in text.splitlines()]

    assert found == ["own", "billing"]


async def test_a_scheduled_event_says_when_it_was_planned(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_scheduled(ada, {"interval": "PT1S", "recurring": True})
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")
    row = console.page.get_by_role("region", name="Events").locator("tbody tr").first
    await row.wait_for()
    await row.get_by_role("button").first.click()

    await expect(console.page.get_by_role("dialog")).to_contain_text("Planned for")
    await expect(console.page.get_by_role("dialog")).to_contain_text("ms earlier")
