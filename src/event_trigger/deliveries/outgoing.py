"""Starts to send a delivery, by HTTP or by mail, and reads the secrets for it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog

from event_trigger.deliveries.attempt import build_mail, build_request
from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.attempt_trace import AttemptTrace
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.mail.sending import send_mail
from event_trigger.deliveries.queue.deliveries import ClaimedDelivery
from event_trigger.deliveries.queue.destinations import LockedDestination
from event_trigger.destinations.signing_secrets import Secrets, open_secrets
from event_trigger.destinations.templates.jobs import Rendered
from event_trigger.mail.sender import Mailer
from event_trigger.vault import SealBroken, Vault

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    sender: Sender
    mailer: Mailer | None
    public_url: str | None

    def start(
        self,
        delivery: ClaimedDelivery,
        destination: LockedDestination,
        secrets: Secrets,
        rendered: Rendered | None,
        *,
        at: datetime,
        trace: AttemptTrace | None,
    ) -> asyncio.Future[AttemptResult]:
        """Gives the future result; `at` is the instant of signing, by the database's clock."""
        if destination.form.is_mail:
            mail = build_mail(delivery, destination, rendered, public_url=self.public_url)
            sending = send_mail(self.mailer, mail, within=destination.timeout)
            return asyncio.get_running_loop().create_task(sending)
        request = build_request(
            delivery,
            destination,
            secrets,
            rendered,
            at=at,
            public_url=self.public_url,
            trace=trace,
        )
        return self.sender.send(
            request.url,
            request.headers,
            request.body,
            within=request.timeout,
            method=request.method,
            certificate=secrets.client_certificate,
        )


def read_secrets(destination: LockedDestination, vault: Vault) -> Secrets | None:
    """Returns None if the secrets cannot be read.

    The attempt is retried, since the operator may set the key again. Mails need none.
    """
    if destination.form.is_mail:
        return Secrets("")
    try:
        return open_secrets(
            vault,
            owner_id=destination.owner_id,
            key_id=destination.key_id,
            sealed=destination.sealed,
            has_certificate=destination.has_certificate,
        )
    except SealBroken:
        log.error("secret_unreadable", destination_id=destination.id)
        return None
