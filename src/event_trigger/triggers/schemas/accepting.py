"""The part of `details.hook` that says which calls a hook accepts, and what is kept of them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from event_trigger.models import HookMethod
from event_trigger.web.http_headers import is_header_name
from event_trigger.web.schemas import RequestModel, Text

# as a whole word, or as any part of the name
_SECRET_WORD = re.compile(
    r"(?<![a-z])(auth|digest|hash|key|otp|pass|psk|pwd|sig|sign|signed)(?![a-z])"
)
_SECRET_PART = re.compile(
    r"(access|account|api|app|auth|client|master|private|service|shared|signing|user)-?key"
    r"|authentic|authori[sz]|bearer|cookie|credential|csrf|hmac|jwt|pass(code|key|phrase|w)|secret"
    r"|session|signature|token|xsrf"
)
# keys that name a thing, and open none
_NO_SECRET_HEADER = re.compile(r"(x-)?(event|idempotency|routing)-key")
# of OAuth and CAS, of sessions, and typed in: words too common in names of headers
_SECRET_PARAMETER = re.compile(
    r"(?<![a-z])(code|pin|verifier)(?![a-z])|(?<![a-z])(sid|ticket)$|phpsessid"
)
MOST_HEADERS = 20


def may_be_secret(name: str) -> bool:
    """Tells whether a header, by its lower-case name, may hold a secret."""
    return _may_be_secret(name) and not _NO_SECRET_HEADER.fullmatch(name)


def may_be_secret_parameter(name: str) -> bool:
    """Tells whether a parameter of a query, by its lower-case name, may hold a secret."""
    return _may_be_secret(name) or bool(_SECRET_PARAMETER.search(name))


def _may_be_secret(name: str) -> bool:
    return bool(_SECRET_WORD.search(name) or _SECRET_PART.search(name))


def _check_header(name: str) -> str:
    if not is_header_name(name):
        raise ValueError("Write the name of a header, such as X-Topic")
    if may_be_secret(name.lower()):
        raise ValueError(
            "This header may hold a credential or a signature, and events are shown to all who may"
            " read them; leave it out"
        )
    return name


def _unique_methods(methods: list[HookMethod]) -> list[HookMethod]:
    return list(dict.fromkeys(methods))


HookMethods = Annotated[
    list[Annotated[HookMethod, Field(strict=False)]],
    Field(
        min_length=1,
        max_length=len(HookMethod),
        description="The methods that fire; without this, only POST does, or GET and POST ping a"
        " heartbeat. A GET also counts when a person or a program opens the URL.",
        examples=[["POST", "PUT"]],
    ),
    AfterValidator(_unique_methods),
]
HookHeaders = Annotated[
    list[Annotated[Text, AfterValidator(_check_header)]],
    Field(
        max_length=MOST_HEADERS,
        description="More headers of a call that its event shows in `source`, beside those that"
        " say what it is about with known senders.",
        examples=[["X-Topic"]],
    ),
]


class HookAcceptance(RequestModel):
    """Which calls a hook accepts, and what is kept of them."""

    methods: HookMethods | None = None
    headers: HookHeaders | None = None
    verify_token: (
        Annotated[
            Text,
            Field(
                min_length=1,
                max_length=255,
                description="The text that a sender of `hub.challenge` (WebSub, Meta) has to send"
                " as `hub.verify_token`, before it subscribes. Callers who may read the trigger"
                " see it.",
                examples=["my-subscription"],
            ),
        ]
        | None
    ) = None


class HookAcceptanceRead(TypedDict, total=False):
    """Which calls a hook accepts, and what is kept of them: the options that are set."""

    methods: list[HookMethod]
    headers: list[str]
    verify_token: str
