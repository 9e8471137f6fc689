"""The part of `details.hook` that says which calls a hook accepts, and what is kept of them."""

from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from event_trigger.models import HookMethod
from event_trigger.triggers.sender_headers import may_be_secret
from event_trigger.web.http_headers import is_header_name
from event_trigger.web.schemas import RequestModel, Text

MOST_HEADERS = 20


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
