"""Declares what one attempt of a delivery may result in, by HTTP or by mail."""

from dataclasses import dataclass

from event_trigger.destinations.circuit_breaker import Verdict
from event_trigger.models import DeliveryError


@dataclass(slots=True)
class AttemptResult:
    """The response to one attempt, or the failure; `error` is None for a success.

    `reason` says more about a failure of TLS or of a mail, and `location` where a redirect leads:
    of public addresses only. `verdict` judges the destination, where the status does not: that of a
    mail is the server's reply. One that `is_final` is not attempted again.
    """

    error: DeliveryError | None = None
    status_code: int | None = None
    response: str | None = None
    retry_after: str | None = None
    reason: str | None = None
    location: str | None = None
    verdict: Verdict | None = None
    is_final: bool = False
