"""The views of destinations: how each does, a sample before it is saved, and its secret."""

import re
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.conftest import Console, write_code
from tests.support.destinations import make_destination, until_finished
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.triggers import make_api, make_scheduled


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {**ALLOW_LOOPBACK, "retry_after": (0.0,)}


async def test_a_template_is_shown_as_it_would_be_sent_before_it_is_saved(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/destinations")
    await page.get_by_role("button", name="New destination").click()
    await page.get_by_label("URL", exact=True).fill("http://127.0.0.1:9/chat")
    await page.get_by_label("Key, a name of your own").fill("chat")
    await page.get_by_label("Format").select_option("template")
    template = page.get_by_role("textbox", name=re.compile("Template"))

    await write_code(template, '{"text": {{ data.message }')
    await expect(page.locator(".faults").first).to_be_visible()
    await write_code(template, '{"text": {{ data.message | json }}}')
    await expect(page.get_by_label("The request")).to_contain_text('{"text": "Backup done"}')
    await page.get_by_role("button", name="Add a header").click()
    await page.get_by_label("Name of header 1").fill("Authorization")
    await page.get_by_label("Value of header 1").fill("Bearer canary-3f9a")
    await page.get_by_role("button", name="Save", exact=True).click()

    dialog = page.get_by_role("dialog", name="The secret that signs")
    await expect(dialog).to_contain_text("whsec_")
    for language, word in (("Node", "express"), ("Go", "package main"), ("curl", "openssl")):
        await dialog.get_by_role("button", name=language, exact=True).click()
        await expect(dialog.get_by_role("region", name="How to verify")).to_contain_text(word)
    await dialog.get_by_role("button", name="Done").click()
    [made] = (await ada.get("/destinations")).json()
    assert (made["key"], made["headers"]) == ("chat", {"Authorization": "********"})


async def test_an_edit_keeps_header_values_that_nobody_sees(
    console: Console, ada: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        headers = {"X-Kept": "kept-3f9a", "X-Gone": "gone-3f9a"}
        made = await make_destination(ada, receiver.url, key="crm", headers=headers)
        page = console.page
        await console.sign_in()
        await console.open(f"/destinations?open={made['id']}")
        await page.get_by_role("button", name="Edit").click()
        await page.get_by_label("Description").fill("The customers")
        await page.get_by_role("button", name="Remove header X-Gone").click()
        assert "3f9a" not in await page.content()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("dialog")).to_contain_text("The customers")
        await page.get_by_role("button", name="Send a sample").click()
        await expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"20\d in"))

        [request] = receiver.received
        assert request.headers["x-kept"] == "kept-3f9a"
        assert "x-gone" not in request.headers


async def test_a_destination_says_how_it_does(console: Console, ada: httpx.AsyncClient) -> None:
    async with receiving() as receiver:
        made = await make_destination(ada, receiver.url, key="crm")
        trigger = await make_api(ada, destinations=[made["id"]])
        for _ in range(3):
            await ada.post(f"/triggers/{trigger['id']}/trigger")
        await until_finished(ada, 3)
    page = console.page
    await console.sign_in()
    await console.open(f"/destinations?open={made['id']}")

    dialog = page.get_by_role("dialog", name="crm")
    await expect(dialog.locator(".numbers")).to_contain_text("100 % of 3")
    await expect(dialog.locator(".numbers")).to_contain_text("ms")
    chart = dialog.get_by_role("figure", name="Attempts an hour, by outcome")
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(chart).to_contain_text("delivered: 3")


async def test_a_secret_is_replaced_and_the_old_one_has_an_end(
    console: Console, ada: httpx.AsyncClient
) -> None:
    made = await make_destination(ada, "http://127.0.0.1:9/hook", key="crm")
    before = (await ada.get(f"/destinations/{made['id']}/secret")).json()["secret"]
    page = console.page
    await console.sign_in()
    await console.open(f"/destinations?open={made['id']}")

    secret = page.get_by_role("region", name="Secret")
    await secret.get_by_role("button", name="Replace").click()
    await page.get_by_role("dialog").last.get_by_role("button", name="Replace").click()

    await expect(secret).to_contain_text("whsec_")
    await expect(secret).not_to_contain_text(before)
    await expect(secret).to_contain_text("signs as well until")


async def test_the_density_of_what_is_planned_names_herds(
    console: Console, ada: httpx.AsyncClient
) -> None:
    for number in range(12):
        await make_scheduled(ada, {"cron": "0 3 * * *"}, name=f"Three {number}")
    page = console.page
    await console.sign_in()
    await console.open("/upcoming")

    chart = page.get_by_role("figure", name="Planned in the next 24 hours")
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(chart).to_contain_text("planned: 12")
    await expect(page.get_by_text(re.compile("A herd at .*: 12 within 5 minutes"))).to_be_visible()


async def test_all_deliveries_that_match_are_sent_again(
    console: Console, ada: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        receiver.answers["/"] = 422
        made = await make_destination(ada, receiver.url, key="crm")
        trigger = await make_api(ada, destinations=[made["id"]])
        calls = [{"trigger": trigger["id"]} for _ in range(51)]
        await ada.post("/triggers/trigger-batch", json={"calls": calls})
        await until_finished(ada, 51)
        receiver.answers.clear()
        page = console.page
        await console.sign_in()
        await console.open("/deliveries?status=exhausted")
        await expect(page.get_by_role("row").nth(1)).to_contain_text("crm")

        await page.get_by_label("Select all rows of this page").check()
        await page.get_by_role("button", name="Select all that match").click()
        await page.get_by_role("button", name="Redeliver", exact=True).click()
        await page.get_by_role("button", name="Redeliver 51").click()

        await expect(page.get_by_text("51 deliveries changed.")).to_be_visible()
        await expect(page.get_by_text("No delivery matches.")).to_be_visible()
