"""Options of hooks are those of their kind; another one is a 422 that says what to write."""

from typing import Any

import pytest
from pydantic import ValidationError

from event_trigger.triggers.schemas.details import ApiDetails
from event_trigger.web.invalid_requests import invalid_request
from tests.support.senders import SENDERS, hmac_hook

SIGNED = hmac_hook("X-Signature", "hex", "{body}")
TIMED = hmac_hook("X-Signature", "hex", "{timestamp}.{body}", timestamp_header="X-Time")


def refusals(hook: Any) -> dict[str, str]:
    """Gives the places of the errors, with their details."""
    with pytest.raises(ValidationError) as refused:
        ApiDetails.model_validate({"hook": hook})
    found = [{**one, "loc": ("body", *one["loc"])} for one in refused.value.errors()]
    return {one.name: one.detail for one in invalid_request(found, ApiDetails).errors}


@pytest.mark.parametrize("name", SENDERS)
def test_each_senders_options_are_stored_as_they_are_and_its_secret_is_not(name: str) -> None:
    sender = SENDERS[name]

    details = ApiDetails.model_validate({"hook": {**sender.hook, "secret": sender.secret}})

    assert details.as_stored() == {"hook": sender.hook}
    assert details.given_secret == sender.secret
    assert sender.secret not in repr(details)


@pytest.mark.parametrize(
    ("hook", "place", "words"),
    [
        ({"verify": "basic"}, "username", "write the name"),
        ({"verify": "github", "header": "X-Signature"}, "header", "github has no such option"),
        ({"verify": "token", "username": "me"}, "username", "token has no such option"),
        ({"verify": "basic", "username": "a:b"}, "username", "without a colon"),
        ({"verify": "basic", "username": "a\nb"}, "username", "without control characters"),
        ({"verify": "token", "header": "X Signature"}, "header", "name of a header"),
        ({"verify": "token", "header": "X-Signatur\u00e9"}, "header", "name of a header"),
        (SIGNED | {"algorithm": "md5"}, "algorithm", "'sha1', 'sha256' or 'sha512'"),
        (SIGNED | {"encoding": "base32"}, "encoding", "'hex' or 'base64'"),
        (SIGNED | {"signs": "{timestamp}"}, "signs", "Write {body} in it"),
        (SIGNED | {"signs": "body"}, "signs", "Write {body} in it"),
        (SIGNED | {"signs": "{body}{body}"}, "signs", "each part once"),
        (SIGNED | {"signs": "{payload}"}, "signs", "{timestamp}"),
        (SIGNED | {"signs": "{body}}"}, "signs", "some of"),
        (SIGNED | {"signs": "{body}" + "x" * 200}, "signs", "200 or fewer"),
        (SIGNED | {"timestamp_header": "X-Time"}, "timestamp_header", "{timestamp} in signs too"),
        (TIMED | {"timestamp_header": None}, "timestamp_header", "signs has {timestamp}"),
        (SIGNED | {"signs": "{id}{body}"}, "id_header", "signs has {id}"),
        (SIGNED | {"prefix": ""}, "prefix", "1 or more"),
        (SIGNED | {"sign": "{body}"}, "sign", "Did you mean 'signs'?"),
        (SIGNED | {"secret": 5}, "secret", "Write a text"),
        (SIGNED | {"secret": "a\0"}, "secret", "can be seen"),
        ({"verify": "none", "secret": "x"}, "secret", "leave it out"),
        ({"verify": "discord", "secret": "x"}, "secret", "64 hexadecimal digits"),
        ({"verify": "discord", "secret": "00"}, "secret", "64 hexadecimal digits"),
        ({"verify": "sendgrid", "secret": "AAAA"}, "secret", "elliptic-curve key"),
        ({"verify": "sendgrid", "secret": "\u00fc"}, "secret", "elliptic-curve key"),
        ({"verify": "standard_webhooks", "secret": "whsec_"}, "secret", "whsec_ and base64"),
        ({"verify": "standard_webhooks", "secret": "a b"}, "secret", "whsec_ and base64"),
        ({"verify": "gitlab", "secret": "\u00fc"}, "secret", "sent in a header"),
        ({"verify": "md5"}, "verify", "'hmac'"),
    ],
)
def test_a_wrong_option_is_refused_in_its_place(hook: Any, place: str, words: str) -> None:
    refused = refusals(hook)

    assert [*refused] == [f"#/hook/{place}"]
    assert words in refused[f"#/hook/{place}"]


def test_each_missing_option_is_named() -> None:
    assert [*refusals({"verify": "hmac"})] == [
        f"#/hook/{one}" for one in ("header", "algorithm", "encoding", "signs")
    ]


def test_options_that_are_null_are_absent() -> None:
    details = ApiDetails.model_validate(
        {"hook": {"verify": "none", "header": None, "secret": None}}
    )

    assert details.as_stored() == {"hook": {"verify": "none"}}
    assert details.given_secret is None
