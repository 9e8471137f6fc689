"""Types of the fields that requests about destinations have."""

import base64
import binascii
import re
from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypeAliasType

from event_trigger.models import DestinationFormat, DestinationMethod, NoticeKind
from event_trigger.web.http_headers import is_header_name
from event_trigger.web.schemas import Text

MOST_HEADERS, LARGEST_HEADERS = 20, 8 * 1024
LONGEST_TEMPLATE = 16 * 1024  # characters
LONGEST_SUBJECT_TEMPLATE = 1024  # characters
_HEADER_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?", re.ASCII)
_RESERVED_NAME = re.compile(
    r"(host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect"
    r"|accept-encoding|proxy-.*|webhook-.*|x-event-trigger-.*)",
    re.IGNORECASE,
)
_MEDIA_TYPE = re.compile(
    r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}"
    r"( ?; ?[a-z0-9!#$&^_.+-]+=([a-z0-9!#$&^_.+:/-]+|\"[a-z0-9 !#$&^_.+:/-]*\"))*",
    re.ASCII | re.IGNORECASE,
)
_SECRET_PREFIX, _FEWEST_SECRET_BYTES, _MOST_SECRET_BYTES = "whsec_", 24, 64  # Standard Webhooks
_SECRET_PATTERN = "^whsec_([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"  # noqa: S105


def _check_media_type(content_type: str) -> str:
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise ValueError("Write a media type, such as application/json or text/plain;charset=utf-8")
    return content_type


def _check_secret(secret: str) -> str:
    encoded = secret.removeprefix(_SECRET_PREFIX)
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if encoded == secret or not _FEWEST_SECRET_BYTES <= size <= _MOST_SECRET_BYTES:
        raise ValueError("Write whsec_ and then 24 to 64 random bytes in Base64")
    return secret


def _in_order(kinds: list[NoticeKind]) -> list[NoticeKind]:
    return [one for one in NoticeKind if one in kinds]


def _check_names(headers: dict[str, str | None]) -> dict[str, str | None]:
    if len(headers) > MOST_HEADERS or len({name.lower() for name in headers}) < len(headers):
        raise ValueError(f"Write at most {MOST_HEADERS} headers, each once")
    for name in headers:
        if not is_header_name(name):
            raise ValueError("A header's name has letters, digits and hyphens only")
        if _RESERVED_NAME.fullmatch(name):
            raise ValueError(
                "The service sets these headers itself: Host, Content-…, Webhook-…, Proxy-…,"
                " X-Event-Trigger-…, Accept-Encoding, and those about the connection"
            )
    return headers


def _check_values(headers: dict[str, str | None]) -> dict[str, str | None]:
    values = [value for value in headers.values() if value is not None]
    if not all(_HEADER_VALUE.fullmatch(value) for value in values):
        raise ValueError("A header's value has visible ASCII characters")
    if sum(len(name) + len(value or "") for name, value in headers.items()) > LARGEST_HEADERS:
        raise ValueError("All headers together have at most 8 KiB")
    return headers


Url = Annotated[
    Text,
    Field(
        description="Sent byte for byte. Its path and query may be a template (Liquid), as in"
        " `https://example.com/{{ data.id }}`: values are percent-encoded. Or one address that gets"
        " mails, as in `mailto:ops@example.com`, where the operator has set up a mail server.",
        examples=["https://example.com/hook"],
    ),
]
Format = Annotated[
    DestinationFormat,
    Field(
        strict=False,
        description="`cloudevents`: CloudEvents 1.0 in JSON. `cloudevents_binary`: its attributes"
        " as `ce-*` headers, and the payload as the body. `payload`: the payload alone, `{}` for"
        " none. `template`: what `template` makes of the event. A mail has the event for a reader,"
        " the payload, or what `template` makes.",
    ),
]
Method = Annotated[
    DestinationMethod, Field(strict=False, description="`GET` and `DELETE` send no body.")
]
Template = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=LONGEST_TEMPLATE,
        description="A template (Liquid) of the body, for the format `template`, over `event` (`id,"
        " type, time, scheduled_for, is_test, trigger: {id, key, name}`) and `data` (the payload)."
        " The filter `json` writes a value as JSON.",
        examples=['{"text": {{ data.message | json }}}'],
    ),
]
ContentType = Annotated[
    Text,
    Field(max_length=200, examples=["text/plain"]),
    AfterValidator(_check_media_type),
    Field(
        description="The `Content-Type` of what `template` makes, `application/json` if absent."
        " What is JSON by this type must be JSON."
    ),
]
Subject = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=LONGEST_SUBJECT_TEMPLATE,
        description="A template (Liquid) of a mail's subject, for URLs such as"
        " `mailto:ops@example.com`; without one, the trigger's name and the event's id. Line breaks"
        " become spaces.",
        examples=["{{ event.trigger.name }}: {{ data.message }}"],
    ),
]
GivenSecret = Annotated[
    Text,
    AfterValidator(_check_secret),
    Field(
        description="Signs every delivery (Standard Webhooks): `whsec_` and 24 to 64 bytes in"
        " Base64. Left out, one is made, or stays as it is. It is only shown by"
        " `GET /destinations/{id}/secret`.",
        json_schema_extra={"writeOnly": True, "pattern": _SECRET_PATTERN},
    ),
]
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
Notices = Annotated[
    list[Annotated[NoticeKind, Field(strict=False)]],
    Field(
        max_length=len(NoticeKind),
        description="The kinds of changes that it hears of, beside the events of triggers that name"
        " it: each is sent as a CloudEvent of the type `event_trigger.notice.` and the kind, in the"
        " destination's own format. Templates know it as `notice`.",
        examples=[["destination.opened", "delivery.exhausted"]],
    ),
    AfterValidator(_in_order),
]
AllProjects = Annotated[
    bool,
    Field(
        description="Its notices are of every project, and not of its own alone. Only an admin may"
        " set it, or change a destination that has it; when the admin's role ends, so does this."
    ),
]
Timeout = Annotated[float, Field(ge=1, le=30, description="Seconds for a whole attempt.")]
RateLimit = Annotated[float, Field(ge=0.01, le=10_000, description="Deliveries per second.")]
MaxConcurrency = Annotated[int, Field(ge=1, le=100, description="Deliveries at the same time.")]
