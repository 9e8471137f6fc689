"""Members, users, keys, calendars, sets and logins are changed, and nothing typed is lost."""

import re
from typing import Any

import httpx
from playwright.async_api import Page, expect

from tests.browser.conftest import Console
from tests.support.calendars import put_calendar
from tests.support.destinations import make_destination
from tests.support.keys import make_key
from tests.support.logins import ask_for_tokens
from tests.support.projects import add_member, make_project, roles_in
from tests.support.services import ADA, BOB, Service
from tests.support.sets import put_set
from tests.support.triggers import make_api, make_scheduled

NEW = "eleven grey herons wading"


async def _secret(page: Page) -> str:
    """Reads what is shown once, and closes it."""
    dialog = page.get_by_role("dialog").filter(has_text="shown once")
    text = await dialog.locator(".secret").inner_text()
    await dialog.get_by_role("button", name="I have it").click()
    return text.strip()


async def test_an_owner_invites_promotes_and_removes(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    project = (await ada.get("/auth/me")).json()["project"]["id"]
    await add_member(ada, project, BOB, "viewer")
    await console.sign_in()
    await console.open("/members")

    await page.get_by_role("button", name="Invite").click()
    await page.get_by_role("dialog").get_by_label("E-mail").fill("carol@example.com")
    await page.get_by_role("button", name="Make the link").click()
    assert "/invitations/accept#" in await _secret(page)
    await expect(page.get_by_role("region", name="Open invitations")).to_contain_text("carol@")

    await page.get_by_label("Role of bob@example.com").select_option("operator")
    await expect(page.get_by_text("bob@example.com is operator now.")).to_be_visible()
    assert (await roles_in(ada, project))[BOB] == "operator"

    await page.get_by_role("button", name="Withdraw").click()
    await expect(page.get_by_text("is withdrawn")).to_be_visible()
    await page.get_by_role("button", name="Remove").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("is no longer a member")).to_be_visible()
    assert list(await roles_in(ada, project)) == [ADA]


async def test_a_viewer_sees_members_and_changes_none(
    console: Console, ada: httpx.AsyncClient
) -> None:
    project = await make_project(ada, "Billing")
    await add_member(ada, project, BOB, "viewer")
    await console.sign_in("bob@example.com")
    await console.page.get_by_label("Project").select_option(label="Billing")
    await console.open("/members")

    await expect(console.page.get_by_role("cell", name="ada@example.com")).to_be_visible()
    await expect(console.page.get_by_role("button", name="Invite")).to_have_count(0)
    await expect(console.page.get_by_role("button", name="Remove")).to_have_count(0)


async def test_an_admin_adds_a_user_who_sets_the_password_by_the_link(
    console: Console, anonymous: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in("admin@example.com")
    await console.open("/users")

    await page.get_by_role("button", name="Add a user").click()
    await page.get_by_role("dialog").get_by_label("E-mail").fill("carol@example.com")
    await page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    link = await _secret(page)
    await page.locator(".account summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(link)
    await page.get_by_label(re.compile("New password")).fill(NEW)
    await page.get_by_role("button", name="Set the password").click()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("E-mail").fill("carol@example.com")
    await page.get_by_label("Password").fill(NEW)
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("heading", name="Make the first trigger")).to_be_visible()
    assert (await ask_for_tokens(anonymous, "carol@example.com", NEW)).status_code == 200


async def test_an_admin_disables_enables_and_erases(
    console: Console, admin: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in("admin@example.com")
    await console.open("/users")
    row = page.get_by_role("row").filter(has_text="bob@example.com")

    await row.get_by_role("button", name="Disable").click()
    await page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    await expect(row).to_contain_text("disabled")
    await row.get_by_role("button", name="Enable").click()
    await expect(row).to_contain_text("enabled")
    await row.get_by_role("button", name="Erase").click()
    await page.get_by_role("dialog").get_by_label(re.compile("to confirm")).fill("bob@example.com")
    await page.get_by_role("dialog").get_by_role("button", name="Erase").click()

    await expect(page.get_by_text("is erased")).to_be_visible()
    assert BOB not in [one["id"] for one in (await admin.get("/users")).json()]


async def test_a_key_is_made_with_scopes_and_an_end_and_revoked(
    console: Console, ada: httpx.AsyncClient, service: Service
) -> None:
    page = console.page
    trigger = await make_api(ada)
    await console.sign_in()
    await console.open("/keys")

    await page.get_by_role("button", name="New key").click()
    await page.get_by_label("Name", exact=True).fill("Shop")
    await page.get_by_label("events:read").check()
    await page.get_by_label("It expires").select_option("30")
    await page.get_by_label(re.compile("Only for these triggers")).fill(str(trigger["id"]))
    await page.get_by_role("button", name="Make the key").click()
    key = await _secret(page)
    [made] = (await ada.get("/auth/keys")).json()
    machine = service.client()
    fired = await machine.post(f"/triggers/{trigger['id']}/trigger", headers={"X-API-Key": key})

    assert fired.status_code == 200
    assert sorted(made["scopes"]) == ["events:read", "triggers:fire"]
    assert made["trigger_ids"] == [trigger["id"]]
    await expect(page.get_by_role("row").nth(1)).to_contain_text("in 29 days")
    assert key not in await page.content()

    await page.get_by_role("button", name="Revoke").click()
    await page.get_by_role("dialog").get_by_label(re.compile("to confirm")).fill("Shop")
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("Shop is revoked.")).to_be_visible()
    assert (await ada.get("/auth/keys")).json() == []


async def test_a_password_given_long_ago_is_asked_for_again_and_nothing_is_lost(
    console: Console, ada: httpx.AsyncClient, database: Any
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/keys")
    await page.get_by_role("button", name="New key").click()
    await page.get_by_label("Name", exact=True).fill("Typed before")
    await database.execute("UPDATE logins SET created_at = now() - interval '1 hour'")

    await page.get_by_role("button", name="Make the key").click()
    await page.get_by_label(re.compile("Password of ada")).fill("correct horse battery staple")
    await page.get_by_role("button", name="Sign in").click()

    assert (await _secret(page)).startswith("etk_")
    assert [one["name"] for one in (await ada.get("/auth/keys")).json()] == ["Typed before"]


async def test_a_session_that_ends_while_somebody_types_loses_nothing(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/calendars")
    await page.get_by_role("button", name="New calendar").click()
    await page.get_by_label(re.compile("^Key")).fill("closed")
    await page.get_by_label(re.compile("Dates")).fill("2026-12-24")
    await ada.delete("/auth/sessions")

    await page.get_by_role("button", name="Make it").click()
    again = page.get_by_role("dialog", name="Your session has ended")
    await again.get_by_label(re.compile("Password of ada")).fill("correct horse battery staple")
    await again.get_by_role("button", name="Sign in").click()
    await expect(again).to_have_count(0)
    await page.get_by_role("button", name="Make it").click()

    await expect(page.get_by_text("closed is made.")).to_be_visible()
    assert (await ada.get("/calendars/closed")).json()["dates"] == ["2026-12-24"]


async def test_a_calendar_is_edited_beside_what_uses_it(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await put_calendar(ada, "closed", "2026-12-24")
    excepted = {"cron": "@daily", "except": [{"calendar": "closed"}]}
    await make_scheduled(ada, excepted, name="Nightly")
    await console.sign_in()
    await console.open("/calendars?open=closed")
    drawer = page.get_by_role("dialog")

    await expect(drawer.get_by_role("link", name="Nightly")).to_be_visible()
    await drawer.get_by_label(re.compile("Dates")).fill("2026-12-24\n2026-12-31")
    await expect(drawer).to_contain_text("Adds 2026-12-31")
    await drawer.get_by_role("button", name="Save, and plan 1 triggers by it").click()

    await expect(page.get_by_text("closed is saved")).to_be_visible()
    assert (await ada.get("/calendars/closed")).json()["dates"] == ["2026-12-24", "2026-12-31"]


async def test_two_editors_of_a_calendar_do_not_overwrite_each_other(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    await put_calendar(ada, "closed", "2026-12-24")
    await console.sign_in()
    await console.open("/calendars?open=closed")
    drawer = page.get_by_role("dialog")
    await drawer.get_by_label(re.compile("Dates")).fill("2026-12-31")
    await put_calendar(ada, "closed", "2026-12-25")

    await drawer.get_by_role("button", name=re.compile("^Save")).click()

    await expect(drawer.get_by_role("alert")).to_be_visible()
    assert await drawer.get_by_label(re.compile("Dates")).input_value() == "2026-12-31"
    assert (await ada.get("/calendars/closed")).json()["dates"] == ["2026-12-25"]


async def test_public_holidays_fill_a_calendar(console: Console, ada: httpx.AsyncClient) -> None:
    page = console.page
    await console.sign_in()
    await console.open("/calendars")
    await page.get_by_role("button", name="New calendar").click()
    await page.get_by_label(re.compile("^Key")).fill("holidays-de")
    await page.get_by_text("Add public holidays").click()
    await page.get_by_label("Country").select_option("DE")
    await page.get_by_label("Year").fill("2027")
    await page.get_by_role("button", name="Add them").click()
    await expect(page.get_by_label(re.compile("Dates"))).to_have_value(re.compile("2027-01-01"))

    await page.get_by_role("button", name="Make it").click()

    await expect(page.get_by_text("holidays-de is made.")).to_be_visible()
    assert "2027-10-03" in (await ada.get("/calendars/holidays-de")).json()["dates"]


async def test_a_set_shows_what_it_owns_and_leads_there(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    nightly = {"type": "api", "name": "Nightly"}
    await put_set(ada, "billing", {"triggers": {"nightly": nightly}})
    await console.sign_in()
    await console.open("/sets?open=billing")

    await page.get_by_role("dialog").get_by_role("link", name="nightly").click()
    await expect(page.get_by_role("heading", name="Nightly")).to_be_visible()
    await console.open("/sets?open=billing")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete billing")
    await expect(question).to_contain_text("1 triggers, 0 destinations and 0 calendars")
    await question.get_by_label(re.compile("to confirm")).fill("billing")
    await question.get_by_role("button", name="Delete").click()

    await expect(page.get_by_text("billing is deleted")).to_be_visible()
    assert (await ada.get("/triggers")).json() == []


async def test_one_login_is_ended_and_then_all_others(
    console: Console, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    page = console.page
    for _ in range(2):
        await ask_for_tokens(anonymous)
    await console.sign_in()
    await console.open("/sessions")
    others = page.get_by_role("row").filter(has_text="python-httpx")
    await expect(others).to_have_count(2)

    await others.first.get_by_role("button", name="End").click()
    await page.get_by_role("button", name="End it").click()
    await expect(others).to_have_count(1)
    await page.get_by_role("button", name="End all others").click()
    await page.get_by_role("dialog").get_by_role("button", name="End all others").click()

    await expect(others).to_have_count(0)
    assert (await ada.get("/auth/me")).status_code == 401


async def test_the_audit_log_says_who_changed_what_from_what_to_what(
    console: Console, ada: httpx.AsyncClient
) -> None:
    page = console.page
    trigger = await make_api(ada, name="Before")
    await ada.patch(f"/triggers/{trigger['id']}", json={"name": "After"})
    await make_destination(ada, "http://127.0.0.1:9/hook")
    await make_key(ada)
    await console.sign_in()
    await console.open("/audit?target=trigger")

    rows = page.get_by_role("region", name="Audit").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await page.get_by_label(re.compile("Action")).fill("update_trigger")
    await expect(rows).to_have_count(1)
    await page.get_by_label(re.compile("^Who")).select_option(label="ada@example.com")
    await expect(rows.first).to_contain_text("name: Before → After")
    await rows.first.get_by_role("button", name="update trigger").click()
    changed = page.get_by_role("dialog").get_by_role("row").nth(1)

    await expect(changed).to_contain_text("Before")
    await expect(changed).to_contain_text("After")
    assert "user_id=2" in page.url


async def test_a_view_that_is_forbidden_names_the_scope(console: Console) -> None:
    await console.sign_in()

    await console.open("/users")

    await expect(console.page.get_by_role("alert")).to_contain_text("needs the scope admin")
