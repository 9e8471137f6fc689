"""A mail of a notice says in its subject what has changed, and leads to it."""

import httpx

from tests.support.destinations import until_finished
from tests.support.heartbeats import make_heartbeat, ping
from tests.support.mail_server import MailServer, mail_settings
from tests.support.services import ADA, running_service


async def test_a_silent_heartbeat_is_told_of_by_mail(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, mails: MailServer
) -> None:
    made = await ada.post(
        "/destinations", json={"url": "mailto:ops@example.com", "notices": ["trigger.silent"]}
    )
    assert made.status_code == 201, made.text
    heartbeat = await make_heartbeat(ada, key="backup")
    await ping(anonymous, heartbeat)

    await ping(anonymous, heartbeat, "fail")

    said = "The trigger backup is silent: its job said that it failed."
    await until_finished(ada)
    [mail] = mails.received
    assert mail.message["Subject"] == said
    assert mail.text.startswith(f"{said}\n\nNotice: ")
    assert f"About: triggers/{heartbeat['id']}\n" in mail.text
    assert "Console: " not in mail.text  # nobody has said where the service is reached


async def test_it_leads_to_the_console_of_its_project(database_url: str, mails: MailServer) -> None:
    reached = {**mail_settings(mails.port), "public_url": "https://events.example.com"}
    async with running_service(database_url, **reached) as service:
        ada = service.client(ADA)
        await ada.post(
            "/destinations", json={"url": "mailto:ops@example.com", "notices": ["trigger.silent"]}
        )
        heartbeat = await make_heartbeat(ada, key="backup")
        await ping(service.client(), heartbeat)
        await ping(service.client(), heartbeat, "fail")
        await until_finished(ada)

    [mail] = mails.received
    link = f"https://events.example.com/console/triggers/{heartbeat['id']}?project={ADA}"
    assert f"Console: {link}\n" in mail.text
