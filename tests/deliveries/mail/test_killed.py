"""A sender that is killed between the content and its record loses no mail, and alters none."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.destinations import fire, make_destination, until_finished
from tests.support.mail_server import SENDER, mail_server
from tests.support.processes import serving, with_database
from tests.support.services import ADA, token_of
from tests.support.triggers import make_api
from tests.support.waiting import eventually


@pytest.mark.xdist_group("processes")
async def test_a_mail_is_sent_again_as_the_same_message_after_kill_9(
    folder: Path, database_url: str, database: Any
) -> None:
    async with mail_server() as mails:
        settings = {
            "EVENT_TRIGGER_SMTP_URL": f"smtp://127.0.0.1:{mails.port}",
            "EVENT_TRIGGER_MAIL_FROM": SENDER,
            **with_database(database_url),
        }
        mails.keeps.clear()
        async with serving(folder, **settings) as served:
            async with served.client(token_of(ADA)) as ada:
                made = await make_destination(ada, "mailto:ops@example.com")
                trigger = await make_api(ada, payload={"n": 1}, destinations=[made["id"]])
                await fire(ada, trigger)

                async def count() -> int:
                    return len(mails.received)

                await eventually(count, lambda found: found == 1)
            await served.end(signal.SIGKILL)
        mails.keeps.set()
        await database.execute(  # as if the lease had ended
            "UPDATE deliveries SET leased_until = now(), next_attempt_at = now()"
        )
        async with serving(folder, **settings) as served, served.client(token_of(ADA)) as ada:
            (delivery,) = await until_finished(ada)

    first, second = mails.received
    assert first.content == second.content
    assert [one["error"] for one in delivery["attempts"]] == ["interrupted", None]
    assert delivery["status"] == "delivered"
