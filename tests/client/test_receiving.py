"""`receive` takes what the service sends, in every format, and nothing else."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from event_trigger_client import AsyncClient, At, NotVerified, OnCall, receive
from event_trigger_client.testing import SECRET, Sample, sign
from event_trigger_client.types import Destination, Event
from tests.support.receiver import ALLOW_LOOPBACK, Received, Receiver, receiving
from tests.support.waiting import eventually

OLD = "whsec_YW4gb2xkIHNlY3JldCBmb3IgdGVzdHMsIHRvbw=="
PAYLOAD = {"report": "daily", "é\u2028": [1.5, None]}
TEMPLATE = "{{ event.id }}: {{ data.report }}"
FORMS: dict[str, dict[str, str]] = {
    "cloudevents": {},
    "cloudevents_binary": {},
    "payload": {},
    "template": {"template": TEMPLATE, "content_type": "text/plain"},
}
SAMPLE = Sample(PAYLOAD)


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return ALLOW_LOOPBACK


async def _destinations(events: AsyncClient, receiver: Receiver) -> dict[str, Destination]:
    return {
        one: await events.destinations.create(f"{receiver.url}/{one}", format=one, **more)
        for one, more in FORMS.items()
    }


async def _delivered(receiver: Receiver, path: str, count: int) -> Received:
    """Waits until so many came, and gives that of the newest event."""

    async def arrived() -> list[Received]:
        return receiver.at(path)

    found = await eventually(arrived, lambda came: len(came) >= count)
    return max(found, key=lambda one: one.event_id)


def _sample_of(event: Event, format_: Any, destination: Destination, got: Received) -> Sample:
    """Makes the sample of an event that was delivered."""
    data: Any = event.get("payload")
    if format_ == "template":
        data = f"{event['id']}: {data['report']}"
    source, scheduled_for = event["source"], event["scheduled_for"]
    assert source is not None
    return Sample(
        data,
        format_,
        destination["secret"] or "",
        event["type"],
        event["trigger_key"],
        event["trigger_id"],
        event["trigger_name"],
        event["id"],
        datetime.fromisoformat(event["triggered_at"]),
        None if scheduled_for is None else datetime.fromisoformat(scheduled_for),
        event["is_test"],
        event["replay_of"],
        receive(got.body, got.headers, destination["secret"] or "").source,
        None if source["kind"] == "schedule" else source["kind"],
        "text/plain" if format_ == "template" else "application/json",
        datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC),
        got.message_id,
    )


@pytest.mark.parametrize("how", ["scheduled", "test", "replay"])
async def test_deliveries_are_received_in_each_format_and_samples_are_the_same(
    events: AsyncClient, how: str
) -> None:
    async with receiving() as receiver:
        made = await _destinations(events, receiver)
        is_planned = (
            how == "scheduled"
        )  # its payload is written by the service, others as they came
        what = At(datetime.now(UTC)) if is_planned else OnCall()
        trigger = await events.triggers.create(
            what,
            key="nightly",
            name="Nächtlich „90 %“",
            payload=PAYLOAD if is_planned else None,
            destinations=[one["id"] for one in made.values()],
        )
        if not is_planned:
            fired = await events.triggers.test("nightly", PAYLOAD)
            if how == "replay":
                await events.events.replay(fired.event_id)

        for format_, destination in made.items():
            got = await _delivered(receiver, f"/{format_}", 2 if how == "replay" else 1)
            secret = destination["secret"]
            assert secret is not None
            received = receive(got.body, got.headers, [OLD, secret])
            assert received.event_id is not None
            event = await events.events.get(received.event_id)
            sample = _sample_of(event, format_, destination, got)

            assert received.id == got.message_id
            if is_planned and format_ != "template":
                assert json.loads(sample.body) == json.loads(got.body)
            else:
                assert sample.body == got.body
                assert sample.headers.items() <= got.headers.items()
            if format_ == "template":
                assert received.data == f"{event['id']}: daily"
            else:
                assert received.data == PAYLOAD
            if not format_.startswith("cloudevents"):
                assert (received.trigger, received.is_test, received.time) == (None, None, None)
                continue
            assert received.type == event["type"] == ("scheduled" if is_planned else "api")
            assert (received.trigger, received.trigger_id) == ("nightly", trigger["id"])
            assert received.trigger_name == "Nächtlich „90 %“"
            assert received.is_test == event["is_test"] == (not is_planned)
            assert received.time == sample.time
            assert received.scheduled_for == sample.scheduled_for
            assert received.replay_of == event["replay_of"]
            assert (received.replay_of is not None) == (how == "replay")


async def test_the_sample_of_a_destination_is_a_test_in_each_format(events: AsyncClient) -> None:
    async with receiving() as receiver:
        for format_, destination in (await _destinations(events, receiver)).items():
            attempt = await events.destinations.test(destination["id"], {"report": "tried"})
            assert attempt["status_code"] == 204
            [got] = receiver.at(f"/{format_}")
            received = receive(got.body, got.headers, destination["secret"] or "")

            assert received.is_test
            assert received.event_id is None
            assert received.data == ("0: tried" if format_ == "template" else {"report": "tried"})


async def test_after_a_new_secret_either_one_verifies(events: AsyncClient) -> None:
    async with receiving() as receiver:
        made = await events.destinations.create(f"{receiver.url}/new", key="crm")
        new = await events.destinations.rotate("crm")
        await events.destinations.test("crm")
        [got] = receiver.at("/new")

    for secret in (made["secret"], new["secret"], [new["secret"] or "", ""]):
        assert secret is not None
        assert receive(got.body, got.headers, secret).is_test


FORGED = {
    "nothing": {},
    "no id": {"webhook-id": ""},
    "another id": {"webhook-id": "evt_0_2"},
    "another time": {"webhook-timestamp": "1795537412"},
    "no time": {"webhook-timestamp": "now"},
    "a time of other digits": {"webhook-timestamp": "１７９５５３７４１２"},
    "no number": {"webhook-timestamp": "nan"},
    "another version": {
        "webhook-signature": SAMPLE.headers["webhook-signature"].replace("v1", "v2")
    },
    "no version": {"webhook-signature": SAMPLE.headers["webhook-signature"][3:]},
    "a shorter one": {"webhook-signature": SAMPLE.headers["webhook-signature"][:20]},
    "an empty one": {"webhook-signature": "v1,"},
    "no base64": {"webhook-signature": "v1,===="},
    "commas": {"webhook-signature": "v1,a,b"},
    "other letters": {"webhook-signature": "v1,é"},
}


@pytest.mark.parametrize("name", FORGED)
def test_what_is_not_signed_is_refused(name: str) -> None:
    headers = {**SAMPLE.headers, **FORGED[name]} if FORGED[name] else {}

    with pytest.raises(NotVerified):
        receive(SAMPLE.body, headers, SECRET)


@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_what_is_not_of_now_is_refused(off: timedelta) -> None:
    elsewhere = timezone(timedelta(hours=5))
    sample = replace(SAMPLE, sent_at=datetime.now(elsewhere) + off)
    of_now = replace(SAMPLE, sent_at=datetime.now(elsewhere))

    with pytest.raises(NotVerified, match=r"too (old|new)"):
        receive(sample.body, sample.headers, SECRET)
    assert receive(of_now.body, of_now.headers, SECRET).data == PAYLOAD


@pytest.mark.parametrize("body", [SAMPLE.body + b" ", b"\xff", b""])
def test_another_body_or_secret_is_refused(body: bytes) -> None:
    with pytest.raises(NotVerified):
        receive(body, SAMPLE.headers, SECRET)
    with pytest.raises(NotVerified):
        receive(SAMPLE.body, SAMPLE.headers, OLD)


@pytest.mark.parametrize("secret", ["", [], ["", ""], "whsec_", "whsec_é"])
def test_without_a_secret_nothing_is_received(secret: str | list[str]) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        receive(SAMPLE.body, SAMPLE.headers, secret)


def test_names_of_headers_may_be_written_in_any_case() -> None:
    headers = {name.title(): value for name, value in SAMPLE.headers.items()}

    assert receive(SAMPLE.body.decode(), headers, SECRET).data == PAYLOAD


def test_a_request_without_a_body_has_no_data() -> None:
    sample = replace(SAMPLE, data=None, format="cloudevents_binary")

    assert sample.body == b""
    assert receive(sample.body, sample.headers, SECRET).data is None
    assert receive(b"", sign(b"", SECRET, message_id="evt_0_1"), SECRET).event_id == 1
