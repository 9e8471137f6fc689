"""Request and response models of destinations."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field

from event_trigger.destinations.certificates import (
    ClientCertificateRead,
    ClientCertificateWrite,
)
from event_trigger.destinations.circuit_breaker import BreakerState, CircuitBreaker
from event_trigger.destinations.fields import (
    AllProjects,
    ContentType,
    Description,
    DestinationHeaders,
    Format,
    GivenSecret,
    MaxConcurrency,
    Method,
    Notices,
    RateLimit,
    Subject,
    Template,
    Timeout,
    Url,
)
from event_trigger.models import (
    Destination,
    DestinationFormat,
    DestinationMethod,
    DestinationStatus,
    DisabledReason,
    NoticeKind,
)
from event_trigger.web.keys import Key
from event_trigger.web.mask import MASK
from event_trigger.web.schemas import (
    Instant,
    PatchModel,
    QueryModel,
    RequestModel,
    ResponseModel,
    SecretText,
    Text,
    WithSecret,
)
from event_trigger.web.sent_back import SentBack


class DestinationQuery(QueryModel):
    """Selects destinations for a list."""

    key: Annotated[Text | None, Field(max_length=200)] = None
    status: DestinationStatus | None = None
    state: Annotated[
        BreakerState | None, Field(description="The state of the circuit breaker.")
    ] = None


class DestinationRead(ResponseModel):
    id: int
    key: str | None
    url: str
    format: DestinationFormat
    method: DestinationMethod
    template: str | None
    content_type: str | None
    subject: str | None = Field(description="The template of the subject of mails.")
    description: str | None
    headers: dict[str, str] = Field(examples=[{"Authorization": MASK}])
    client_certificate: ClientCertificateRead | None = Field(
        description="The certificate that receivers may ask for (mutual TLS)."
    )
    timeout: float
    rate_limit: float | None
    max_concurrency: int
    notices: list[NoticeKind] = Field(description="The kinds of changes that it hears of.")
    all_projects: bool = Field(description="Whether it hears of every project.")
    status: DestinationStatus
    disabled_reason: DisabledReason | None
    state: BreakerState = Field(
        description="The state of its circuit breaker. `open`: it fails, and is only probed."
        " `recovering`: it answers again, and is sent more and more."
    )
    failures: int = Field(
        description="Failures in a row: attempts without an answer, or with 408, 425 or 5xx."
    )
    held_until: Instant | None = Field(
        description="Nothing is sent before this, because of `Retry-After` in a 429 or 503."
    )
    created_at: Instant
    updated_at: Instant


class DestinationCreated(DestinationRead, WithSecret):
    secret: SecretText = Field(
        description="Signs every delivery (Standard Webhooks). It is null for mails, and if this"
        " repeats an earlier answer (`Idempotency-Key`): `GET /destinations/{id}/secret` shows it."
    )


class DestinationWritten(DestinationRead):
    secret: str | None = Field(
        description="The secret that was made, since none was given, and the destination is new or"
        " its URL has another origin than before; else null."
    )
    warnings: list[str] = Field(description="Consequences of the change.")


class DestinationBody(RequestModel):
    """A whole destination, in which stars stand for stored values of headers."""

    key: Key | None = None
    url: Url
    format: Format = DestinationFormat.CLOUDEVENTS
    method: Method = DestinationMethod.POST
    template: Template | None = None
    content_type: ContentType | None = None
    subject: Subject | None = None
    secret: GivenSecret | None = Field(None, repr=False)
    description: Description | None = None
    headers: DestinationHeaders = Field(default_factory=dict)
    client_certificate: ClientCertificateWrite | None = None
    timeout: Timeout = 15
    rate_limit: RateLimit | None = None
    max_concurrency: MaxConcurrency = 10
    notices: Notices = Field(default_factory=list)
    all_projects: AllProjects = False


def _refuse_stars(headers: dict[str, str | None]) -> dict[str, str | None]:
    if MASK in headers.values():
        raise ValueError("Write the value of each header: the stars only stand for a stored one")
    return headers


class DestinationCreate(DestinationBody):
    headers: Annotated[DestinationHeaders, AfterValidator(_refuse_stars)] = Field(
        default_factory=dict
    )


class _SentBack(SentBack):
    answer: ClassVar = DestinationWritten
    instead: ClassVar[Mapping[str, str]] = {
        "status": "Use POST /destinations/{id}/disable and /enable.",
    }


class DestinationReplace(_SentBack, DestinationBody):
    """A whole destination: absent fields mean their default. Stars keep a header's value."""


class DestinationUpdate(_SentBack, PatchModel):
    """A JSON Merge Patch (RFC 7396): absent fields stay, null resets one, headers merge."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"description": "Billing"}]})

    key: Key | None = None
    url: Url = ""
    format: Format | None = None
    method: Method | None = None
    template: Template | None = None
    content_type: ContentType | None = None
    subject: Subject | None = None
    secret: GivenSecret | None = Field(None, repr=False)
    description: Description | None = None
    headers: DestinationHeaders | None = None
    client_certificate: ClientCertificateWrite | None = None
    timeout: Timeout | None = None
    rate_limit: RateLimit | None = None
    max_concurrency: MaxConcurrency | None = None
    notices: Notices | None = None
    all_projects: AllProjects | None = None


def read_destination(destination: Destination) -> DestinationRead:
    breaker = CircuitBreaker(destination.failures, destination.window, destination.probe_at)
    reason = destination.disabled_reason
    return DestinationRead(
        id=destination.id,
        key=destination.key,
        url=destination.url,
        format=DestinationFormat(destination.format),
        method=DestinationMethod(destination.method),
        template=destination.template,
        content_type=destination.content_type,
        subject=destination.subject,
        description=destination.description,
        headers=dict.fromkeys(destination.header_names, MASK),
        client_certificate=_read_certificate(destination.client_certificate),
        timeout=destination.timeout,
        rate_limit=destination.rate_limit,
        max_concurrency=destination.max_concurrency,
        notices=[NoticeKind(one) for one in destination.notices],
        all_projects=destination.all_projects,
        status=DestinationStatus.DISABLED if reason else DestinationStatus.ENABLED,
        disabled_reason=None if reason is None else DisabledReason(reason),
        state=breaker.state,
        failures=destination.failures,
        held_until=destination.held_until,
        created_at=destination.created_at,
        updated_at=destination.updated_at,
    )


def _read_certificate(shown: dict[str, Any] | None) -> ClientCertificateRead | None:
    return None if shown is None else ClientCertificateRead.model_validate(shown)


class SecretRead(ResponseModel):
    secret: str
    previous_secret_until: Instant | None = Field(
        description="Until then, the previous secret signs as well."
    )


class SecretReplaced(WithSecret):
    secret: SecretText = Field(
        description="The new secret. It is null if this repeats an earlier answer"
        " (`Idempotency-Key`): `GET /destinations/{id}/secret` shows it."
    )
    previous_secret_until: Instant | None = Field(
        description="Until then, the previous secret signs as well."
    )
