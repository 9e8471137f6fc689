"""An invitation that names an address is mailed with its link."""

from typing import Any

import httpx
import pytest

from tests.support.mail_server import DROP, MailServer, ReceivedMail, mail_settings
from tests.support.problems import problem_of
from tests.support.projects import make_project
from tests.support.services import PASSWORD
from tests.support.waiting import eventually

PUBLIC_URL, EMAIL = "https://events.example.com", "grace@example.com"


@pytest.fixture
def service_settings(shared_mails: MailServer) -> dict[str, Any]:
    return {"public_url": PUBLIC_URL, **mail_settings(shared_mails.port)}


async def _invite(client: httpx.AsyncClient, project: int, email: str | None) -> httpx.Response:
    body = {"role": "editor"} | ({} if email is None else {"email": email})
    return await client.post(f"/projects/{project}/invitations", json=body)


async def _received(mails: MailServer) -> ReceivedMail:
    async def received() -> list[ReceivedMail]:
        return [*mails.received]

    return (await eventually(received, lambda found: len(found) >= 1))[0]


async def test_the_mailed_link_is_that_of_the_answer_and_works(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, mails: MailServer
) -> None:
    project = await make_project(ada, "Blue  =?team?=")

    made = (await _invite(ada, project, EMAIL)).json()
    mail = await _received(mails)
    body = {"token": made["url"], "email": EMAIL, "password": PASSWORD}
    joined = await anonymous.post("/invitations/accept", json=body)

    assert made["mailed"] is True
    assert mail.recipients == [EMAIL]
    assert f"{made['url']}\n" in mail.text
    assert made["url"].startswith(f"{PUBLIC_URL}/invitations/accept#")
    assert mail.message["Subject"] == "Invitation to the project Blue =?team?="
    assert "ada@example.com invites you" in mail.text
    assert joined.status_code == 200


async def test_one_without_an_address_or_with_an_odd_one_is_not_mailed(
    ada: httpx.AsyncClient, mails: MailServer, database: Any
) -> None:
    project = await make_project(ada)

    made = [await _invite(ada, project, one) for one in (None, "grüße@example.com")]

    assert [one.json()["mailed"] for one in made] == [False, False]
    assert await database.fetchval("SELECT count(*) FROM account_mails") == 0


async def test_a_withdrawn_invitation_is_not_mailed_any_more(
    ada: httpx.AsyncClient, mails: MailServer, database: Any
) -> None:
    mails.replies["MAIL"] = DROP
    project = await make_project(ada)
    made = (await _invite(ada, project, EMAIL)).json()

    await ada.delete(f"/projects/{project}/invitations/{made['id']}")

    assert await database.fetchval("SELECT count(*) FROM account_mails") == 0
    assert mails.received == []


async def test_a_project_has_so_many_mailed(ada: httpx.AsyncClient, mails: MailServer) -> None:
    project = await make_project(ada)

    made = [await _invite(ada, project, f"g{number}@example.com") for number in range(51)]

    assert [one.status_code for one in made] == [201] * 50 + [429]
    problem_of(made[-1], 429)
    assert "retry-after" in made[-1].headers
    assert (await _invite(ada, project, None)).status_code == 201
