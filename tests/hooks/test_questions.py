"""Senders that first ask are answered without an event; the trigger's owner sees refusals."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from event_trigger.hooks.acceptance import Acceptance
from event_trigger.hooks.questions import WrongVerifyToken, reply_to_challenge, reply_to_question
from event_trigger.hooks.requests import HookRequest
from tests.support.hooks import events_of, github, hook_of, is_fired, make_hook, request_of
from tests.support.problems import problem_of
from tests.support.senders import SENDERS, Sending
from tests.support.triggers import make_api, read

ALL_KINDS = ["none", "token", "basic", "hmac"]
SLACK = {"token": "Jhj5dZrVaK7ZwHHjRyZWjbDl", "challenge": "3eZbrw1aB", "type": "url_verification"}
EVENT_GRID: list[dict[str, Any]] = [
    {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/1",
        "subject": "",
        "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2022-10-25T22:12:19.4556811Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }
]
VALIDATION = [("aeg-event-type", "SubscriptionValidation")]
DISCORD_PING = {"application_id": "1", "id": "2", "token": "3", "type": 1, "version": 1}
DISCORD_EVENTS_PING = {"version": 1, "application_id": "1", "type": 0}
DISCORD_EVENT = {"version": 1, "application_id": "1", "type": 1, "event": {"type": "ENTITLEMENT"}}


def request(
    *headers: tuple[str, str], method: str = "POST", query: str = "", body: bytes = b""
) -> HookRequest:
    return request_of(headers, body, method=method, query=query)


def accepts(verify: str, **options: Any) -> Acceptance:
    return Acceptance.of({"verify": verify, **options})


def asked(kind: str, payload: Any, *headers: tuple[str, str]) -> tuple[int, Any] | None:
    sent = payload if isinstance(payload, dict) else {"body": payload}
    reply = reply_to_question(accepts(kind), request(*headers), sent)
    return None if reply is None else (reply.status, json.loads(reply.body or b"null"))


@pytest.mark.parametrize("kind", ["slack", *ALL_KINDS])
def test_slacks_challenge_is_given_back(kind: str) -> None:
    assert asked(kind, SLACK) == (200, {"challenge": "3eZbrw1aB"})
    assert asked(kind, {**SLACK, "type": "event_callback"}) is None
    assert asked(kind, {**SLACK, "challenge": 1}) is None


def test_both_pings_of_discord_are_answered_and_its_events_fire() -> None:
    assert asked("discord", DISCORD_PING) == (200, {"type": 1})
    assert asked("discord", DISCORD_EVENTS_PING) == (204, None)
    assert asked("discord", DISCORD_EVENT) is None
    assert asked("discord", {**DISCORD_PING, "type": 2}) is None


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_validation_code_of_event_grid_is_given_back(kind: str) -> None:
    code = EVENT_GRID[0]["data"]["validationCode"]

    assert asked(kind, EVENT_GRID, *VALIDATION) == (200, {"validationResponse": code})
    assert asked(kind, EVENT_GRID) is None
    assert asked(kind, EVENT_GRID, ("aeg-event-type", "Notification")) is None
    assert asked(kind, [{"data": {"validationCode": 1}}], *VALIDATION) is None


@pytest.mark.parametrize("kind", ["github", *ALL_KINDS])
@pytest.mark.parametrize(
    "header", [("x-github-event", "ping"), ("x-event-key", "diagnostics:ping")]
)
def test_a_ping_is_accepted(kind: str, header: tuple[str, str]) -> None:
    answered = asked(kind, {"zen": "Keep it logically awesome."}, header)

    assert answered == (200, {"message": "Ping received: no event was made"})
    assert asked(kind, {"zen": "Keep it logically awesome."}, (header[0], "push")) is None


@pytest.mark.parametrize(
    ("kind", "payload"), [("github", SLACK), ("stripe", SLACK), ("slack", DISCORD_PING)]
)
def test_a_senders_own_question_is_no_question_from_others(kind: str, payload: Any) -> None:
    assert asked(kind, payload) is None


CHALLENGE = "hub.mode=subscribe&hub.challenge=15%2B8&hub.verify_token=a%20b"


@pytest.mark.parametrize("mode", ["subscribe", "unsubscribe"])
def test_a_hub_gets_its_challenge_as_text(mode: str) -> None:
    query = CHALLENGE.replace("subscribe", mode, 1)

    reply = reply_to_challenge(
        accepts("github", verify_token="a b"), request(method="GET", query=query)
    )

    assert reply is not None
    assert (reply.status, reply.body) == (200, b"15+8")
    assert reply.media_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "query",
    [
        CHALLENGE + "c",
        CHALLENGE.replace("a%20b", ""),
        CHALLENGE.replace("&hub.verify_token=a%20b", ""),
        CHALLENGE + "&hub.verify_token=a%20b",
        CHALLENGE.replace("a%20b", "%C3%BC"),
    ],
)
def test_a_hub_with_another_token_is_refused(query: str) -> None:
    with pytest.raises(WrongVerifyToken):
        reply_to_challenge(accepts("none", verify_token="a b"), request(method="GET", query=query))


@pytest.mark.parametrize(
    ("token", "method", "query"),
    [
        (None, "GET", CHALLENGE),
        ("a b", "POST", CHALLENGE),
        ("a b", "GET", ""),
        ("a b", "GET", "hub.mode=denied&hub.challenge=1&hub.verify_token=a%20b"),
        ("a b", "GET", CHALLENGE + "&hub.challenge=2"),
        ("a b", "GET", CHALLENGE + "&x=1" * 50),
    ],
)
def test_anything_else_is_no_challenge(token: str | None, method: str, query: str) -> None:
    asked = request(method=method, query=query)

    assert reply_to_challenge(accepts("none", verify_token=token), asked) is None


async def test_questions_make_no_event_and_leave_the_trigger_alone(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    open_hook = await make_hook(ada, "none")
    signed = await make_hook(ada, "github")
    ping = {"x-github-event": "ping"}

    slack = await anonymous.post(open_hook.url, json=SLACK)
    grid = await anonymous.post(open_hook.url, json=EVENT_GRID, headers=dict(VALIDATION))
    pinged = await anonymous.post(signed.url, content=b"{}", headers=github(signed, b"{}") | ping)
    unsigned = await anonymous.post(signed.url, content=b"{}", headers=ping)

    assert slack.json() == {"challenge": "3eZbrw1aB"}
    assert grid.json()["validationResponse"]
    assert pinged.status_code == 200
    assert not is_fired(pinged)
    assert unsigned.status_code == 401
    for hook in (open_hook, signed):
        assert await events_of(ada, hook) == []
        assert (await read(ada, hook.trigger_id))["fire_count"] == 0


async def test_a_question_counts_only_if_it_is_signed_as_calls_are(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for name, question, answer in (
        ("Slack", SLACK, {"challenge": "3eZbrw1aB"}),
        ("Discord", DISCORD_PING, {"type": 1}),
    ):
        sender, body = SENDERS[name], json.dumps(question).encode()
        options = {"hook": {**sender.hook, "secret": sender.secret}}
        hook = hook_of(await make_api(ada, details=options))
        sending = Sending(sender.secret, body, at=datetime.now(UTC), url=hook.url)
        wrong = Sending(sender.other_secret, body, at=datetime.now(UTC), url=hook.url)

        asked = await anonymous.post(hook.url, content=body, headers=sender.sign(sending))
        refused = await anonymous.post(hook.url, content=body, headers=sender.sign(wrong))

        assert (asked.status_code, asked.json()) == (200, answer), name
        assert problem_of(refused, 401), name
        assert await events_of(ada, hook) == [], name
