"""Events are delivered by e-mail: content, record, retries, and the limit of a project."""

import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_destination,
    try_out,
    until_finished,
)
from tests.support.mail_server import DROP, SENDER, MailServer
from tests.support.triggers import make_api
from tests.support.waiting import eventually

TO = "ops@example.com"
URL = f"mailto:{TO}"
PAYLOAD = {"message": "Grüße\n.\nBcc: all@example.com", "n": 1.50}


async def _send(ada: httpx.AsyncClient, payload: Any = PAYLOAD, **form: Any) -> dict[str, Any]:
    """Fires once at a new destination, and gives the finished delivery."""
    made = await make_destination(ada, URL, **form)
    trigger = await make_api(
        ada, key="nightly", name="Nightly", payload=payload, destinations=[made["id"]]
    )
    await fire(ada, trigger)
    (delivery,) = await until_finished(ada)
    return delivery


async def test_a_mail_has_the_event_for_a_reader(
    ada: httpx.AsyncClient, mails: MailServer, database: Any
) -> None:
    installation = await database.fetchval("SELECT name FROM installation")

    delivery = await _send(ada)

    (mail,) = mails.received
    (attempt,) = delivery["attempts"]
    event_id, destination_id = delivery["event_id"], delivery["destination_id"]
    assert (mail.sender, mail.recipients) == (SENDER, [TO])
    assert mail.message["From"] == f"Events <{SENDER}>"
    assert mail.message["Subject"] == f"Nightly ({event_id})"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    message_id = f"<evt_{installation}_{event_id}.{destination_id}@example.com>"
    assert mail.message["Message-ID"] == message_id
    facts, _, payload = mail.text.partition("\n\n")
    assert facts.startswith(f"Trigger: Nightly\nEvent: {event_id}, api\nTime: ")
    assert json.loads(payload) == PAYLOAD
    assert '\n  "n": 1.5' in payload
    assert delivery["status"] == "delivered"
    assert (attempt["status_code"], attempt["response"]) == (250, "Queued")


async def test_templates_make_the_subject_and_the_text(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    form = {"format": "template", "template": "{{ data.message }} at {{ event.trigger.key }}"}

    await _send(ada, subject="{{ event.type }}: {{ data.message }} €", **form)

    (mail,) = mails.received
    assert mail.message["Subject"] == "api: Grüße . Bcc: all@example.com €"
    assert mail.text == f"{PAYLOAD['message']} at nightly\n"
    assert mail.message["Bcc"] is None
    assert mail.recipients == [TO]


async def test_the_format_payload_sends_the_payload_alone(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    await _send(ada, format="payload", subject="Report")

    (mail,) = mails.received
    assert mail.message["Subject"] == "Report"
    assert json.loads(mail.text) == PAYLOAD


async def test_a_large_payload_arrives_as_it_was_stored(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    payload = {"text": "é" * 100_000, "lines": ["." * 990] * 50}

    await _send(ada, payload, format="payload")

    (mail,) = mails.received
    assert json.loads(mail.text) == payload
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998


async def test_each_attempt_sends_the_same_message(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    mails.replies["DATA"] = "451 4.3.0 try later"

    delivery = await _send(ada, subject="{{ data.n }}")

    first, second, third = mails.received
    assert first.content == second.content == third.content
    attempts = [(one["status_code"], one["error"], one["response"]) for one in delivery["attempts"]]
    assert attempts == [(451, "rejected", "4.3.0 try later")] * 3
    assert delivery["status"] == "exhausted"


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_final_refusal_is_not_repeated_and_leaves_the_breaker_closed(
    ada: httpx.AsyncClient, mails: MailServer, command: str
) -> None:
    mails.replies[command] = "550 5.1.1 no such mailbox"

    delivery = await _send(ada)

    (attempt,) = delivery["attempts"]
    destination = await read_destination(ada, delivery["destination_id"])
    assert (delivery["status"], attempt["status_code"]) == ("exhausted", 550)
    assert attempt["response"] == "5.1.1 no such mailbox"
    assert "refused the " in attempt["reason"]
    assert (destination["state"], destination["failures"]) == ("closed", 0)


@pytest.mark.parametrize(
    ("command", "reply", "code"),
    [
        ("MAIL", "530 5.7.0 sign in first", 530),
        ("RCPT", "421 4.3.2 shutting down", 421),
        ("RCPT", DROP, None),
        ("DATA", DROP, None),
    ],
)
async def test_a_failing_mail_server_is_a_failure_of_the_destination(
    ada: httpx.AsyncClient, mails: MailServer, command: str, reply: str, code: int | None
) -> None:
    mails.replies[command] = reply

    delivery = await _send(ada)

    destination = await read_destination(ada, delivery["destination_id"])
    assert [one["status_code"] for one in delivery["attempts"]] == [code] * 3
    assert destination["failures"] == 3


async def test_a_refused_recipient_waits_and_others_share_the_connection(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    urls = [URL, "mailto:late@example.com"]
    made = [await make_destination(ada, url, max_concurrency=1) for url in urls]
    trigger = await make_api(ada, destinations=[one["id"] for one in made])
    mails.replies["RCPT late@example.com"] = "450 4.2.0 greylisted"
    before = len(mails.connections)

    await fire(ada, trigger)
    await eventually(lambda: list_deliveries(ada, status="delivered"), lambda done: len(done) == 1)
    mails.replies.clear()
    await until_finished(ada, 2)

    assert {one["status"] for one in await list_deliveries(ada)} == {"delivered"}
    assert [one.recipients for one in mails.received] == [[TO], ["late@example.com"]]
    assert len(mails.connections) - before <= 2


async def test_a_kept_connection_that_the_server_has_ended_is_replaced(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    made = await make_destination(ada, URL)
    trigger = await make_api(ada, destinations=[made["id"]])
    await fire(ada, trigger)
    await until_finished(ada)

    for one in mails.connections:
        one.abort()  # type: ignore[attr-defined]
    await fire(ada, trigger)
    deliveries = await until_finished(ada, 2)

    assert [len(one["attempts"]) for one in deliveries] == [1, 1]
    assert len(mails.received) == 2


async def test_a_test_sends_a_mail_and_answers_with_the_reply(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    attempt = await try_out(ada, URL, subject="{{ data.message }}")
    mails.replies["RCPT"] = "553 5.1.3 odd address"
    refused = await try_out(ada, URL)

    (mail,) = mails.received
    assert (attempt["status_code"], attempt["error"]) == (250, None)
    assert mail.message["Subject"] == "This is a test of your destination."
    assert (refused["status_code"], refused["error"]) == (553, "rejected")


async def test_a_scheduled_event_is_dated_by_its_time(
    ada: httpx.AsyncClient, mails: MailServer
) -> None:
    await _send(ada)

    (mail,) = mails.received
    (event,) = (await ada.get("/events")).json()
    sent = mail.message["Date"].datetime
    assert sent == datetime.fromisoformat(event["triggered_at"]).replace(microsecond=0)
