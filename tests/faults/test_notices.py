"""Each change is told of exactly once in every way, also when two of three replicas are killed."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.site import Site, site
from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.heartbeats import make_heartbeat, ping
from tests.support.mail_server import SENDER, MailServer, mail_server
from tests.support.notices import CHAT
from tests.support.planting import plant_triggers
from tests.support.processes import until_ready
from tests.support.receiver import Receiver, receiving
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

SETTINGS = {"EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8", "EVENT_TRIGGER_RETRY_AFTER": "2,2,600"}
TOLD = ("destination.opened", "instants.missed", "trigger.set_aside", "trigger.silent")
NO_CATCH_UP = {"interval": "PT1M", "recurring": True, "catch_up": "none"}
SOON_SILENT = {"interval": "PT2S", "grace": "PT1S"}
SPOIL = """
    UPDATE triggers SET details = '{"interval": "soon"}', next_fire_at = now() WHERE id = $1
"""
LEFT = "SELECT count(*) FROM notice_changes WHERE told_at IS NULL"
QUIET_SECONDS = 5  # in which a second notice would come


def sent_by(mails: MailServer) -> dict[str, str]:
    return SETTINGS | {
        "EVENT_TRIGGER_SMTP_URL": f"smtp://127.0.0.1:{mails.port}",
        "EVENT_TRIGGER_MAIL_FROM": SENDER,
    }


async def break_things(running: Site, receiver: Receiver, database: Any) -> set[str]:
    """Stops a receiver, misses instants, spoils a trigger and pings a heartbeat no more.

    Gives the subjects of all four.
    """
    receiver.answers["/stopped"] = 503
    async with running.client(2) as ada:
        stopped = await make_destination(ada, f"{receiver.url}/stopped")
        called = await make_api(ada, destinations=[stopped["id"]])
        for _ in range(8):
            answer = await ada.post(f"/triggers/{called['id']}/trigger")
            assert answer.status_code == 200, answer.text
        spoiled = await make_scheduled(ada)
        silent = await make_heartbeat(ada, SOON_SILENT)
        await ping(ada, silent)
    late = datetime.now(UTC) - timedelta(hours=1)
    [missed] = await plant_triggers(database, due_at=late, details=NO_CATCH_UP)
    await database.execute(SPOIL, spoiled["id"])
    triggers = (spoiled["id"], silent["id"], missed)
    return {f"destinations/{stopped['id']}", *(f"triggers/{one}" for one in triggers)}


def messages_by_id(receiver: Receiver, path: str) -> Mapping[str, bytes]:
    """Drops repeated messages, as a receiver does; a repeated one has to be the same."""
    found: dict[str, bytes] = {}
    for one in receiver.at(path):
        assert found.setdefault(one.message_id, one.body) == one.body
    return found


def texts_by_mail(mails: MailServer) -> list[str]:
    """Gives the first lines of mails; drops repeated ones, which have to be the same."""
    found: dict[str, bytes] = {}
    for one in mails.received:
        assert found.setdefault(one.message["Message-ID"], one.content) == one.content
    firsts = {one.message["Message-ID"]: one.text.split("\n\n")[0] for one in mails.received}
    return [*firsts.values()]


async def test_each_change_is_told_of_once_also_when_replicas_are_killed() -> None:
    async with receiving() as receiver, mail_server() as mails, site(sent_by(mails)) as running:
        await running.start(3)
        database = await connect(running.url)
        async with running.client(2) as ada:
            await make_destination(ada, f"{receiver.url}/hook", notices=[*TOLD], timeout=2)
            chat = {"format": "template", "template": CHAT, "timeout": 2}
            await make_destination(ada, f"{receiver.url}/chat", notices=[*TOLD], **chat)
            await make_destination(ada, "mailto:ops@example.com", notices=[*TOLD], timeout=2)

        subjects = await break_things(running, receiver, database)
        running.kill(0)
        await eventually(
            lambda: database.fetchval("SELECT count(*) FROM notices"), lambda count: count > 0
        )
        running.kill(1)
        for number in (0, 1):
            running.restart(number)
        await asyncio.gather(*(until_ready(one) for one in running.replicas))

        async def told() -> list[int]:
            found = [messages_by_id(receiver, path) for path in ("/hook", "/chat")]
            return [*map(len, found), len(texts_by_mail(mails))]

        await eventually(told, lambda counts: min(counts) >= len(TOLD))
        await asyncio.sleep(QUIET_SECONDS)
        counts = await told()
        hooks, chats = messages_by_id(receiver, "/hook"), messages_by_id(receiver, "/chat")
        rows = await database.fetch("SELECT id, kind, subject, data FROM notices ORDER BY id")
        left = await database.fetchval(LEFT)
        await database.close()
        await running.end()

    assert counts == [len(TOLD)] * 3
    events = [json.loads(body) for body in hooks.values()]
    assert sorted(one["type"] for one in events) == [f"event_trigger.notice.{one}" for one in TOLD]
    assert {one["subject"] for one in events} == subjects
    assert sorted(row["kind"] for row in rows) == [*TOLD]
    assert {row["subject"] for row in rows} == subjects
    assert hooks.keys() == chats.keys()
    messages = sorted(json.loads(row["data"])["message"] for row in rows)
    assert sorted(json.loads(body)["text"] for body in chats.values()) == messages
    assert sorted(texts_by_mail(mails)) == messages
    assert left == 0
