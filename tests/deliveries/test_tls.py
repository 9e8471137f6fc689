"""Over TLS a receiver is called by its own name, whatever address it was found at."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from event_trigger.deliveries.sender import Sender
from event_trigger.destinations.target import Guard
from event_trigger.models import DeliveryError
from tests.support.names import resolving

NAME = "hook.example"


def make_certificate(folder: Path) -> Path:
    """A certificate for that name only, which vouches for itself, with its key."""
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


@pytest.mark.parametrize(
    ("name", "error"), [(NAME, None), ("other.example", DeliveryError.TLS_FAILED)]
)
async def test_the_certificate_is_that_of_the_name_and_so_is_the_host(
    tmp_path: Path, name: str, error: DeliveryError | None
) -> None:
    file = make_certificate(tmp_path)
    server_side, client_side = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(cafile=file),
    )
    server_side.load_cert_chain(file)
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
    guard = Guard([ip_network("127.0.0.0/8")])
    sender = Sender(guard, resolving("127.0.0.1").lookup, trusted=client_side)

    answered = await sender.post(f"https://{name}:{port}/hook", {}, b"{}", within=10)

    await sender.aclose()
    await runner.cleanup()
    assert answered.error == error
    assert asked == [name]
    assert hosts == ([f"{name}:{port}"] if error is None else [])
