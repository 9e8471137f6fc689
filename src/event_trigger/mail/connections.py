"""Keeps connections to the mail server: a few at a time, encrypted, signed in and used again."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from event_trigger.mail.replies import CLOSING, NotAsSet, Refused, Stage
from event_trigger.mail_addresses import domain_of
from event_trigger.mail_settings import Encryption, MailSender, SmtpServer

MOST_CONNECTIONS = 4  # of this process; each sends one mail after another
KEPT_SECONDS = 5.0  # a connection that is not used; servers end those after some minutes
_QUIT_SECONDS = 1.0
_STAGES: tuple[tuple[type[SMTPResponseException], Stage], ...] = (
    (SMTPSenderRefused, Stage.SENDER),
    (SMTPRecipientRefused, Stage.RECIPIENT),
    (SMTPDataError, Stage.CONTENT),
)


class MailConnections:
    """Sends content over kept connections, or over new ones."""

    def __init__(self, server: SmtpServer, sender: MailSender, tls: ssl.SSLContext) -> None:
        self._server, self._sender, self._tls = server, sender, tls
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._idle: dict[SMTP, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def send(
        self, recipient: str, content: bytes, *, on_begin: Callable[[], None]
    ) -> tuple[int, str]:
        """Hands content over and gives the last reply; calls `on_begin` when its turn has come.

        A kept connection that breaks before the server has taken anything is replaced once.
        Raises Refused, NotAsSet and OSError.
        """
        async with self._slots:
            on_begin()
            client = await self._begun(content)
            try:
                await client.rcpt(recipient)
                reply = await client.data(content)
            except SMTPResponseException as refusal:
                await self._keep_after(client, refusal)
                raise _refused(refusal) from refusal
            except BaseException:
                client.close()
                raise
            self._keep(client)
            return reply.code, reply.message

    async def _begun(self, content: bytes) -> SMTP:
        """Returns a connection on which the server waits for the recipient."""
        if (kept := self._take()) is not None:
            try:
                await self._begin(kept, content)
            except (SMTPServerDisconnected, Refused) as failure:
                if isinstance(failure, Refused) and failure.code != CLOSING:
                    raise
            else:
                return kept
        made = await self.open()
        await self._begin(made, content)
        return made

    async def _begin(self, client: SMTP, content: bytes) -> None:
        knows_size = client.supports_extension("size")
        options = [f"SIZE={len(content)}"] if knows_size else []
        try:
            await client.mail(self._sender.address, options=options)
        except BaseException as failure:
            client.close()
            if isinstance(failure, SMTPResponseException):
                raise _refused(failure) from failure
            raise

    async def open(self) -> SMTP:
        """Opens a connection, encrypts it and signs in, as the settings say.

        Raises Refused, NotAsSet and OSError.
        """
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=domain_of(self._sender.address),  # or it would look up ours
            timeout=None,  # the caller's counts for all together
            use_tls=server.encryption is Encryption.TLS,
            start_tls=False,
            tls_context=self._tls,
        )
        try:
            await client.connect()
            await client.ehlo()
            if server.encryption is Encryption.STARTTLS:
                await self._start_tls(client)
            if server.username is not None:
                await self._sign_in(client, server.username)
        except BaseException as failure:
            client.close()
            if isinstance(failure, SMTPResponseException):
                raise _refused(failure) from failure
            raise
        return client

    async def _start_tls(self, client: SMTP) -> None:
        if not client.supports_extension("starttls"):
            raise NotAsSet(
                "The mail server offers no STARTTLS. Write smtps:// in EVENT_TRIGGER_SMTP_URL if it"
                " begins with TLS, or ?starttls=off if nobody can listen on the way."
            )
        await client.starttls()
        await client.ehlo()

    async def _sign_in(self, client: SMTP, username: str) -> None:
        try:
            await client.login(username, self._server.password)
        except (SMTPResponseException, OSError):
            raise
        except SMTPException:
            raise NotAsSet(
                "The mail server offers no way to sign in that is known here (PLAIN, LOGIN,"
                " CRAM-MD5). Some offer one only after STARTTLS."
            ) from None

    def _take(self) -> SMTP | None:
        while self._idle:
            client, timer = self._idle.popitem()
            timer.cancel()
            if client.is_connected:
                return client
        return None

    def _keep(self, client: SMTP) -> None:
        loop = asyncio.get_running_loop()
        self._idle[client] = loop.call_later(KEPT_SECONDS, self._leave, client)

    async def _keep_after(self, client: SMTP, refusal: SMTPResponseException) -> None:
        """Uses the connection again if the server is ready for another mail."""
        try:
            if refusal.code != CLOSING and client.is_connected:
                await client.rset()
                self._keep(client)
                return
        except (SMTPException, OSError):
            pass
        except BaseException:
            client.close()
            raise
        client.close()

    def _leave(self, client: SMTP) -> None:
        """Takes leave of the server (QUIT), and waits for nothing."""
        self._idle.pop(client, None)
        task = asyncio.get_running_loop().create_task(_quit(client))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        for client, timer in [*self._idle.items()]:
            timer.cancel()
            self._leave(client)
        if self._leaving:
            await asyncio.wait(self._leaving)


async def _quit(client: SMTP) -> None:
    with suppress(SMTPException, OSError):
        await client.quit(timeout=_QUIT_SECONDS)
    client.close()


def _refused(refusal: SMTPResponseException) -> Refused:
    stage = next((one for kind, one in _STAGES if isinstance(refusal, kind)), Stage.SESSION)
    code = refusal.code if 200 <= refusal.code < 600 else None
    return Refused(stage, code, refusal.message)
