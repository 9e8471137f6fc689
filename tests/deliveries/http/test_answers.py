"""A status line that was read is the answer, even with odd bytes before or after it."""

import asyncio

import httpx
import pytest

from event_trigger.destinations.circuit_breaker import OPENS_AFTER
from tests.support.destinations import (
    fire,
    make_destination,
    read_destination,
    try_out,
    until_finished,
    until_held,
)
from tests.support.misbehaving import OK, raw_server
from tests.support.odd_answers import (
    CHUNKED,
    NO_CONTENT,
    YES,
    OddReceiver,
    odd_receiver,
    read_request,
)
from tests.support.triggers import make_api


@pytest.mark.parametrize(
    "receiver",
    [OddReceiver(), OddReceiver(piece=7), OddReceiver(resets=True)],
    ids=["in one segment", "in pieces", "reset at the end"],
)
async def test_a_yes_is_taken_for_one_however_odd_the_answer(
    ada: httpx.AsyncClient, receiver: OddReceiver
) -> None:
    receiver.answers = {f"/{place}": answer for place, answer in enumerate(YES.values())}
    async with odd_receiver(receiver):
        made = [await make_destination(ada, receiver.url + path) for path in receiver.answers]
        trigger = await make_api(ada, destinations=[one["id"] for one in made])
        await fire(ada, trigger)
        done = await until_finished(ada, len(YES))
        now = [await read_destination(ada, one["id"]) for one in made]

    by_destination = {one["destination_id"]: one for one in done}
    names = {one["id"]: name for one, name in zip(made, YES, strict=True)}
    refused = {
        names[key]: one for key, one in by_destination.items() if one["status"] != "delivered"
    }
    assert refused == {}
    assert {one["attempt_count"] for one in done} == {1}
    assert sorted(receiver.asked) == sorted(receiver.answers)
    assert {(one["state"], one["failures"]) for one in now} == {("closed", 0)}


async def test_the_body_of_an_odd_answer_is_on_record(ada: httpx.AsyncClient) -> None:
    answers = {
        "/parsed": OK + b"Content-Length: 9\r\n\r\nhello",
        "/chunks": OK + CHUNKED + b"5\r\nhello\r\nno size",
        "/not-parsed": OK + b"no colon\r\n\r\nhello\0\xff",
        "/no-end": OK + b"no colon\r\n",
    }
    async with odd_receiver(OddReceiver(answers)) as receiver:
        tried = [await try_out(ada, receiver.url + path) for path in answers]

    assert [one["status_code"] for one in tried] == [200] * 4
    assert tried[0]["response"] == "hello"
    assert "hello" in tried[1]["response"]
    assert tried[2]["response"] == "hello\ufffd\ufffd"
    assert tried[3]["response"] == ""


async def test_an_odd_no_is_a_no_of_its_kind(ada: httpx.AsyncClient) -> None:
    odd = b"no colon\r\nRetry-After: 3600\r\nLocation: /elsewhere\r\n\r\n"
    answers = {
        "/500": b"HTTP/1.1 500 No\r\n" + odd,
        "/404": b"HTTP/1.1 404 No\r\n" + odd,
        "/302": b"HTTP/1.1 302 Elsewhere\r\n" + odd,
        "/410": b"HTTP/1.1 410 Gone\r\n" + odd,
        "/429": b"HTTP/1.1 429 Slowly\r\n" + odd,
        "/101": b"HTTP/1.1 101 Otherwise\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    }
    async with odd_receiver(OddReceiver(answers)) as receiver:
        tried = [await try_out(ada, receiver.url + path) for path in answers]
        slow = await make_destination(ada, receiver.url + "/429")
        await fire(ada, await make_api(ada, destinations=[slow["id"]]))
        held = await until_held(ada, slow["id"])

    assert [one["status_code"] for one in tried] == [500, 404, 302, 410, 429, 101]
    kinds = ["rejected", "rejected", "redirected", "gone", "rejected", "rejected"]
    assert [one["error"] for one in tried] == kinds
    assert {(one["reason"], one["location"]) for one in tried} == {(None, None)}  # not public
    assert held["held_until"] is not None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 20",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"200 OK\r\n\r\n",
        b"ICE/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_without_a_status_line_there_is_no_answer(
    ada: httpx.AsyncClient, answer: bytes
) -> None:
    async with odd_receiver(OddReceiver({"/hook": answer})) as receiver:
        tried = await try_out(ada, receiver.url + "/hook")

    assert tried["status_code"] is None
    assert tried["error"] in ("protocol_violated", "connection_failed")


@pytest.mark.parametrize(
    "answer",
    [NO_CONTENT + b"Content-Length: 9\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"],
    ids=["a body that was announced", "a body from nowhere"],
)
async def test_bytes_after_an_answer_do_not_answer_the_next_request(
    ada: httpx.AsyncClient, answer: bytes
) -> None:
    asked, sent = 0, asyncio.Event()

    async def answer_and_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await read_request(reader):
            asked += 1
            writer.write(answer)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            sent.set()

    async with raw_server(answer_and_more) as url:
        made = await make_destination(ada, url)
        first = (await ada.post(f"/destinations/{made['id']}/test")).json()
        async with asyncio.timeout(10):
            await sent.wait()
        await asyncio.sleep(0.05)
        second = (await ada.post(f"/destinations/{made['id']}/test")).json()

    assert [one["error"] for one in (first, second)] == [None, None]
    assert asked == 2


async def test_a_kept_connection_that_breaks_costs_no_attempt(ada: httpx.AsyncClient) -> None:
    connections: list[int] = []

    async def close_at_the_second(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        place = len(connections)
        connections.append(0)
        await read_request(reader)
        connections[place] += 1
        writer.write(NO_CONTENT + b"\r\n")
        await read_request(reader)
        connections[place] += 1

    async with raw_server(close_at_the_second) as url:
        made = await make_destination(ada, url, max_concurrency=1)
        trigger = await make_api(ada, destinations=[made["id"]])
        for count in range(1, 2 * OPENS_AFTER):
            await fire(ada, trigger)
            done = await until_finished(ada, count)
        now = await read_destination(ada, made["id"])

    assert {(one["status"], one["attempt_count"]) for one in done} == {("delivered", 1)}
    assert set(connections[:-1]) == {2}  # each was kept, and asked again
    assert (now["state"], now["failures"]) == ("closed", 0)


@pytest.mark.parametrize(
    ("last_words", "asked_in_all"),
    [(b"", 3), (b"HTTP/1.1 2", 2), (b"HTTP/1.1 103 Hints\r\n\r\n", 2)],
    ids=["not a byte", "a part of the answer", "an informational response"],
)
async def test_a_request_is_repeated_once_and_only_before_an_answer_begins(
    ada: httpx.AsyncClient, last_words: bytes, asked_in_all: int
) -> None:
    asked = 0

    async def answer_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await read_request(reader):
            asked += 1
            if asked > 1:
                writer.write(last_words)
                return
            writer.write(NO_CONTENT + b"\r\n")

    async with raw_server(answer_the_first) as url:
        made = await make_destination(ada, url)
        tried = [(await ada.post(f"/destinations/{made['id']}/test")).json() for _ in range(2)]

    assert [one["error"] for one in tried] == [None, "connection_failed"]
    assert asked == asked_in_all


async def test_a_request_on_a_new_connection_is_not_repeated(ada: httpx.AsyncClient) -> None:
    asked = 0

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await read_request(reader)
        asked += 1

    async with raw_server(never) as url:
        tried = await try_out(ada, url)

    assert tried["error"] == "connection_failed"
    assert asked == 1
