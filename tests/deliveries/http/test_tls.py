"""Over TLS a receiver must have a certificate for its name, at every address."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from threading import Thread

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from event_trigger.deliveries.http.sender import AttemptResult, Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.models import DeliveryError
from tests.support.misbehaving import OK
from tests.support.names import resolving
from tests.support.processes import connections_to
from tests.support.waiting import eventually

NAME = "hook.example"
POSTS = 10


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for that name only, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


def contexts(file: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The receiver's context with that certificate, and the sender's, which trusts it."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(file)
    return server_side, ssl.create_default_context(cafile=file)


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
    server_side, client_side = contexts(make_certificate(tmp_path))

    async def post_all(port: int) -> list[AttemptResult]:
        guard = AddressPolicy([ip_network("127.0.0.0/8")])
        sender = Sender(guard, resolving("127.0.0.1").lookup, trusted=client_side)
        url = f"https://{NAME}:{port}/hook"
        posts = (sender.post(url, {}, b"x" * size, within=1) for _ in range(POSTS))
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
    server_side, client_side = contexts(make_certificate(tmp_path))
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
    sender = Sender(guard, resolving("127.0.0.1").lookup, trusted=client_side)

    answered = await sender.post(f"https://{name}:{port}/hook", {}, b"{}", within=10)

    await sender.aclose()
    await runner.cleanup()
    assert answered.error == error
    assert asked == [name]
    assert hosts == ([f"{name}:{port}"] if error is None else [])
