"""Request and response models of destinations."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypeAliasType

from event_trigger.destinations.circuit_breaker import BreakerState, CircuitBreaker
from event_trigger.models import Destination, DestinationStatus, DisabledReason
from event_trigger.web.keys import Key
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

MASK = "********"
MOST_HEADERS, LARGEST_HEADERS = 20, 8 * 1024
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)  # RFC 9110, section 5.1
_HEADER_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?", re.ASCII)
_RESERVED_NAME = re.compile(
    r"(host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    r"|accept-encoding|proxy-.*|webhook-.*|x-event-trigger-.*)",
    re.IGNORECASE,
)


def _check_names(headers: dict[str, str | None]) -> dict[str, str | None]:
    if len(headers) > MOST_HEADERS or len({name.lower() for name in headers}) < len(headers):
        raise ValueError(f"write at most {MOST_HEADERS} headers, each once")
    for name in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("a header's name has letters, digits and hyphens only")
        if _RESERVED_NAME.fullmatch(name):
            raise ValueError(
                "the service sets these headers itself: Host, Content-…, Webhook-…, Proxy-…,"
                " X-Event-Trigger-…, Accept-Encoding, and those about the connection"
            )
    return headers


def _check_values(headers: dict[str, str | None]) -> dict[str, str | None]:
    values = [value for value in headers.values() if value is not None]
    if not all(_HEADER_VALUE.fullmatch(value) for value in values):
        raise ValueError("a header's value has visible ASCII characters")
    if sum(len(name) + len(value or "") for name, value in headers.items()) > LARGEST_HEADERS:
        raise ValueError("all headers together have at most 8 KiB")
    return headers


Url = Annotated[Text, Field(examples=["https://example.com/hook"])]
Description = Annotated[Text, Field(max_length=500)]
DestinationHeaders = TypeAliasType(
    "DestinationHeaders",
    Annotated[
        dict[str, Text | None],
        AfterValidator(_check_names),
        AfterValidator(_check_values),
        Field(
            description="Added to every delivery. Values are stored encrypted, and shown as stars.",
            examples=[{"Authorization": "Bearer their-token"}],
        ),
    ],
)
Timeout = Annotated[float, Field(ge=1, le=30, description="Seconds for a whole attempt.")]
RateLimit = Annotated[float, Field(ge=0.01, le=10_000, description="Deliveries per second.")]
MaxConcurrency = Annotated[int, Field(ge=1, le=100, description="Deliveries at the same time.")]


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
    description: str | None
    headers: dict[str, str] = Field(examples=[{"Authorization": MASK}])
    timeout: float
    rate_limit: float | None
    max_concurrency: int
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
        description="Signs every delivery (Standard Webhooks). It is null if this repeats an"
        " earlier answer (`Idempotency-Key`): `GET /destinations/{id}/secret` shows it."
    )


class DestinationWritten(DestinationRead):
    secret: str | None = Field(
        description="The new secret, if the URL has another origin than before; else null."
    )
    warnings: list[str] = Field(description="Consequences of the change.")


class DestinationBody(RequestModel):
    """A whole destination, in which stars stand for stored values of headers."""

    key: Key | None = None
    url: Url
    description: Description | None = None
    headers: DestinationHeaders = Field(default_factory=dict)
    timeout: Timeout = 15
    rate_limit: RateLimit | None = None
    max_concurrency: MaxConcurrency = 10


def _refuse_stars(headers: dict[str, str | None]) -> dict[str, str | None]:
    if MASK in headers.values():
        raise ValueError("write the value of each header: the stars only stand for a stored one")
    return headers


class DestinationCreate(DestinationBody):
    headers: Annotated[DestinationHeaders, AfterValidator(_refuse_stars)] = Field(
        default_factory=dict
    )


class _SentBack(SentBack):
    answer: ClassVar = DestinationWritten
    instead: ClassVar[Mapping[str, str]] = {
        "status": "Use POST /destinations/{id}/disable and /enable.",
        "secret": "Leave it out. POST /destinations/{id}/rotate-secret makes another one.",
    }


class DestinationReplace(_SentBack, DestinationBody):
    """A whole destination: absent fields mean their default. Stars keep a header's value."""


class DestinationUpdate(_SentBack, PatchModel):
    """A JSON Merge Patch (RFC 7396): absent fields stay, null resets one, headers merge."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"description": "Billing"}]})

    key: Key | None = None
    url: Url = ""
    description: Description | None = None
    headers: DestinationHeaders | None = None
    timeout: Timeout | None = None
    rate_limit: RateLimit | None = None
    max_concurrency: MaxConcurrency | None = None


def read_destination(destination: Destination) -> DestinationRead:
    breaker = CircuitBreaker(destination.failures, destination.window, destination.probe_at)
    reason = destination.disabled_reason
    return DestinationRead(
        id=destination.id,
        key=destination.key,
        url=destination.url,
        description=destination.description,
        headers=dict.fromkeys(destination.header_names, MASK),
        timeout=destination.timeout,
        rate_limit=destination.rate_limit,
        max_concurrency=destination.max_concurrency,
        status=DestinationStatus.DISABLED if reason else DestinationStatus.ENABLED,
        disabled_reason=None if reason is None else DisabledReason(reason),
        state=breaker.state,
        failures=destination.failures,
        held_until=destination.held_until,
        created_at=destination.created_at,
        updated_at=destination.updated_at,
    )


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
