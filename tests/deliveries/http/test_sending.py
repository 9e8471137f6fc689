"""An attempt never delays others, however slow its name server or its receiver is."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
import uvloop
from aiohttp import web

from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.ping import MOST_PINGS_OF_OWNER
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver, Lookup
from event_trigger.models import DeliveryError
from tests.support.destinations import make_destination
from tests.support.misbehaving import OK, raw_server
from tests.support.names import answering_late
from tests.support.odd_answers import read_request
from tests.support.problems import problem_of
from tests.support.processes import ENDS_WITHIN, connections_to, environment
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

LARGE = b"x" * 1024 * 1024
POSTS = 20
ASKS_AND_ENDS = """
import asyncio, threading
from event_trigger.destinations.dns import DnsResolver

async def main():
    asked = threading.Event()
    names = DnsResolver(lambda *_, **__: asked.set() or threading.Event().wait())
    asking = asyncio.create_task(names.lookup("slow.example", 443))
    await asyncio.to_thread(asked.wait)
    names.close()
    await asyncio.wait({asking})
    print("cancelled" if asking.cancelled() else "not cancelled")

asyncio.run(main())
"""


class NarrowGuard(AddressPolicy):
    """Makes sockets with almost no send buffer in the kernel."""

    def open_plain(self, address_info: tuple[Any, ...]) -> socket.socket:
        made = super().open_plain(address_info)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return made


def sender_to_loopback(lookup: Lookup, kind: type[AddressPolicy] = AddressPolicy) -> Sender:
    return Sender(kind([ip_network("127.0.0.0/8")]), lookup)


def port_of(url: str) -> int:
    return httpx.URL(url).port or 80


class Faulty(AddressPolicy):
    """Fails where it should tell whether an address is public."""

    def may_tell_of(self, address: str) -> bool:
        raise RuntimeError(address)


@pytest.mark.parametrize("rest", [b"Content-Length: 0\r\n\r\n", b""], ids=["ended", "too late"])
async def test_a_fault_of_ours_is_raised_and_leaves_no_attempt_without_an_end(rest: bytes) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n" + rest)
        await read_request(reader)

    sender = sender_to_loopback(DnsResolver().lookup, Faulty)
    async with raw_server(redirect) as url:
        with pytest.raises(RuntimeError, match=r"127\.0\.0\.1"):
            async with asyncio.timeout(10):
                await sender.send(url, {}, b"{}", within=0.5)
    await sender.aclose()


async def test_a_slow_name_server_holds_up_its_own_names_only(receiver: Receiver) -> None:
    port, most, of_one, domains = port_of(receiver.url), 16, 4, 3
    limits = {"most_lookups": most, "most_of_domain": of_one}
    with answering_late(".slow", **limits) as (names, asked):
        sender = sender_to_loopback(names.lookup)

        async def post(host: str, within: float) -> AttemptResult:
            return await sender.send(f"http://{host}:{port}/hook", {}, b"{}", within=within)

        slow_ones = [f"{n}.domain-{n % domains}.slow" for n in range(2 * most)]
        slow = await asyncio.gather(*(post(host, within=0.5) for host in slow_ones))
        healthy = await post("hook.example", within=10)
        await sender.aclose()
        names.close()

    assert {one.error for one in slow} == {DeliveryError.TIMEOUT}
    assert (healthy.error, healthy.status_code) == (None, 204)
    assert len(asked) <= domains * of_one + 1


async def test_concurrent_calls_for_a_name_share_one_lookup() -> None:
    with answering_late(".slow") as (names, asked):
        asking = [
            asyncio.create_task(names.lookup(host, 443)) for host in ("hook.slow", "Hook.slow") * 20
        ]
        async with asyncio.timeout(10):  # when all have asked
            await names.lookup("hook.example", 443)
        asking.pop().cancel()
    found = await asyncio.gather(*asking)
    again = await names.lookup("hook.slow", 443)

    assert sorted(asked) == ["hook.example", "hook.slow", "hook.slow"]
    assert [again, *found] == [["127.0.0.1"]] * len([again, *found])


async def test_a_failed_lookup_fails_for_all_callers_and_is_made_again() -> None:
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    names = DnsResolver(resolve)
    for _ in range(2):
        asking = (names.lookup("hook.example", 443) for _ in range(3))
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(one) for one in errors] == [socket.gaierror] * 3

    assert len(asked) == 2


async def test_an_answer_in_time_counts_although_the_process_is_busy() -> None:
    asked, within = threading.Event(), 1.0

    def answer_soon(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(64 * 1024)
            asked.set()
            time.sleep(within / 4)
            connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer_soon, args=(listener,))
        answering.start()
        sender = sender_to_loopback(DnsResolver().lookup)
        sending = sender.send(
            f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"{}", within=within
        )
        while not asked.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        time.sleep(within)  # noqa: ASYNC251 past the deadline, and blocks the event loop
        answer = await sending
        answering.join()
    await sender.aclose()

    assert (answer.error, answer.status_code) == (None, 200)


async def test_without_a_thread_a_name_is_not_resolved() -> None:
    sender = sender_to_loopback(DnsResolver().lookup)
    before = threading.stack_size(2**46)  # more than there is
    try:
        answer = await sender.send("http://hook.example/", {}, b"{}", within=5)
    finally:
        threading.stack_size(before)
    await sender.aclose()

    assert answer.error == DeliveryError.NAME_NOT_RESOLVED


@pytest.mark.xdist_group("processes")
def test_a_lookup_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ASKS_AND_ENDS],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cancelled\n", "")


@contextmanager
def answering_unread(answer: bytes) -> Iterator[int]:
    """The port of a receiver with almost no buffer, which answers but never reads."""
    with socket.socket() as listener, ExitStack() as accepted:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer_all() -> None:
            for _ in range(POSTS):
                connection = accepted.enter_context(listener.accept()[0])
                connection.recv(1)
                connection.sendall(answer)

        threading.Thread(target=answer_all, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", DeliveryError.TIMEOUT),
        (OK + b"Content-Length: 2\r\n\r\nok", None),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", None),
    ],
    ids=["no answer", "kept alive", "closed"],
)
def test_a_receiver_that_never_reads_keeps_no_connection_open(
    answer: bytes, error: DeliveryError | None, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def post_all(port: int) -> list[AttemptResult]:
        sender = sender_to_loopback(DnsResolver().lookup, NarrowGuard)
        url = f"http://127.0.0.1:{port}/hook"
        posts = (sender.send(url, {}, LARGE, within=0.5) for _ in range(POSTS))
        answers = await asyncio.gather(*posts)
        await eventually(partial(connections_to, port), lambda count: count == 0, within=10)
        await sender.aclose()
        return answers

    with asyncio.Runner(loop_factory=make_loop) as runner, answering_unread(answer) as port:
        answers = runner.run(post_all(port))

    assert [one.error for one in answers] == [error] * POSTS


async def test_a_deadline_ends_only_the_connection_of_its_attempt(receiver: Receiver) -> None:
    """Also a connection that was used before; another one goes on, and is used again."""
    asked, go_on, peers = asyncio.Event(), asyncio.Event(), list[object]()

    async def meet(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        if request.query_string == "wait":
            asked.set()
            await go_on.wait()
        return web.Response()

    receiver.answers["/hook"] = meet
    sender = sender_to_loopback(DnsResolver().lookup)

    async def post(query: str, within: float = 10) -> AttemptResult:
        return await sender.send(f"{receiver.url}/hook?{query}", {}, b"{}", within=within)

    await post("")
    beside = asyncio.create_task(post("wait"))
    await asked.wait()
    late = await post("wait", within=0.3)
    go_on.set()
    answers = [await beside, await post("")]
    await sender.aclose()

    assert late.error == DeliveryError.TIMEOUT
    assert [one.status_code for one in answers] == [200, 200]
    first, waiting, given_up, last = peers
    assert first == waiting == last != given_up


async def test_a_header_of_a_destination_replaces_ours_in_any_case(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    seen: list[tuple[str, str]] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.extend((name.lower(), value) for name, value in request.headers.items())
        return web.Response()

    receiver.answers["/hook"] = look
    headers = {"user-agent": "theirs", "ACCEPT": "text/plain", "X-More": "more"}
    made = await make_destination(ada, receiver.url + "/hook", headers=headers)
    await ada.post(f"/destinations/{made['id']}/test")

    names = [name for name, _ in seen]
    assert len(names) == len(set(names))
    assert {(name.lower(), value) for name, value in headers.items()} <= set(seen)
    assert ("accept-encoding", "identity") in seen


async def test_one_user_tries_out_a_few_destinations_at_a_time(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, receiver: Receiver
) -> None:
    go_on = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response()

    async def count() -> int:
        return len(receiver.at("/slow"))

    receiver.answers["/slow"] = wait
    slow = await make_destination(ada, receiver.url + "/slow", timeout=30)
    hers = await make_destination(ada, receiver.url + "/hook")
    his = await make_destination(bob, receiver.url + "/hook")
    trying = [
        asyncio.create_task(ada.post(f"/destinations/{slow['id']}/test"))
        for _ in range(MOST_PINGS_OF_OWNER)
    ]
    await eventually(count, lambda count: count == MOST_PINGS_OF_OWNER)
    refused = await ada.post(f"/destinations/{hers['id']}/test")
    of_another = await bob.post(f"/destinations/{his['id']}/test")
    go_on.set()
    tried = await asyncio.gather(*trying)
    afterwards = await ada.post(f"/destinations/{hers['id']}/test")

    assert problem_of(refused, 429)["type"] == "urn:event-trigger:problem:too-many-tests"
    assert refused.headers["retry-after"] == "1"
    assert [one.json()["error"] for one in (*tried, of_another, afterwards)] == [None] * 6
    assert len(receiver.at("/hook")) == 2


async def test_a_disabled_destination_can_be_tried_out(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = await make_destination(ada, receiver.url + "/hook")
    await ada.post(f"/destinations/{made['id']}/disable")

    tried = await ada.post(f"/destinations/{made['id']}/test")

    assert (tried.status_code, tried.json()["status_code"]) == (200, 204)
