"""A mail of a notice says in its subject what has changed."""

import httpx

from tests.support.destinations import until_finished
from tests.support.heartbeats import make_heartbeat, ping
from tests.support.mail_server import MailServer


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
