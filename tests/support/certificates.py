"""Makes certificate authorities, and certificates for receivers and clients."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)


def pem_of(key: Any) -> str:
    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return encoded.decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, as PEM."""

    certificate: str
    private_key: str

    @property
    def as_given(self) -> dict[str, str]:
        """The form that a destination's `client_certificate` has in a request."""
        return {"certificate": self.certificate, "private_key": self.private_key}

    def save(self, folder: Path) -> Path:
        file = folder / f"{len([*folder.iterdir()])}.pem"
        file.write_text(self.private_key + self.certificate)
        return file


@dataclass
class Authority:
    """Signs certificates; its own is signed by itself."""

    name: str = "An authority"
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        own = self._builder(self.name, self.key, ends_in=24 * HOUR).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = self._sign(own)

    def issue(
        self,
        name: str,
        *,
        key: Any = None,
        begins_in: timedelta = -HOUR,
        ends_in: timedelta = HOUR,
    ) -> Issued:
        """Signs a certificate for a host name, an address or a client."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        made = self._builder(name, key, begins_in=begins_in, ends_in=ends_in).add_extension(
            x509.SubjectAlternativeName([alternative]), critical=False
        )
        return Issued(self._sign(made), pem_of(key))

    def save(self, folder: Path) -> Path:
        file = folder / f"{len([*folder.iterdir()])}.pem"
        file.write_text(self.certificate)
        return file

    def _builder(
        self, name: str, key: Any, *, begins_in: timedelta = -HOUR, ends_in: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        public, own = key.public_key(), self.key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins_in)
            .not_valid_after(now + ends_in)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder) -> str:
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@dataclass
class TlsReceiver:
    """Keeps the subjects of the client certificates of its requests, and their connections."""

    port: int = 0
    subjects: list[str | None] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert")
        self.subjects.append(peer["subject"][0][0][1] if peer else None)
        self.connections.append(request.transport)
        return web.Response(status=self.status, headers=self.headers)


def server_context(file: Path, *, clients_of: Path | None = None) -> ssl.SSLContext:
    """A receiver's context, which wants certificates of an authority's clients if there is one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients_of)
    context.load_cert_chain(file)
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def tls_receiver(context: ssl.SSLContext | None) -> AsyncIterator[TlsReceiver]:
    """Serves on loopback; over plain HTTP without a context."""
    receiver = TlsReceiver()
    runner = web.ServerRunner(web.Server(receiver.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
