"""Runs a real mail server on loopback: it keeps mails, and gives replies that a test sets."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

SENDER = "events@example.com"
USERNAME, PASSWORD = "relay", "p@ss:w/rd%"
DROP = "drop"  # as a reply: the connection ends without one


@dataclass(frozen=True)
class ReceivedMail:
    """A mail as it came, and its envelope."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    content: bytes
    is_encrypted: bool
    username: str | None

    @property
    def text(self) -> str:
        text: str = self.message.get_content()
        return text.replace("\r\n", "\n")


@dataclass
class MailServer:
    """Replies by command with what `replies` says, else as a server that takes all mails."""

    port: int = 0
    received: list[ReceivedMail] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    connections: list[asyncio.BaseTransport] = field(default_factory=list)
    keeps: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: content gets no reply

    def __post_init__(self) -> None:
        self.keeps.set()

    def forget(self) -> None:
        self.received.clear()
        self.replies.clear()
        self.keeps.set()

    def to(self, address: str) -> list[ReceivedMail]:
        return [one for one in self.received if address in one.recipients]

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._reply(server, "MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _: Session, envelope: Envelope, address: str, __: list[str]
    ) -> str:
        reply = self._reply(server, f"RCPT {address}", self.replies.get("RCPT", "250 OK"))
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        assert envelope.mail_from is not None
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        auth: Any = session.auth_data
        username = None if auth is None else auth.login.decode()
        is_encrypted = _transport(server).get_extra_info("sslcontext") is not None
        mail = ReceivedMail(
            envelope.mail_from, [*envelope.rcpt_tos], message, content, is_encrypted, username
        )
        self.received.append(mail)
        await self.keeps.wait()
        return self._reply(server, "DATA", "250 Queued")

    def _reply(self, server: SMTP, command: str, usual: str) -> str:
        reply = self.replies.get(command, usual)
        if reply == DROP:
            _transport(server).abort()
        return reply

    def make(self, **options: Any) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that passwords are not encrypted
            server = _Server(self, hostname="mail.test", **options)
        server.noted = self.connections
        return server


def _transport(server: SMTP) -> asyncio.Transport:
    assert isinstance(server.transport, asyncio.Transport)
    return server.transport


class _Server(SMTP):
    noted: list[asyncio.BaseTransport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._original_transport is None:  # else STARTTLS has begun
            self.noted.append(transport)
        super().connection_made(transport)


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
) -> AuthResult:
    is_right = (given.login, given.password) == (USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False, auth_data=given)


@asynccontextmanager
async def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    signs_in: bool = False,
) -> AsyncIterator[MailServer]:
    """Serves on loopback, encrypted by STARTTLS or from the first byte, if there is a context."""
    made = MailServer()
    loop = asyncio.get_running_loop()
    options = {
        "tls_context": starttls,
        "auth_required": signs_in,
        "auth_require_tls": starttls is not None,
        "authenticator": _authenticate if signs_in else None,
        "loop": loop,
    }
    server = await loop.create_server(lambda: made.make(**options), "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.keeps.set()
        server.close()
        for one in made.connections:
            if isinstance(one, asyncio.Transport):
                one.abort()


def mail_settings(
    port: int, *, scheme: str = "smtp", login: str = "", query: str = ""
) -> dict[str, Any]:
    """Settings of a service that sends through the server."""
    url = f"{scheme}://{login}127.0.0.1:{port}{query}"
    return {"smtp_url": SecretStr(url), "mail_from": f"Events <{SENDER}>"}
