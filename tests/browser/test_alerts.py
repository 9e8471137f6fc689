"""From an alert to the reason: the link of a mail opens the thing, and one click more says why."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.conftest import Console
from tests.support.destinations import make_destination
from tests.support.mail_server import MailServer, mail_server, mail_settings
from tests.support.projects import make_project
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, PASSWORD, Service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

PUBLIC_URL = "https://events.example.com"


@pytest.fixture(scope="module")
async def mails() -> AsyncIterator[MailServer]:
    async with mail_server() as made:
        yield made


@pytest.fixture
def service_settings(mails: MailServer) -> dict[str, Any]:
    sent = {**mail_settings(mails.port), "public_url": PUBLIC_URL}
    return {**ALLOW_LOOPBACK, "retry_after": (0.0,), **sent}


async def test_the_link_of_an_alert_leads_to_the_reason(
    console: Console, ada: httpx.AsyncClient, service: Service, mails: MailServer
) -> None:
    page = console.page
    billing = service.client(ADA, project=await make_project(ada, "Billing"))
    body = {"url": "mailto:ops@example.com", "notices": ["delivery.exhausted"]}
    assert (await billing.post("/destinations", json=body)).status_code == 201
    async with receiving() as receiver:
        receiver.answers["/"] = 422
        crm = await make_destination(billing, receiver.url, key="crm")
        trigger = await make_api(billing, destinations=[crm["id"]], name="Orders")
        await billing.post(f"/triggers/{trigger['id']}/trigger", json={"order": 1})
        await eventually(lambda: _texts(mails), lambda found: len(found) == 1)
    [text] = await _texts(mails)
    [link] = re.findall(r"^Console: (\S+)$", text, re.MULTILINE)

    await page.goto(link.replace(PUBLIC_URL, console.url))  # one click
    await page.get_by_label("E-mail").fill("ada@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("dialog")).to_contain_text("422")
    await expect(page.get_by_label("Project").locator("option:checked")).to_have_text("Billing")


async def _texts(mails: MailServer) -> list[str]:
    return [one.text for one in mails.received]
