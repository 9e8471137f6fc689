"""Sends the mail of one attempt, and says what its result means for the delivery."""

from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.destinations.circuit_breaker import Verdict
from event_trigger.mail.message import Mail
from event_trigger.mail.sender import Mailer, MailResult
from event_trigger.models import DeliveryError

_NOT_SET = (
    "No mails are sent here any more: the operator has to set EVENT_TRIGGER_SMTP_URL and"
    " EVENT_TRIGGER_MAIL_FROM."
)


async def send_mail(mailer: Mailer | None, mail: Mail, *, within: float) -> AttemptResult:
    """Sends within so many seconds; without a `mailer` the attempt fails, and is retried."""
    if mailer is None:
        failed = DeliveryError.CONNECTION_FAILED
        return AttemptResult(failed, reason=_NOT_SET, verdict=Verdict.FAILING)
    result = await mailer.send(mail, within=within)
    return AttemptResult(
        result.error,
        result.code,
        result.reply,
        reason=result.reason,
        verdict=_verdict_of(result),
        is_final=result.is_final,
    )


def _verdict_of(result: MailResult) -> Verdict:
    """A refused recipient is about the destination's deliveries, and not about the mail server."""
    if result.is_unsent:
        return Verdict.BUSY
    return Verdict.FAILING if result.is_servers else Verdict.ALIVE
