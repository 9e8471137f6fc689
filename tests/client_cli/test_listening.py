"""`listen` and `events tail` follow events; `listen` sends what a delivery would be."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from event_trigger_client import receive
from tests.client_cli.conftest import Terminal
from tests.support.destinations import list_deliveries
from tests.support.processes import environment
from tests.support.receiver import Received, Receiver, receiving
from tests.support.waiting import eventually

_OF_THE_ATTEMPT = {"webhook-signature", "webhook-timestamp", "user-agent", "host", "connection"}
_OF_THE_ATTEMPT |= {"accept", "accept-encoding", "traceparent"}


@asynccontextmanager
async def running(terminal: Terminal, *arguments: str) -> AsyncIterator[Process]:
    """Runs a command that has no end, and ends it as Ctrl-C does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "event_trigger", *arguments),
        env=environment(**terminal.settings, XDG_CONFIG_HOME=str(terminal.home)),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()


async def line_of(process: Process, fire: Any) -> dict[str, Any]:
    """Fires until the command, which takes a while to begin, has printed a line."""
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.readline())
    while not reading.done():
        await fire()
        await asyncio.wait([reading], timeout=0.5)
    found: dict[str, Any] = json.loads(await reading)
    return found


def content_of(request: Received) -> tuple[str, dict[str, str], bytes]:
    """Gives what the receiver works with, without what is of one attempt alone."""
    headers = {
        name: value for name, value in request.headers.items() if name not in _OF_THE_ATTEMPT
    }
    return request.method, headers, request.body


async def sent_twice(receiver: Receiver) -> tuple[Received, Received]:
    """Gives a request of `listen` and the delivery of the same event."""

    async def both() -> list[tuple[Received, Received]]:
        delivered = {one.message_id: one for one in receiver.at("/delivered")}
        return [
            (one, delivered[one.message_id])
            for one in receiver.at("/listened")
            if one.message_id in delivered
        ]

    found = await eventually(both, bool)
    return found[0]


async def test_listen_sends_what_a_delivery_is_and_changes_nothing(
    ada_at: Terminal, ada: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        await ada_at.do("destinations", "create", f"{receiver.url}/delivered", "--key", "crm")
        await ada_at.do("triggers", "create", "order", "--destination", "crm")
        secret = (await ada_at.do("listen", "--print-secret")).strip()
        before = (await ada.get("/destinations/by-key/crm")).json()

        async def fire() -> None:
            await ada.post("/triggers/by-key/order/trigger", json={"order": 7, "note": None})

        forward = ("listen", "--forward-to", f"{receiver.url}/listened", "-o", "ndjson")
        async with running(ada_at, *forward, "--trigger", "order") as listening:
            line = await line_of(listening, fire)
            listened, delivered = await sent_twice(receiver)
        after = (await ada.get("/destinations/by-key/crm")).json()

    event = receive(listened.body, listened.headers, secret)
    assert content_of(listened) == content_of(delivered)
    assert (event.trigger, event.data) == ("order", {"order": 7, "note": None})
    assert (line["trigger"], line["status_code"], line["error"]) == ("order", 204, None)
    assert before == after
    assert {one["destination_id"] for one in await list_deliveries(ada)} == {before["id"]}
    assert await ada_at.do("listen", "--print-secret") == f"{secret}\n"


async def test_listen_takes_the_form_of_a_destination_without_its_secrets(
    ada_at: Terminal, ada: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        chat = {
            "url": f"{receiver.url}/delivered",
            "key": "chat",
            "format": "template",
            "template": '{"text": {{ data.order | json }}}',
            "headers": {"Authorization": "Bearer secret-of-the-chat"},
        }
        await ada_at.do("destinations", "create", "-f", "-", typed=json.dumps(chat))
        await ada_at.do("triggers", "create", "order")

        async def fire() -> None:
            await ada.post("/triggers/by-key/order/trigger", json={"order": 7})

        forward = ("listen", "--forward-to", f"{receiver.url}/listened", "-o", "ndjson")
        async with running(ada_at, *forward, "--destination", "chat") as listening:
            await line_of(listening, fire)
        [request, *_] = receiver.at("/listened")

    assert json.loads(request.body) == {"text": 7}
    assert "authorization" not in request.headers


async def test_a_receiver_that_is_not_there_or_refuses_is_told_and_listening_goes_on(
    ada_at: Terminal, ada: httpx.AsyncClient
) -> None:
    await ada_at.do("triggers", "create", "order")

    async def fire() -> None:
        await ada.post("/triggers/by-key/order/trigger")

    forward = ("listen", "--forward-to", "http://127.0.0.1:9/hook", "-o", "ndjson")
    async with running(ada_at, *forward) as listening:
        first = await line_of(listening, fire)
        second = await line_of(listening, fire)

    assert first["error"] == second["error"] == "ConnectError"
    assert first["event_id"] < second["event_id"]


async def test_tail_prints_events_of_the_named_triggers(
    ada_at: Terminal, ada: httpx.AsyncClient
) -> None:
    await ada_at.do("triggers", "create", "order")
    await ada_at.do("triggers", "create", "noise")

    async def fire() -> None:
        await ada.post("/triggers/by-key/noise/trigger")
        await ada.post("/triggers/by-key/order/trigger", json={"n": 1})

    async with running(ada_at, "events", "tail", "-t", "order", "-o", "json") as tailing:
        lines = [await line_of(tailing, fire) for _ in range(2)]

    assert {one["trigger_key"] for one in lines} == {"order"}
    assert lines[0]["id"] < lines[1]["id"]


async def test_bodies_are_signed_and_verified_in_a_terminal(ada_at: Terminal) -> None:
    body = ada_at.home / "body.json"
    body.write_text('{"a": "ü"}')
    other = {"EVENT_TRIGGER_SIGNING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

    signed = await ada_at.do("signature", "sign", str(body))
    headers = [one for line in signed.splitlines() for one in ("-H", line)]
    verified = await ada_at.run("signature", "verify", str(body), *headers, "-o", "json")
    by_another = await ada_at.run("signature", "verify", str(body), *headers, **other)
    unsigned = await ada_at.run("signature", "verify", str(body), "-H", "webhook-id: 7")
    body.write_text('{"a": "u"}')
    altered = await ada_at.run("signature", "verify", str(body), *headers)

    assert json.loads(verified.out)["verified"] is True
    assert [one.code for one in (by_another, unsigned, altered)] == [1, 1, 1]


async def test_a_delivery_is_verified_with_the_secret_of_its_destination(
    ada_at: Terminal,
) -> None:
    async with receiving() as receiver:
        await ada_at.do("destinations", "create", receiver.url, "--key", "crm")
        await ada_at.do("destinations", "test", "crm")
    [request] = receiver.received
    (ada_at.home / "body").write_bytes(request.body)
    headers = [one for name, value in request.headers.items() for one in ("-H", f"{name}: {value}")]

    verified = await ada_at.run("signature", "verify", "body", *headers, "-d", "crm")
    with_another = await ada_at.run("signature", "verify", "body", *headers)

    assert (verified.code, with_another.code) == (0, 1)
