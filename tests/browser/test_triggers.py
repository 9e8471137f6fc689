"""The views of triggers: a list with the reason of each gap, an editor that forecasts, copies."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import Console, write_code
from tests.support.destinations import make_destination
from tests.support.downtime import set_back, until_caught_up
from tests.support.processes import environment
from tests.support.services import ADA, token_of
from tests.support.sets import put_set
from tests.support.shell import bash
from tests.support.triggers import make_api, make_scheduled, read

NIGHTLY = {"cron": "30 2 * * 1-5", "timezone": "Europe/Berlin"}
SCHEMA = {"type": "object", "properties": {"report": {"type": "string"}}, "required": ["report"]}


def row_of(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has_text=name)


async def copied(page: Page, kind: str) -> str:
    """Copies a trigger in one form, and reads the clipboard."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_text("Copy as…").click()
    await page.get_by_role("button", name=kind, exact=True).click()
    await expect(page.get_by_text(f"Copied as {kind}.")).to_be_visible()
    text: str = await page.evaluate("navigator.clipboard.readText()")
    return text


async def test_the_list_shows_the_last_instants_with_their_reasons_in_one_request(
    console: Console, ada: httpx.AsyncClient, database: Any
) -> None:
    hourly = await make_scheduled(ada, {"interval": "PT1H", "recurring": True}, name="Hourly")
    await make_api(ada, name="Idle")
    await set_back(database, hourly["id"], timedelta(hours=4, minutes=30))
    await until_caught_up(database, hourly["id"])
    await console.sign_in()
    await console.open("/triggers")

    strip = row_of(console.page, "Hourly").get_by_role("img", name=re.compile("Last 2"))
    await expect(strip).to_have_attribute("aria-label", "Last 2: 1 coalesced, 1 late; one planned")
    await expect(strip).to_have_text("◆▲○")
    await expect(strip.get_by_title(re.compile("3 coalesced, one later event"))).to_be_visible()
    assert len([one for one in console.requests if "/triggers/recent" in one]) == 1


async def test_filters_are_saved_under_a_name_and_used_again(
    console: Console, ada: httpx.AsyncClient
) -> None:
    await make_scheduled(ada, name="Tagged", tags=["bulk"])
    await make_scheduled(ada, name="Other")
    page = console.page
    await console.sign_in()
    await console.open("/triggers?tag=bulk&sort=name")
    await expect(row_of(page, "Tagged")).to_be_visible()

    await page.get_by_role("button", name="Save these filters").click()
    await page.get_by_label("Name of these filters").fill("mine")
    await page.keyboard.press("Enter")
    await console.open("/triggers")
    await expect(row_of(page, "Other")).to_be_visible()
    await page.get_by_role("button", name="mine", exact=True).click()

    await expect(row_of(page, "Other")).to_have_count(0)
    assert "tag=bulk" in page.url
    assert "sort=name" in page.url
    assert await page.get_by_label("Tag").input_value() == "bulk"
    await page.get_by_role("button", name="Forget the filters mine").click()
    await expect(page.get_by_role("button", name="mine", exact=True)).to_have_count(0)


async def test_all_that_match_are_more_than_a_page(
    console: Console, ada: httpx.AsyncClient
) -> None:
    for number in range(51):
        await make_api(ada, name=f"Many {number}", tags=["many"])
    await make_api(ada, name="Other")
    page = console.page
    await console.sign_in()
    await console.open("/triggers?tag=many")

    await page.get_by_label("Select all rows of this page").check()
    await page.get_by_role("button", name="Select all that match").click()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("button", name="Pause 51").click()

    await expect(page.get_by_text("51 triggers: pause done.")).to_be_visible()
    [active] = (await ada.get("/triggers", params={"status": "active"})).json()
    assert active["name"] == "Other"


async def test_a_cron_line_and_its_form_follow_each_other(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/triggers/new")
    cron, repeats = page.get_by_label("Cron", exact=True), page.get_by_label("Repeats")

    await cron.fill("15 3 2 * *")
    await expect(repeats).to_have_value("month")
    await expect(page.get_by_label("Day of the month")).to_have_value("2")
    await cron.fill("0 22-2 * * *")
    await expect(repeats).to_have_value("other")
    await repeats.select_option("week")
    await page.get_by_label("At", exact=True).fill("07:45")
    await page.get_by_label("Sat").check()

    await expect(cron).to_have_value("45 7 * * 1,2,3,4,5,6")
    await page.get_by_label("Time zone", exact=True).fill("Asia/Kolkata")
    await expect(page.get_by_text("At 07:45 on Monday to Saturday, Asia/Kolkata")).to_be_visible()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("heading", name=re.compile("Trigger"))).to_be_visible()
    [made] = (await ada.get("/triggers")).json()
    assert made["details"] == {"cron": "45 7 * * 1,2,3,4,5,6", "timezone": "Asia/Kolkata"}


async def test_the_editor_says_what_changes_before_it_is_saved(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_scheduled(ada, {**NIGHTLY, "catch_up": "all"}, tags=["a"])
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}/edit")
    changes = page.get_by_role("region", name="What changes")
    await expect(changes).to_contain_text("Nothing yet.")

    await page.get_by_label("Cron", exact=True).fill("0 5 * * *")
    await page.get_by_label("Tags").fill("a, b")

    await expect(changes).to_contain_text("cron: 30 2 * * 1-5 → 0 5 * * *")
    await expect(changes).to_contain_text('["a"] → ["a","b"]')
    await expect(page.get_by_text("The next instant changes:")).to_be_visible()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    saved = await read(ada, trigger["id"])
    assert saved["details"] == {**NIGHTLY, "cron": "0 5 * * *", "catch_up": "all"}


async def test_a_payload_that_breaks_its_schema_is_marked_while_it_is_typed(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    details = {**NIGHTLY, "schema": SCHEMA}
    trigger = await make_scheduled(ada, details, payload={"report": "daily"})
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}/edit")
    payload = page.get_by_role("textbox", name="Payload of each event, a JSON object")

    await write_code(payload, '{"report": 7}')

    await expect(page.locator(".faults")).to_contain_text("/report")
    await expect(page.locator(".cm-lintRange-error")).to_have_text("7")
    await write_code(payload, '{"report": "weekly"}')
    await expect(page.locator(".faults")).to_have_count(0)
    assert (await read(ada, trigger["id"]))["payload"] == {"report": "daily"}


async def test_the_keyboard_leads_out_of_an_editor_of_code(console: Console) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/triggers/new")
    payload = page.get_by_role("textbox", name="Payload of each event, a JSON object")
    await expect(payload).to_have_attribute("contenteditable", "true")

    await payload.focus()
    await page.keyboard.type("{ n")  # a command of the page elsewhere
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")

    await expect(page.get_by_text("Schema that payloads must match")).to_be_focused()
    assert page.url.endswith("/triggers/new")


async def test_a_text_area_stays_where_the_editor_of_code_cannot_be_loaded(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await page.route(re.compile(r"/code_mirror-"), lambda route: route.abort())
    await console.sign_in()
    await console.open("/triggers/new")

    await page.locator("textarea").first.fill('{"plain": true}')
    await page.get_by_role("button", name="Save", exact=True).click()

    await expect(page.get_by_text("Saved.")).to_be_visible()
    [made] = (await ada.get("/triggers")).json()
    assert made["payload"] == {"plain": True}


async def test_what_is_shown_once_of_a_new_hook_is_shown(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/triggers/new")
    await page.get_by_label("It fires").select_option("api")
    await page.get_by_label("Webhook").select_option("hmac")
    await page.get_by_label("What is signed").fill("{timestamp}.{body}")
    await page.get_by_label("Header with the signed time").fill("X-Time")
    await page.get_by_role("button", name="Save", exact=True).click()

    dialog = page.get_by_role("dialog", name="The secret of the hook")
    await expect(dialog).to_be_visible()
    [made] = (await ada.get("/triggers")).json()
    assert made["details"]["hook"]["timestamp_header"] == "X-Time"
    await expect(dialog).to_contain_text(made["hook_url"].rsplit("/", 1)[1])
    secret = await dialog.locator("pre").last.inner_text()
    assert len(secret) > 20
    assert secret not in await page.evaluate("JSON.stringify({...sessionStorage})")


async def test_a_heartbeat_expects_pings_by_a_cron_line(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/triggers/new")
    await page.get_by_label("It fires").select_option("heartbeat")
    await page.get_by_label("Pings are expected by a cron schedule").check()
    await page.get_by_label("Cron", exact=True).fill("0 2 * * *")
    await page.get_by_label(re.compile("Grace")).fill("PT1H")
    await page.get_by_role("button", name="Save", exact=True).click()

    await expect(page.get_by_text("Last ping")).to_be_visible()
    [made] = (await ada.get("/triggers")).json()
    assert (made["type"], made["details"]["cron"]) == ("heartbeat", "0 2 * * *")
    assert made["details"]["grace"] == "PT1H"


async def test_a_trigger_of_a_set_warns_before_it_is_edited(
    console: Console, ada: httpx.AsyncClient
) -> None:
    file = {"triggers": {"closing": {"type": "scheduled", "details": NIGHTLY}}}
    await put_set(ada, "billing", file)
    [trigger] = (await ada.get("/triggers")).json()
    page = console.page
    await console.sign_in()
    await console.open("/triggers")
    await expect(row_of(page, "closing")).to_contain_text("from set billing")
    await console.open(f"/triggers/{trigger['id']}/edit")
    await expect(page.get_by_text("From set billing: a change here is undone")).to_be_visible()

    await page.get_by_label("Name", exact=True).fill("By hand")
    await page.get_by_role("button", name="Save", exact=True).click()
    dialog = page.get_by_role("dialog", name="closing is from set billing")
    await dialog.get_by_role("button", name="Cancel").click()
    assert (await read(ada, trigger["id"]))["name"] is None
    await page.get_by_role("button", name="Save", exact=True).click()
    await dialog.get_by_role("button", name="Save anyway").click()

    await expect(page.get_by_role("heading", name="By hand")).to_be_visible()


async def test_a_trigger_is_copied_as_what_makes_it_again(
    console: Console, ada: httpx.AsyncClient
) -> None:
    crm = await make_destination(ada, "http://127.0.0.1:9/hook", key="crm")
    trigger = await make_scheduled(
        ada,
        NIGHTLY,
        key="nightly",
        name="It's nightly",
        payload={"report": "daily"},
        destinations=[crm["id"]],
    )
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")

    line = await copied(page, "command line")
    yaml = await copied(page, "YAML of a set")
    curl = await copied(page, "curl that makes it")

    assert line.replace(" \\\n ", "").startswith(
        "event-trigger triggers create nightly --cron '30 2 * * 1-5' --tz Europe/Berlin"
    )
    assert '    cron: "30 2 * * 1-5"\n' in yaml
    assert '    destinations: ["crm"]\n' in yaml
    assert yaml.startswith("version: 1\nset: my-set\ntriggers:\n  nightly:\n")
    assert f"{console.url}/triggers/by-key/nightly" in curl
    body = curl.partition("-d '")[2].removesuffix("'").replace("'\\''", "'")
    again = await ada.put("/triggers/by-key/nightly", json=json.loads(body))
    assert (again.status_code, again.json()["updated_at"]) == (200, trigger["updated_at"])


@pytest.mark.parametrize(
    "made",
    [
        {
            "type": "scheduled",
            "details": NIGHTLY,
            "payload": {"say": "it's ${HOME}"},
            "tags": ["a b"],
        },
        {"type": "scheduled", "details": {"interval": "PT90S", "recurring": True, "max_fires": 3}},
        {"type": "api", "details": {"schema": SCHEMA}, "on_completion": "keep"},
        {"type": "api", "details": {"hook": {"verify": "github", "methods": ["POST", "PUT"]}}},
        {"type": "heartbeat", "details": {"cron": "0 4 * * *", "timezone": "Asia/Tokyo"}},
    ],
    ids=["cron", "interval", "call", "hook", "heartbeat"],
)
async def test_what_is_copied_makes_the_same_trigger_in_a_shell(
    console: Console, ada: httpx.AsyncClient, tmp_path: Path, made: dict[str, Any]
) -> None:
    crm = await make_destination(ada, "http://127.0.0.1:9/hook", key="crm")
    body = {"name": "It's one", **made, "destinations": [crm["id"]]}
    before = (await ada.put("/triggers/by-key/one", json=body)).json()
    await console.sign_in()
    await console.open(f"/triggers/{before['id']}")
    line = await copied(console.page, "command line")
    file = await copied(console.page, "YAML of a set")
    await ada.delete("/triggers/by-key/one")

    settings = environment(EVENT_TRIGGER_URL=console.url, EVENT_TRIGGER_TOKEN=token_of(ADA))
    async with bash(tmp_path, settings) as shell:
        ran = await shell.paste(line)
        assert ran.status == 0, ran.text
        (tmp_path / "set.yaml").write_text(file)
        planned = await shell.paste("event-trigger plan -f set.yaml 2> /dev/null")

    after = (await ada.get("/triggers/by-key/one")).json()
    kept = ("type", "name", "payload", "tags", "destinations", "status", "on_completion", "details")
    assert {one: after[one] for one in kept} == {one: before[one] for one in kept}
    assert planned.text.startswith("= trigger one")


async def test_the_history_says_who_changed_what(console: Console, ada: httpx.AsyncClient) -> None:
    trigger = await make_scheduled(ada, NIGHTLY, name="Before")
    patch = {"name": "After", "details": {"cron": "0 5 * * *"}}
    await ada.patch(f"/triggers/{trigger['id']}", json=patch)
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")
    await page.get_by_role("link", name="History").click()

    await expect(page.get_by_role("main")).to_contain_text('name: "Before" → "After"')
    changed = page.get_by_role("listitem").filter(has_text="After").first
    await expect(changed).to_contain_text("ada@example.com")
    await expect(page.get_by_role("main")).to_contain_text("ended by a change")


async def test_rates_are_drawn_and_told_in_numbers(
    console: Console, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada, name="Called")
    for _ in range(3):
        await ada.post(f"/triggers/{trigger['id']}/trigger")
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")
    assert not [one for one in console.requests if "/plot-" in one]
    await page.get_by_role("link", name="Rates").click()

    chart = page.get_by_role("figure", name="Events an hour, by kind")
    await expect(chart.locator("canvas")).to_be_visible()
    await expect(chart).to_contain_text("api: 3")
    await chart.get_by_role("button", name="Show the numbers").click()
    await expect(chart.get_by_role("row").nth(1)).to_contain_text("3")


@pytest.mark.parametrize("hours", ["24", "48"])
async def test_the_time_line_looks_back_as_far_as_is_chosen(
    console: Console, ada: httpx.AsyncClient, database: Any, hours: str
) -> None:
    trigger = await make_scheduled(ada, {"interval": "PT1H", "recurring": True})
    await set_back(database, trigger["id"], timedelta(hours=30, minutes=30))
    await until_caught_up(database, trigger["id"])
    page = console.page
    await console.sign_in()
    await console.open(f"/triggers/{trigger['id']}")

    await page.get_by_role("button", name=f"{hours} h").click()

    card = page.get_by_role("region", name="Planned and fired")
    planned = "24" if hours == "24" else "30"
    await expect(card).to_contain_text(f"{planned} planned = 1 fired")
