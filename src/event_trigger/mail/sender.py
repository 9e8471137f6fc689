"""Sends one mail within its deadline, and turns every failure into a result."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from event_trigger.mail.message import Mail, write_mail
from event_trigger.mail.replies import NotAsSet, Refused, meaning_of
from event_trigger.mail_settings import MailSender, SmtpServer
from event_trigger.models import DeliveryError
from event_trigger.web.mask import MASK

_LONGEST_REPLY = 2048  # characters
_NO_TURN = "All connections to the mail server were busy, so nothing was sent."


@dataclass(frozen=True, slots=True)
class MailResult:
    """The last reply to a mail, or the failure; `error` is None if the server has taken the mail.

    `is_final`: the mail never arrives. `is_servers`: no mail would pass now. `is_unsent`: the mail
    had no turn in time.
    """

    error: DeliveryError | None = None
    code: int | None = None
    reply: str | None = None
    reason: str | None = None
    is_final: bool = False
    is_servers: bool = False
    is_unsent: bool = False


class Mailer:
    """Sends mails through one mail server, over a few kept connections."""

    def __init__(self, server: SmtpServer, sender: MailSender, tls: ssl.SSLContext) -> None:
        # only who sends mails needs its library
        from event_trigger.mail.connections import MailConnections  # noqa: PLC0415

        self._server, self._sender = server, sender
        self._connections = MailConnections(server, sender, tls)

    async def send(self, mail: Mail, *, within: float) -> MailResult:
        """Sends a mail; failures are results.

        `within` is in seconds, from the wait for a connection to the last reply.
        """
        begun: list[bool] = []
        content = write_mail(mail, self._sender)
        try:
            async with asyncio.timeout(within):
                code, reply = await self._connections.send(
                    mail.to, content, on_begin=lambda: begun.append(True)
                )
        except (Refused, NotAsSet, OSError) as failure:
            if isinstance(failure, TimeoutError) and not begun:
                return MailResult(DeliveryError.TIMEOUT, reason=_NO_TURN, is_unsent=True)
            return self._result_of(failure)
        return MailResult(None, code, self._shown(reply))

    async def try_out(self, *, within: float) -> MailResult:
        """Connects, encrypts and signs in, and sends nothing."""
        try:
            async with asyncio.timeout(within):
                client = await self._connections.open()
        except (Refused, NotAsSet, OSError) as failure:
            return self._result_of(failure)
        client.close()
        return MailResult()

    def _result_of(self, failure: Refused | NotAsSet | OSError) -> MailResult:
        if isinstance(failure, NotAsSet):
            return MailResult(DeliveryError.PROTOCOL_VIOLATED, reason=str(failure), is_servers=True)
        if not isinstance(failure, Refused):
            error, reason = _error_of(failure)
            return MailResult(error, reason=reason, is_servers=True)
        if failure.code is None:
            return MailResult(DeliveryError.PROTOCOL_VIOLATED, is_servers=True)
        meaning = meaning_of(failure.stage, failure.code)
        return MailResult(
            DeliveryError.REJECTED,
            failure.code,
            self._shown(failure.text),
            f"The mail server refused the {failure.stage}.",
            is_final=meaning.is_final,
            is_servers=meaning.is_servers,
        )

    def _shown(self, reply: str) -> str:
        """Returns the beginning of a reply, without what signs in and without odd characters."""
        for secret in (self._server.password, self._server.username):
            if secret:
                reply = reply.replace(secret, MASK)
        text = "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in reply)
        return text[:_LONGEST_REPLY]

    async def aclose(self) -> None:
        await self._connections.aclose()


def _error_of(failure: OSError) -> tuple[DeliveryError, str | None]:
    causes = [*_causes(failure)]
    for one in causes:
        if isinstance(one, ssl.SSLError):
            detail = getattr(one, "verify_message", None) or one.reason or "it has failed"
            return DeliveryError.TLS_FAILED, f"TLS with the mail server: {detail}."
    if any(isinstance(one, socket.gaierror) for one in causes):
        return DeliveryError.NAME_NOT_RESOLVED, None
    if isinstance(failure, TimeoutError):
        return DeliveryError.TIMEOUT, None
    return DeliveryError.CONNECTION_FAILED, None


def _causes(failure: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = failure
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__
