"""Over TLS a receiver must have a certificate for its name, at every address."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from threading import Thread

import pytest
import uvloop
from aiohttp import web

from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.models import DeliveryError
from tests.support.certificates import Authority, server_context
from tests.support.misbehaving import OK
from tests.support.names import resolving
from tests.support.processes import connections_to
from tests.support.waiting import eventually

NAME = "hook.example"
POSTS = 10


@contextmanager
def saying_no_goodbye(server_side: ssl.SSLContext, answer: bytes) -> Iterator[int]:
    """The port of a receiver that shakes hands, answers, and does nothing more."""
    with socket.socket() as listener, ExitStack() as accepted:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer_all() -> None:
            for _ in range(POSTS):
                plain, _ = listener.accept()
                connection = server_side.wrap_socket(plain, server_side=True)
                accepted.enter_context(connection)
                connection.recv(1)
                connection.sendall(answer)

        Thread(target=answer_all, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("size", "answer", "error"),
    [
        (1, b"", DeliveryError.TIMEOUT),
        (1024 * 1024, b"", DeliveryError.TIMEOUT),
        (1, OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", None),
    ],
    ids=["no answer", "never read", "answered"],
)
def test_a_receiver_that_says_no_goodbye_keeps_no_connection_open(
    tmp_path: Path,
    size: int,
    answer: bytes,
    error: DeliveryError | None,
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    authority = Authority()
    server_side = server_context(authority.issue(NAME).save(tmp_path))

    async def post_all(port: int) -> list[AttemptResult]:
        guard = AddressPolicy([ip_network("127.0.0.0/8")])
        sender = Sender(guard, resolving("127.0.0.1").lookup, ca_file=authority.save(tmp_path))
        url = f"https://{NAME}:{port}/hook"
        posts = (sender.send(url, {}, b"x" * size, within=1) for _ in range(POSTS))
        answers = await asyncio.gather(*posts)
        await eventually(partial(connections_to, port), lambda count: count == 0, within=10)
        await sender.aclose()
        return answers

    with (
        asyncio.Runner(loop_factory=make_loop) as runner,
        saying_no_goodbye(server_side, answer) as port,
    ):
        answers = runner.run(post_all(port))

    assert [one.error for one in answers] == [error] * POSTS


@pytest.mark.parametrize(
    ("name", "error"), [(NAME, None), ("other.example", DeliveryError.TLS_FAILED)]
)
async def test_the_certificate_is_that_of_the_name_and_so_is_the_host(
    tmp_path: Path, name: str, error: DeliveryError | None
) -> None:
    authority = Authority()
    server_side = server_context(authority.issue(NAME).save(tmp_path))
    asked: list[str | None] = []
    hosts: list[str] = []
    server_side.sni_callback = lambda _socket, wanted, _context: asked.append(wanted)

    async def answer(request: web.BaseRequest) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response()

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_side).start()
    port = runner.addresses[0][1]
    guard = AddressPolicy([ip_network("127.0.0.0/8")])
    sender = Sender(guard, resolving("127.0.0.1").lookup, ca_file=authority.save(tmp_path))

    answered = await sender.send(f"https://{name}:{port}/hook", {}, b"{}", within=10)

    await sender.aclose()
    await runner.cleanup()
    assert answered.error == error
    assert asked == [name]
    assert hosts == ([f"{name}:{port}"] if error is None else [])


async def test_where_one_address_has_a_wrong_certificate_the_next_one_is_tried(
    tmp_path: Path,
) -> None:
    authority = Authority()
    wrong = server_context(authority.issue("other.example").save(tmp_path))
    right = server_context(authority.issue(NAME).save(tmp_path))
    asked = list[str]()

    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        asked.append(request.transport.get_extra_info("sockname")[0])
        return web.Response()

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.2", 0, ssl_context=wrong).start()
    port = runner.addresses[0][1]
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=right).start()
    guard = AddressPolicy([ip_network("127.0.0.0/8")])
    names = resolving(("127.0.0.2", "127.0.0.1"))
    sender = Sender(guard, names.lookup, ca_file=authority.save(tmp_path))

    answered = await sender.send(f"https://{NAME}:{port}/hook", {}, b"{}", within=10)

    await sender.aclose()
    await runner.cleanup()
    assert (answered.error, answered.status_code) == (None, 200)
    assert asked == ["127.0.0.1"]
