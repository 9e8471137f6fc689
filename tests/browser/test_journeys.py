"""Three people use the console: a newcomer, an engineer at a glance, and one called at night."""

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.conftest import TOLD, Console
from tests.support.destinations import make_destination, until_finished
from tests.support.projects import invite, make_project
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.triggers import make_api, make_scheduled, read
from tests.support.waiting import eventually


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {**ALLOW_LOOPBACK, "retry_after": (0.0,)}


async def test_a_newcomer_sees_an_event_arrive(
    console: Console, ada: httpx.AsyncClient, record_property: Callable[[str, object], None]
) -> None:
    page = console.page
    began = time.monotonic()
    await console.sign_in()

    await expect(page.get_by_role("heading", name="Make the first trigger")).to_be_visible()
    await page.get_by_role("button", name="Make it").click()
    await page.get_by_role("button", name="Fire it").click()
    arrived = page.get_by_role("region", name="First steps").locator(".live li")
    await expect(arrived.first).to_contain_text("My first trigger")
    took = time.monotonic() - began
    await page.get_by_role("link", name=re.compile(r"^Event \d")).click()
    await expect(page.get_by_role("dialog")).to_contain_text('"hello": "world"')

    [trigger] = (await ada.get("/triggers")).json()
    assert (trigger["name"], trigger["fire_count"]) == ("My first trigger", 1)
    record_property(TOLD, f"the newcomer's minute: {took:.1f} s from the address to an event")


async def test_the_first_steps_go_on_after_a_reload(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await page.get_by_label("Name").fill("Mine")
    await page.get_by_label("It fires").select_option("call")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.get_by_role("button", name="Fire it")).to_be_visible()

    await page.reload()
    await page.get_by_role("button", name="Fire it").click()
    await page.get_by_role("button", name="To the overview").click()

    await expect(page.get_by_role("heading", name="Last 24 hours")).to_be_visible()
    [trigger] = (await ada.get("/triggers")).json()
    assert (trigger["type"], trigger["fire_count"]) == ("api", 1)


async def test_who_is_called_at_night_finds_the_reason_in_two_clicks(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    async with receiving() as receiver:
        receiver.answers["/"] = 422
        made = await make_destination(ada, receiver.url, key="crm")
        trigger = await make_api(ada, destinations=[made["id"]], name="Orders")
        await ada.post(f"/triggers/{trigger['id']}/trigger", json={"order": 1})
        await until_finished(ada)

    await console.sign_in()
    attention = page.locator(".attention")
    await expect(attention).to_contain_text("crm")
    await attention.get_by_role("link").first.click()
    await page.get_by_role("row").nth(1).get_by_role("cell").nth(1).click()

    await expect(page.get_by_role("dialog")).to_contain_text("422")


async def test_a_glance_says_that_all_is_right(console: Console, ada: httpx.AsyncClient) -> None:
    await make_scheduled(ada, name="Nightly")
    await console.sign_in()

    verdict = console.page.get_by_role("region", name="Verdict")
    await expect(verdict).to_contain_text("Everything due has fired.")
    await expect(console.page).to_have_title(re.compile("^●"))
    icon = console.page.locator('link[rel="icon"]')
    await expect(icon).to_have_attribute("href", re.compile("16a34a"))  # green
    await expect(console.page.get_by_role("link", name="1 active")).to_be_visible()


async def test_planned_and_fired_stand_side_by_side(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_scheduled(ada, {"interval": "PT1S", "recurring": True}, name="Second")
    await eventually(lambda: read(ada, trigger["id"]), lambda one: one["fire_count"] >= 3)
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")

    card = console.page.get_by_role("region", name="Planned and fired")
    await expect(card).to_contain_text(re.compile(r"planned = [\d,]+ fired"))
    assert await card.locator("svg .mark.good").count() >= 3


async def test_a_trigger_is_changed_by_keys_alone(console: Console, ada: httpx.AsyncClient) -> None:
    trigger = await make_scheduled(ada, name="Keys")
    page = console.page
    await console.sign_in()

    await page.keyboard.press("g")
    await page.keyboard.press("t")
    await expect(page.get_by_role("heading", name="Triggers", exact=True)).to_be_visible()
    await expect(page.get_by_role("row").nth(1)).to_contain_text("Keys")
    await page.keyboard.press("j")
    await expect(page.locator("tr.current")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    await page.keyboard.press("f")
    await expect(page.get_by_text("is on record")).to_be_visible()
    await page.keyboard.press("p")
    await expect(page.get_by_text("‖ paused")).to_be_visible()

    assert (await read(ada, trigger["id"]))["status"] == "paused"


async def test_two_editors_do_not_overwrite_each_other(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_scheduled(ada, name="Before")
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}/edit")
    await page.get_by_label("Name", exact=True).fill("Mine")
    await ada.patch(f"/triggers/{trigger['id']}", json={"name": "Somebody else's"})

    await page.get_by_role("button", name="Save", exact=True).click()

    await expect(page.get_by_text("Somebody else has changed it")).to_be_visible()
    assert await page.get_by_label("Name", exact=True).input_value() == "Mine"
    assert (await read(ada, trigger["id"]))["name"] == "Somebody else's"


async def test_a_refusal_stands_beside_what_was_written(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/triggers/new")
    await page.get_by_label("Cron", exact=True).fill("0 9 * *")

    await page.get_by_role("button", name="Save", exact=True).click()

    await expect(page.get_by_text("#/details/cron").first).to_be_visible()
    assert (await ada.get("/triggers")).json() == []


async def test_deleting_asks_for_the_name(console: Console, ada: httpx.AsyncClient) -> None:
    trigger = await make_scheduled(ada, name="Old", key="old-one")
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")

    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    await dialog.get_by_label(re.compile("to confirm")).fill("old-one")
    await dialog.get_by_role("button", name="Delete").click()

    await expect(page.get_by_text("is deleted")).to_be_visible()
    assert (await ada.get("/triggers")).json() == []


async def test_many_are_paused_at_once(console: Console, ada: httpx.AsyncClient) -> None:
    for number in range(3):
        await make_scheduled(ada, name=f"Bulk {number}", tags=["bulk"])
    await make_scheduled(ada, name="Other")
    page = console.page
    await console.sign_in()
    await console.open("/triggers?tag=bulk")

    await page.get_by_label("Select all rows of this page").check()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("button", name="Pause 3").click()

    await expect(page.get_by_text("3 triggers: pause done.")).to_be_visible()
    paused = (await ada.get("/triggers", params={"status": "paused"})).json()
    assert sorted(one["name"] for one in paused) == ["Bulk 0", "Bulk 1", "Bulk 2"]


async def test_a_reload_shows_the_same(console: Console, ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada, name="Kept")
    await ada.post(f"/triggers/{trigger['id']}/trigger", json={"number": 7})
    [event] = (await ada.get("/events")).json()
    await console.sign_in()
    await console.open(f"/events?is_test=false&open={event['id']}")
    await expect(console.page.get_by_role("dialog")).to_contain_text('"number": 7')

    await console.page.reload()

    await expect(console.page.get_by_role("dialog")).to_contain_text('"number": 7')
    assert await console.page.get_by_label("Tests").input_value() == "false"


async def test_events_arrive_live(console: Console, ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada, name="Lively")
    await console.sign_in()
    live = console.page.locator(".live")
    await expect(live).to_contain_text("Live")

    await ada.post(f"/triggers/{trigger['id']}/trigger")

    await expect(live.get_by_role("link", name="Lively")).to_be_visible()


async def test_signing_out_ends_the_session(console: Console) -> None:
    await console.sign_in()
    [cookie] = await console.page.context.cookies()
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")

    await console.page.locator("summary").click()
    await console.page.get_by_role("button", name="Sign out").click()

    await expect(console.page.get_by_label("Password")).to_be_visible()
    assert await console.page.context.cookies() == []


async def test_an_invitation_leads_to_the_project(console: Console, ada: httpx.AsyncClient) -> None:
    project = await make_project(ada, "Billing")
    token = (await invite(ada, project, role="viewer"))["token"]
    page = console.page
    await page.goto(f"{console.url}/invitations/accept#{token}")

    await page.get_by_label("E-mail").fill("carol@example.com")
    await page.get_by_label(re.compile("New password")).fill("eleven grey herons wading")
    await page.get_by_role("button", name="Join").click()
    await page.get_by_role("link", name="Open the console").click()

    await expect(page.get_by_label("Project")).to_contain_text("Billing")
    assert token not in "".join(console.requests)
    assert "#" not in page.url


async def test_a_forgotten_password_is_asked_for_without_an_account_being_told(
    console: Console,
) -> None:
    page = console.page
    await console.open()
    await page.get_by_role("button", name="Forgotten password").click()
    await page.get_by_label("E-mail").fill("nobody@example.com")
    await page.get_by_role("button", name="Send a link").click()

    await expect(page.get_by_text("event_trigger user password")).to_be_visible()
