"""Destinations of mails: which addresses and fields they take, and how they are changed."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.mail_addresses import AddressRefused, check_address
from tests.support.destinations import make_destination, read_destination
from tests.support.mail_server import mail_settings
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, running_service
from tests.support.sets import get_set, put_set

URL = "mailto:ops@example.com"
WEBHOOK = "https://1.1.1.1/hook"


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return mail_settings(1)  # nothing is sent


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mailto:", "Write an address"),
        ("mailto:ops", "Write an address"),
        ("mailto:a@example.com,b@example.com", "Write one address"),
        ("mailto:a%40b@example.com,c@d.com", "Write one address"),
        ("mailto:ops@example.com?subject=Hi", "fields subject and template"),
        ("mailto:ops@example.com?bcc=all@example.com", "fields subject and template"),
        ("mailto:{{ data.to }}", "no values of the event"),
        ("mailto:{{ data.to }}@example.com", "no values of the event"),
        ("mailto:ops%0D%0ARCPT%20TO@example.com", "letters and digits"),
        ("mailto:ops%0Abcc@example.com", "letters and digits"),
        ("mailto:%ff@example.com", "in ASCII"),
        ("mailto:gr%C3%BC%C3%9Fe@example.com", "letters and digits"),
        ("mailto:%22o%20ps%22@example.com", "letters and digits"),
        ("mailto:a..b@example.com", "letters and digits"),
        (f"mailto:{'a' * 65}@example.com", "letters and digits"),
        ("mailto:ops@bücher.example", "xn--"),
        ("mailto:ops@xn--zzzzzzzzzzzzzzz9.example", "Write a domain"),
        ("mailto:ops@[192.0.2.1]", "Write a domain"),
        ("mailto:ops@192.0.2.1", "Write a domain"),
        ("mailto:ops@-a.example", "Write a domain"),
        ("mailto:ops@example..com", "Write a domain"),
        (f"mailto:ops@{'a.' * 130}com", "254"),
    ],
)
async def test_an_address_that_no_mail_can_be_sent_to_is_refused(
    ada: httpx.AsyncClient, url: str, words: str
) -> None:
    answer = await ada.post("/destinations", json={"url": url})

    (error,) = problem_of(answer, 422)["errors"]
    assert error["pointer"] == "#/url"
    assert words in error["detail"]


@pytest.mark.parametrize(
    "url",
    [
        "mailto:o'brien+alerts@xn--bcher-kva.example",
        "MAILTO:ops@localhost",
        "mailto:a%2Fb%25c@example.com",
    ],
)
async def test_odd_addresses_that_work_are_taken(ada: httpx.AsyncClient, url: str) -> None:
    made = await make_destination(ada, url)

    assert (made["url"], made["secret"]) == (url, None)


async def test_what_a_mail_has_no_use_for_is_refused(ada: httpx.AsyncClient) -> None:
    fields: dict[str, Any] = {
        "method": "PUT",
        "content_type": "text/html",
        "headers": {"Bcc": "all@example.com"},
        "secret": "whsec_" + "A" * 32,
        "client_certificate": {"certificate": "x", "private_key": "y"},
        "format": "cloudevents_binary",
    }

    refused = {
        name: await ada.post("/destinations", json={"url": URL, name: value})
        for name, value in fields.items()
    }
    subject = await ada.post("/destinations", json={"url": WEBHOOK, "subject": "Hi"})
    template = await ada.post("/destinations", json={"url": URL, "subject": "{{ data.a | nope }}"})

    for name, answer in refused.items():
        assert all(one.startswith(f"#/{name}") for one in places_of(answer)), name
    assert places_of(subject) == ["#/subject"]
    assert places_of(template) == ["#/subject"]


async def test_a_mail_destination_has_no_secret(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL, key="ops")

    answers = [
        await ada.get(f"/destinations/{made['id']}/secret"),
        await ada.get("/destinations/by-key/ops/secret"),
        await ada.post(f"/destinations/{made['id']}/rotate-secret"),
        await ada.post("/destinations/by-key/ops/rotate-secret"),
    ]

    for answer in answers:
        assert problem_of(answer, 409)["type"].endswith("mails-not-signed")


async def test_a_webhook_becomes_a_mail_and_back(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, WEBHOOK, headers={"Authorization": "Bearer canary-token"})
    path = f"/destinations/{made['id']}"

    to_mail = await ada.patch(path, json={"url": URL, "subject": "{{ event.id }}"})
    refused = await ada.patch(path, json={"url": WEBHOOK})
    back = await ada.patch(path, json={"url": WEBHOOK, "subject": None})

    assert (to_mail.json()["headers"], to_mail.json()["secret"]) == ({}, None)
    assert to_mail.json()["warnings"] == [
        "Headers of the old origin are not sent to the new one: Authorization."
    ]
    assert places_of(refused) == ["#/subject"]
    assert back.json()["secret"].startswith("whsec_")
    assert back.json()["secret"] != made["secret"]


async def test_a_put_of_what_was_read_changes_nothing(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, URL, key="ops", subject="{{ event.id }}")
    read = await ada.get("/destinations/by-key/ops")

    put = await ada.put("/destinations/by-key/ops", json=read.json())

    assert (put.status_code, put.headers["etag"]) == (200, read.headers["etag"])
    assert (await read_destination(ada, made["id"]))["subject"] == "{{ event.id }}"


async def test_a_set_has_mail_destinations(ada: httpx.AsyncClient) -> None:
    members = {"destinations": {"ops": {"url": URL, "subject": "{{ event.id }}"}}}

    applied = await put_set(ada, "team", members)
    read = await get_set(ada, "team")
    bad = {"destinations": {"ops": {"url": URL, "headers": {"Bcc": "a@example.com"}}}}
    refused = await ada.put("/sets/team", json=bad)

    assert len(applied["create"]) == 1
    assert read["destinations"] == members["destinations"]
    assert places_of(refused) == ["#/destinations/ops/headers"]


async def test_without_a_mail_server_an_address_is_refused_with_the_settings(
    new_database_url: str,
) -> None:
    async with running_service(new_database_url) as service:
        answer = await service.client(ADA).post("/destinations", json={"url": URL})

    (error,) = problem_of(answer, 422)["errors"]
    assert "EVENT_TRIGGER_SMTP_URL" in error["detail"]
    assert "EVENT_TRIGGER_MAIL_FROM" in error["detail"]


async def test_a_preview_shows_the_mail(ada: httpx.AsyncClient) -> None:
    body = {"url": URL, "subject": "{{ data.a }}", "data": {"a": "1\n2"}}

    shown = (await ada.post("/destinations/render", json=body)).json()
    refused = await ada.post("/destinations/render", json={"url": "mailto:a@b,c@d"})

    assert (shown["method"], shown["url"]) == (None, URL)
    assert shown["headers"]["Subject"] == "1 2"
    assert shown["headers"]["To"] == "ops@example.com"
    assert '"a": "1\\n2"' in shown["body"]
    assert places_of(refused) == ["#/url"]


@given(st.text(max_size=300))
def test_an_accepted_address_is_one_word_of_ascii(text: str) -> None:
    try:
        address = check_address(text)
    except AddressRefused:
        return
    assert address == text
    assert address.isascii()
    assert not set(address) & {*' \t\r\n<>,;:"()[]\\\0'}
