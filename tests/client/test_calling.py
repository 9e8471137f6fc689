"""The client's calls against a live service: resources, pages, problems."""

import asyncio
from pathlib import Path

import pytest

from event_trigger_client import AsyncClient, Client, Cron, OnCall
from event_trigger_client.errors import (
    EventTriggerError,
    Invalid,
    KeyTaken,
    NotFound,
    PreconditionFailed,
    TriggerPaused,
    Unauthorized,
    Unreachable,
)
from tests.support.services import ADA, token_of


async def test_a_trigger_is_put_fired_and_read_by_its_key(events: AsyncClient) -> None:
    made = await events.triggers.put(
        "nightly", Cron("30 2 * * 1-5", timezone="Europe/Berlin"), payload={"report": "daily"}
    )
    again = await events.triggers.put(
        "nightly", Cron("30 2 * * 1-5", timezone="Europe/Berlin"), payload={"report": "daily"}
    )
    fired = await events.fire("nightly", {"by": "hand"})
    event = await events.events.get(fired.event_id)

    assert made == again
    assert event["payload"] == {"report": "daily", "by": "hand"}
    assert event["trigger_id"] == made["id"]
    assert not fired.is_replayed


async def test_a_plain_address_needs_no_certificate_authorities(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))

    async with AsyncClient(url, token=token_of(ADA)) as plain:
        assert await plain.triggers.create(OnCall())
    with pytest.raises(FileNotFoundError):
        AsyncClient("https://events.example.com")


async def test_ids_and_keys_name_the_same_trigger(events: AsyncClient) -> None:
    made = await events.triggers.create(OnCall(), key="deploy")

    by_key = await events.triggers.patch("deploy", name="Deploy")
    by_id = await events.triggers.get(made["id"])
    await events.triggers.delete("deploy")

    assert by_key["name"] == by_id["name"] == "Deploy"
    with pytest.raises(NotFound):
        await events.triggers.get(made["id"])


async def test_a_list_is_paged(events: AsyncClient) -> None:
    for number in range(5):
        await events.triggers.create(OnCall(), tags=["paged"], name=f"{number}")

    names = [one["name"] async for one in events.triggers.list(tag=["paged"], limit=2)]

    assert names == ["4", "3", "2", "1", "0"]


async def test_a_call_with_the_same_key_is_one_event(events: AsyncClient) -> None:
    await events.triggers.create(OnCall(), key="once")

    first = await events.fire("once", idempotency_key="order-1")
    second = await events.fire("once", idempotency_key="order-1")

    assert first.event_id == second.event_id
    assert (first.is_replayed, second.is_replayed) == (False, True)


async def test_a_problem_is_an_exception_with_its_pointers(events: AsyncClient) -> None:
    with pytest.raises(Invalid) as caught:
        await events.triggers.create(Cron("61 * * * *"), name="")

    assert {"#/details/cron", "#/name"} & {*caught.value.pointers}
    assert caught.value.status == 422
    assert caught.value.type == "urn:event-trigger:problem:invalid"
    assert caught.value.request_id
    assert str(caught.value).startswith("422 The request is not valid: #/")


async def test_problems_have_a_class_of_their_own(events: AsyncClient, url: str) -> None:
    await events.triggers.create(OnCall(), key="held")
    await events.triggers.pause("held")

    with pytest.raises(TriggerPaused):
        await events.fire("held")
    with pytest.raises(KeyTaken):
        await events.triggers.create(OnCall(), key="held")
    with pytest.raises(PreconditionFailed):
        await events.triggers.put("held", OnCall(), if_match='"other"')
    async with AsyncClient(url, token="wrong") as stranger:
        with pytest.raises(Unauthorized):
            await stranger.overview()


async def test_nobody_there_is_unreachable() -> None:
    async with AsyncClient("http://127.0.0.1:1", retries=1) as nobody:
        with pytest.raises(Unreachable) as caught:
            await nobody.info()
    assert not caught.value.is_sent


async def test_destinations_calendars_sets_and_keys(events: AsyncClient) -> None:
    crm = await events.destinations.put("crm", "https://crm.example.com/hook", headers={"a": "b"})
    closed = await events.calendars.put("closed", dates=["2026-12-24"])
    content = {"triggers": {"billed": {"type": "scheduled", "details": {"cron": "@daily"}}}}
    plan = await events.sets.plan("billing", content)
    applied = await events.sets.put("billing", content, if_match=f'"{plan["digest"]}"')
    key = await events.keys.create("ci", ["triggers:read"])

    assert crm["key"] == "crm"
    assert await events.destinations.secret("crm") == crm["secret"]
    assert closed["dates"] == ["2026-12-24"]
    assert [one["key"] for one in applied["create"]] == ["billed"]
    assert (key["key"] or "").startswith("etk_")
    assert [one["id"] async for one in events.keys.list()] == [key["id"]]


async def test_the_blocking_client_has_the_same_names(blocking: Client) -> None:
    def journey() -> list[object]:
        with blocking as events:
            events.triggers.create(OnCall(), key="by-thread")
            events.fire("by-thread", {"n": 1})
            found = events.events.list(trigger_id=events.triggers.id_of("by-thread"))
            return [one["payload"] for one in found]

    assert await asyncio.to_thread(journey) == [{"n": 1}]


def test_the_environment_makes_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENT_TRIGGER_URL", raising=False)
    with pytest.raises(EventTriggerError, match="EVENT_TRIGGER_URL is not set"):
        Client.from_env()

    monkeypatch.setenv("EVENT_TRIGGER_URL", "localhost:8000")
    with pytest.raises(EventTriggerError, match="no address of a service"):
        Client.from_env()
