"""The details of a hook: how its calls are verified, with the options of that kind."""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from event_trigger.models import MacAlgorithm, MacEncoding, Verify
from event_trigger.triggers.hook_secrets import LONGEST_SECRET, check_secret
from event_trigger.triggers.schemas.accepting import HookAcceptance, HookAcceptanceRead
from event_trigger.web.http_headers import (
    HEADER_NAME_PATTERN,
    LONGEST_HEADER_NAME,
    is_header_name,
)
from event_trigger.web.schemas import Text

LONGEST_SIGNED_TEXT = 200
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EXAMPLE = "such as {body} or {timestamp}.{body}"


class SignedPart(StrEnum):
    """A part of a call that a signature covers."""

    BODY = "body"
    TIMESTAMP = "timestamp"
    ID = "id"
    METHOD = "method"
    URL = "url"


@lru_cache(maxsize=256)
def signed_parts(text: str) -> tuple[str | SignedPart, ...]:
    """Splits a text into literal texts and parts; raises ValueError, with words for the user.

    Each part may be there once, and the body has to be: otherwise anybody could replace it.
    """
    pieces = _PLACEHOLDER.split(text)
    literals, names = pieces[::2], pieces[1::2]
    if any("{" in one or "}" in one for one in literals) or not set(names) <= set(SignedPart):
        known = ", ".join(f"{{{one}}}" for one in SignedPart)
        raise ValueError(f"Write a text with some of {known}, {_EXAMPLE}")
    if len(set(names)) < len(names):
        raise ValueError("Write each part once")
    if SignedPart.BODY not in names:
        raise ValueError(f"Write {{body}} in it, {_EXAMPLE}: the signature has to cover the body")
    parts: list[str | SignedPart] = []
    for place, piece in enumerate(pieces):
        if place % 2:
            parts.append(SignedPart(piece))
        elif piece:
            parts.append(piece)
    return tuple(parts)


class _Taken(NamedTuple):
    """The options that a kind of verification requires, and those that it may have besides."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_TAKEN = {
    Verify.HMAC: _Taken(
        frozenset({"header", "algorithm", "encoding", "signs"}),
        frozenset({"prefix", "timestamp_header", "id_header"}),
    ),
    Verify.TOKEN: _Taken(optional=frozenset({"header"})),
    Verify.BASIC: _Taken(frozenset({"username"})),
}
_EXAMPLES = {
    "header": "the name of the header that has the signature, such as X-Signature",
    "algorithm": "sha1, sha256 or sha512",
    "encoding": "hex or base64",
    "signs": 'the text that is signed, such as "{body}" or "{timestamp}.{body}"',
    "username": "the name that the sender signs in with",
}


def _check_signs(text: str) -> str:
    signed_parts(text)
    return text


def _check_header(name: str) -> str:
    if not is_header_name(name):
        raise ValueError("Write the name of a header, such as X-Signature")
    return name


def _check_username(name: str) -> str:
    if ":" in name or not name.isprintable():
        raise ValueError("Write a name without a colon and without control characters")
    return name


HeaderName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_HEADER_NAME,
        json_schema_extra={"pattern": HEADER_NAME_PATTERN},
    ),
    AfterValidator(_check_header),
]
SignedText = Annotated[
    Text,
    Field(max_length=LONGEST_SIGNED_TEXT, examples=["{timestamp}.{body}"]),
    AfterValidator(_check_signs),
]
Username = Annotated[
    Text,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": "^[^:]+$"}),
    AfterValidator(_check_username),
]
GivenSecret = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_SECRET)]


class HookDetails(HookAcceptance):
    """A URL that fires the trigger when it is called, and how its calls are verified."""

    # what is left out is validated too: whether it may be depends on `verify`
    model_config = ConfigDict(validate_default=True)

    verify: Annotated[
        Verify,
        Field(
            strict=False,
            description="How calls are verified: as a sender documents it, or by `hmac`, `token`"
            " or `basic` with options. With `none`, knowing the URL is enough to fire.",
        ),
    ]
    header: HeaderName | None = Field(
        None,
        description="`hmac`: the header that has the signature. `token`: the header that has the"
        " secret; left out, it is `Authorization: Bearer …`.",
        examples=["X-Signature"],
    )
    algorithm: Annotated[MacAlgorithm, Field(strict=False)] | None = Field(
        None, description="`hmac`: the hash function."
    )
    encoding: Annotated[MacEncoding, Field(strict=False)] | None = Field(
        None, description="`hmac`: how the signature is written."
    )
    prefix: Annotated[Text, Field(min_length=1, max_length=50)] | None = Field(
        None, description="`hmac`: a text before the signature in its header.", examples=["sha256="]
    )
    signs: SignedText | None = Field(
        None,
        description="`hmac`: the text that is signed, with `{body}` and, where they are signed"
        " too, `{timestamp}`, `{id}`, `{method}` and `{url}`.",
    )
    timestamp_header: HeaderName | None = Field(
        None,
        description="`hmac`: the header that has the signed `{timestamp}`, in seconds or"
        " milliseconds since 1970, or as RFC 3339. It has to be at most 5 minutes from now.",
    )
    id_header: HeaderName | None = Field(
        None,
        description="`hmac`: the header that has the sender's id of a call. Repeated within 48"
        " hours, it is the same event.",
    )
    username: Username | None = Field(
        None, description="`basic`: the user's name; the secret is the password."
    )
    secret: GivenSecret | None = Field(
        None,
        exclude=True,
        description="The secret that the sender has issued, or its public key (`discord`,"
        " `sendgrid`). Left out, one is made, and shown once. It is never shown again.",
    )

    @field_validator(
        *("header", "algorithm", "encoding", "prefix"),
        *("signs", "timestamp_header", "id_header", "username"),
        mode="before",
    )
    @classmethod
    def _refuse_options_of_others(cls, value: Any, info: ValidationInfo) -> Any:
        verify = info.data.get("verify")
        if value is not None and verify is not None:
            taken, name = _TAKEN.get(verify, _Taken()), info.field_name
            if name not in taken.required | taken.optional:
                raise ValueError(f"{verify} has no such option; leave it out, or patch it to null")
        return value

    @field_validator(*("header", "algorithm", "encoding", "signs", "username"))
    @classmethod
    def _require_options(cls, value: Any, info: ValidationInfo) -> Any:
        verify, name = info.data.get("verify"), info.field_name or ""
        if value is None and verify is not None and name in _TAKEN.get(verify, _Taken()).required:
            raise ValueError(f"{verify} needs it: write {_EXAMPLES[name]}")
        return value

    @field_validator("timestamp_header", "id_header")
    @classmethod
    def _match_signed_text(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Requires the header of each part that is signed; an unsigned time would protect nobody.

        An id may also be there unsigned.
        """
        is_time = info.field_name == "timestamp_header"
        part = SignedPart.TIMESTAMP if is_time else SignedPart.ID
        signs = info.data.get("signs")
        if signs is None:
            return value
        is_signed = part in signed_parts(signs)
        if is_signed and value is None:
            raise ValueError(f"signs has {{{part}}}: write the name of the header that has it")
        if is_time and value is not None and not is_signed:
            raise ValueError("Write {timestamp} in signs too, or leave this out: it is not signed")
        return value

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        verify = info.data.get("verify")
        if value is not None and verify is not None:
            check_secret(verify, value.get_secret_value())
        return value


class HookDetailsRead(HookAcceptanceRead):
    """How calls of the hook are verified: the options that are set, without the secret."""

    verify: Verify
    header: NotRequired[str]
    algorithm: NotRequired[MacAlgorithm]
    encoding: NotRequired[MacEncoding]
    prefix: NotRequired[str]
    signs: NotRequired[str]
    timestamp_header: NotRequired[str]
    id_header: NotRequired[str]
    username: NotRequired[str]
