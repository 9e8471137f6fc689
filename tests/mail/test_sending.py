"""Connections to the mail server: encryption, signing in, replies, deadlines, and what is kept."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from event_trigger.mail.connections import MOST_CONNECTIONS
from event_trigger.mail.message import Mail
from event_trigger.mail.sender import Mailer, MailResult
from event_trigger.mail_settings import read_sender, read_server
from event_trigger.models import DeliveryError
from tests.support.certificates import Authority, server_context
from tests.support.mail_server import (
    DROP,
    PASSWORD,
    SENDER,
    USERNAME,
    MailServer,
    mail_server,
)
from tests.support.waiting import eventually

MAIL = Mail("m1", "ops@example.com", "Hi", "Text", datetime(2026, 11, 30, tzinfo=UTC))
LOGIN = f"{USERNAME}:{quote(PASSWORD, safe='')}@"
WITHIN = 30.0


@asynccontextmanager
async def mailer_to(
    server: MailServer,
    *,
    scheme: str = "smtp",
    login: str = "",
    query: str = "",
    trusted: Path | None = None,
) -> AsyncIterator[Mailer]:
    url = f"{scheme}://{login}127.0.0.1:{server.port}{query}"
    tls = ssl.create_default_context(cafile=trusted)
    mailer = Mailer(read_server(url), read_sender(SENDER), tls)
    try:
        yield mailer
    finally:
        await mailer.aclose()


@pytest.fixture
def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority's file, and the context of a server with its certificate."""
    made = Authority()
    server = server_context(made.issue("127.0.0.1").save(folder))
    return made.save(folder), server


async def test_starttls_comes_before_the_login(authority: tuple[Path, ssl.SSLContext]) -> None:
    trusted, tls = authority
    async with (
        mail_server(starttls=tls, signs_in=True) as server,
        mailer_to(server, login=LOGIN, query="?starttls=required", trusted=trusted) as mailer,
    ):
        result = await mailer.send(MAIL, within=WITHIN)

    (mail,) = server.received
    assert (result.error, result.code) == (None, 250)
    assert (mail.is_encrypted, mail.username) == (True, USERNAME)


async def test_smtps_is_encrypted_from_the_first_byte(
    authority: tuple[Path, ssl.SSLContext],
) -> None:
    trusted, tls = authority
    async with (
        mail_server(tls=tls, signs_in=True) as server,
        mailer_to(server, scheme="smtps", login=LOGIN, trusted=trusted) as mailer,
    ):
        result = await mailer.send(MAIL, within=WITHIN)

    assert result.error is None
    assert server.received[0].username == USERNAME


@pytest.mark.parametrize(("scheme", "query"), [("smtps", ""), ("smtp", "?starttls=required")])
async def test_a_certificate_that_is_not_trusted_ends_the_attempt(
    authority: tuple[Path, ssl.SSLContext], scheme: str, query: str
) -> None:
    _, tls = authority
    from_the_first_byte = scheme == "smtps"
    async with (
        mail_server(
            starttls=None if from_the_first_byte else tls, tls=tls if from_the_first_byte else None
        ) as server,
        mailer_to(server, scheme=scheme, query=query) as mailer,
    ):
        result = await mailer.send(MAIL, within=WITHIN)

    assert (result.error, result.is_servers) == (DeliveryError.TLS_FAILED, True)
    assert result.reason is not None
    assert "certificate" in result.reason
    assert server.received == []


async def test_a_server_without_starttls_gets_nothing() -> None:
    async with mail_server() as server, mailer_to(server, query="?starttls=required") as mailer:
        result = await mailer.send(MAIL, within=WITHIN)

    assert result.error is DeliveryError.PROTOCOL_VIOLATED
    assert "STARTTLS" in (result.reason or "")
    assert server.received == []


async def test_a_wrong_password_is_the_servers_failure_and_is_not_shown() -> None:
    login = f"{USERNAME}:canary-wrong@"
    async with mail_server(signs_in=True) as server, mailer_to(server, login=login) as mailer:
        sent = await mailer.send(MAIL, within=WITHIN)
        tried = await mailer.try_out(within=WITHIN)

    assert sent == tried
    assert (sent.error, sent.code) == (DeliveryError.REJECTED, 535)
    assert (sent.is_final, sent.is_servers) == (False, True)
    assert "canary" not in repr(sent)


async def test_a_server_that_offers_no_login_is_said_in_words(
    authority: tuple[Path, ssl.SSLContext],
) -> None:
    _, tls = authority  # the server offers it after STARTTLS only
    async with (
        mail_server(starttls=tls, signs_in=True) as server,
        mailer_to(server, login=LOGIN, query="?starttls=off") as mailer,
    ):
        result = await mailer.send(MAIL, within=WITHIN)

    assert "no way to sign in" in (result.reason or "")


async def test_a_reply_shows_no_secret_and_is_short() -> None:
    async with mail_server(signs_in=True) as server, mailer_to(server, login=LOGIN) as mailer:
        server.replies["RCPT"] = f"550 {PASSWORD} of {USERNAME} \x07" + "x" * 400

        result = await mailer.send(MAIL, within=WITHIN)

    assert result.reply is not None
    assert PASSWORD not in result.reply
    assert USERNAME not in result.reply
    assert result.reply.isprintable()


async def test_mails_after_each_other_share_a_connection_also_after_a_refusal() -> None:
    async with mail_server() as server, mailer_to(server) as mailer:
        server.replies["RCPT"] = "550 no"
        refused = await mailer.send(MAIL, within=WITHIN)
        server.replies.clear()
        sent = [await mailer.send(MAIL, within=WITHIN) for _ in range(3)]

    assert (refused.code, refused.is_final, refused.is_servers) == (550, True, False)
    assert [one.code for one in sent] == [250] * 3
    assert len(server.connections) == 1


async def test_a_crowd_uses_few_connections() -> None:
    async with mail_server() as server, mailer_to(server) as mailer:
        results = await asyncio.gather(*(mailer.send(MAIL, within=WITHIN) for _ in range(40)))

    assert {one.code for one in results} == {250}
    assert len(server.connections) == MOST_CONNECTIONS


async def test_a_mail_without_a_turn_says_that_nothing_was_sent() -> None:
    async with mail_server() as server, mailer_to(server) as mailer:
        server.keeps.clear()
        busy = [
            asyncio.create_task(mailer.send(MAIL, within=WITHIN)) for _ in range(MOST_CONNECTIONS)
        ]
        await eventually(_count(server), lambda count: count == MOST_CONNECTIONS)

        late = await mailer.send(MAIL, within=0.1)
        server.keeps.set()
        results = await asyncio.gather(*busy)

    assert (late.error, late.is_unsent) == (DeliveryError.TIMEOUT, True)
    assert {one.code for one in results} == {250}
    assert len(server.received) == MOST_CONNECTIONS


async def test_a_reply_that_does_not_come_in_time_is_a_timeout() -> None:
    async with mail_server() as server, mailer_to(server) as mailer:
        server.keeps.clear()

        result = await mailer.send(MAIL, within=0.3)

    assert (result.error, result.is_unsent, result.is_servers) == (
        DeliveryError.TIMEOUT,
        False,
        True,
    )


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_that_breaks_is_a_failure(command: str) -> None:
    async with mail_server() as server, mailer_to(server) as mailer:
        server.replies[command] = DROP

        result = await mailer.send(MAIL, within=WITHIN)

    assert (result.error, result.is_servers) == (DeliveryError.CONNECTION_FAILED, True)


async def test_a_server_that_is_away_is_a_failure() -> None:
    async with mail_server() as server:
        pass
    async with mailer_to(server) as mailer:
        result = await mailer.send(MAIL, within=WITHIN)

    assert result == MailResult(DeliveryError.CONNECTION_FAILED, is_servers=True)


async def test_a_receiver_that_speaks_no_smtp_is_a_failure() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, mailer_to(MailServer(port)) as mailer:
        result = await mailer.send(MAIL, within=WITHIN)

    assert (result.error, result.is_servers) == (DeliveryError.PROTOCOL_VIOLATED, True)


def _count(server: MailServer):  # type: ignore[no-untyped-def]
    async def count() -> int:
        return len(server.received)

    return count
