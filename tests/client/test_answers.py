"""Answers of a service that is busy, starting or not ours; a stand-in gives them in turn."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from event_trigger_client import AsyncClient, Hook, OnCall
from event_trigger_client.errors import (
    Conflict,
    Problem,
    StillRunning,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
)
from tests.support.receiver import Behave, Receiver, receiving

OK = {"version": "1"}
BUSY, REFUSED = 503, 429


def _in_turn(*answers: tuple[int, Any, dict[str, str]] | None) -> Behave:
    """Answers with a status, JSON and headers; None breaks the connection. The last one stays."""
    left = list(answers)

    async def behave(request: web.Request) -> web.StreamResponse:
        told = left.pop(0) if len(left) > 1 else left[0]
        if told is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body, headers = told
        return web.json_response(body, status=status, headers=headers)

    return behave


@pytest.fixture
async def stand_in() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def events(stand_in: Receiver) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(stand_in.url, token="secret-token", retries=2) as client:
        yield client


def _problem(slug: str) -> dict[str, Any]:
    return {"type": f"urn:event-trigger:problem:{slug}", "title": slug, "detail": "Do this."}


async def test_a_refused_call_is_repeated_whatever_it_asks(
    stand_in: Receiver, events: AsyncClient
) -> None:
    stand_in.answers["/triggers/1"] = _in_turn((REFUSED, {}, {"Retry-After": "0"}), (200, OK, {}))

    assert dict(await events.triggers.patch(1, name="A")) == OK
    assert len(stand_in.received) == 2


async def test_a_long_wait_is_left_to_the_caller(stand_in: Receiver, events: AsyncClient) -> None:
    body = _problem("too-many-calls")
    stand_in.answers["/info"] = _in_turn((REFUSED, body, {"Retry-After": "61"}))

    with pytest.raises(TooManyRequests) as caught:
        await events.info()
    assert caught.value.retry_after == 61
    assert len(stand_in.received) == 1


async def test_a_broken_service_is_asked_again_only_where_that_is_safe(
    stand_in: Receiver, events: AsyncClient
) -> None:
    stand_in.answers |= {
        "/triggers/1": _in_turn((BUSY, {}, {}), (200, OK, {})),
        "/triggers": _in_turn((BUSY, {}, {}), (201, OK, {})),
        "/triggers/1/pause": _in_turn((BUSY, {}, {}), (200, OK, {})),
    }

    with pytest.raises(Unavailable):
        await events.triggers.patch(1, name="A")
    await events.triggers.create(OnCall())
    await events.triggers.pause(1)

    assert len(stand_in.at("/triggers/1")) == 1
    assert len(stand_in.at("/triggers/1/pause")) == 2
    first, second = stand_in.at("/triggers")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


async def test_each_call_has_a_key_of_its_own(stand_in: Receiver, events: AsyncClient) -> None:
    stand_in.answers["/triggers"] = _in_turn((201, OK, {}))
    for _ in range(2):
        await events.triggers.create(OnCall())

    first, second = stand_in.received
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


async def test_an_attempt_that_still_runs_is_waited_for(
    stand_in: Receiver, events: AsyncClient
) -> None:
    running = (409, _problem("idempotency-key-in-use"), {"Retry-After": "0"})
    fired = (200, {"message": "Event triggered"}, {"Event-Id": "7"})
    stand_in.answers["/triggers/1/trigger"] = _in_turn(None, running, fired)
    stand_in.answers["/triggers/2/trigger"] = _in_turn(running, fired)

    assert (await events.fire(1)).event_id == 7
    with pytest.raises(StillRunning):  # of somebody else, with the same key
        await events.fire(2, idempotency_key="order-1")


async def test_the_token_stays_with_the_service(stand_in: Receiver, events: AsyncClient) -> None:
    async with receiving() as other:
        away = {"Link": f'<{other.url}/triggers?cursor=next>; rel="next"'}
        stand_in.answers["/triggers"] = _in_turn(
            (200, [{"id": 1}], away),
            (200, [{"id": 2}], {}),
        )
        stand_in.answers["/info"] = _in_turn((301, {}, {"Location": f"{other.url}/info"}))

        assert [one["id"] async for one in events.triggers.list(q="a")] == [1, 2]
        with pytest.raises(UnexpectedAnswer, match="301 to http"):
            await events.info()
        assert other.received == []

    assert stand_in.at("/triggers")[1].target == "/triggers?cursor=next"


@pytest.mark.parametrize("path", ["/info", "/triggers/1/trigger", "/events/stream"])
async def test_an_address_of_something_else_is_told(
    stand_in: Receiver, events: AsyncClient, path: str
) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<p>Welcome</p>", content_type="text/html")

    stand_in.answers[path] = page
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "/info": events.info,
        "/triggers/1/trigger": lambda: events.fire(1),
        "/events/stream": lambda: anext(events.events.follow(after=0)),
    }

    with pytest.raises(UnexpectedAnswer, match="Is it the address of the service"):
        await calls[path]()


async def test_an_unknown_problem_has_the_class_of_its_status(
    stand_in: Receiver, events: AsyncClient
) -> None:
    stand_in.answers["/info"] = _in_turn((409, _problem("something-new"), {}))
    with pytest.raises(Conflict) as caught:
        await events.info()
    assert caught.value.type.endswith("something-new")

    stand_in.answers["/info"] = _in_turn((418, _problem("teapot"), {}))
    with pytest.raises(Problem, match="418 teapot: Do this"):
        await events.info()


async def test_no_secret_is_in_what_is_printed(
    stand_in: Receiver, events: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password = stand_in.url.replace("http://", "http://ada:secret-password@")
    stand_in.answers["/info"] = _in_turn(None)
    async with AsyncClient(password, token="secret-token", retries=0) as client:
        with pytest.raises(Exception, match="no answer") as caught:
            await client.info()

    told = f"{caught.value!r} {client!r} {OnCall(hook=Hook('github', secret='secret-hook'))!r}"
    assert "secret" not in told
    assert "secret" not in caplog.text
