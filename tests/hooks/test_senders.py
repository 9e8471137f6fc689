"""Each sender's calls are accepted as it signs them, and refused with each part wrong."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
import svix.webhooks
from sendgrid.helpers.eventwebhook import EventWebhook
from slack_sdk.signature import SignatureVerifier
from standardwebhooks import Webhook
from stripe import WebhookSignature
from twilio.request_validator import RequestValidator

from event_trigger.errors import Invalid
from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.refused import SignatureRefused
from event_trigger.hooks.verifiers import Verifier
from tests.support.hooks import request_of
from tests.support.senders import (
    AT,
    FORM,
    JSON,
    SENDERS,
    URL,
    Sender,
    Sending,
    body_digest,
    linear_body,
)

TOO_FAR = timedelta(minutes=5, seconds=1)
NEAR = timedelta(minutes=4, seconds=59)
Headers = list[tuple[str, str]]


class Call(NamedTuple):
    """The content of a call: its headers, its body, and the query of its URL."""

    headers: Headers
    body: bytes
    query: str = ""


def sent_by(sender: Sender, sending: Sending | None = None) -> Call:
    sending = sending or Sending(sender.secret, sender.body)
    signed = [(name.lower(), value) for name, value in sender.sign(sending).items()]
    headers = [("content-type", sender.content_type), *signed]
    return Call(headers, sending.body, sender.query(sending.body))


def refusal(sender: Sender, call: Call, *secrets: str) -> str | None:
    """Gives the reason for which a call is refused, or None."""
    request = request_of(call.headers, call.body, url=URL, query=call.query)
    try:
        Verifier.of(sender.hook).check(secrets or (sender.secret,), request, AT)
    except SignatureRefused as refused:
        return refused.reason
    return None


def changed(headers: Headers, name: str, value: str | None) -> Headers:
    """Replaces a header's value, or takes the header out."""
    if value is None:
        return [one for one in headers if one[0] != name]
    return [(name, value) if one[0] == name else one for one in headers]


def value_of(call: Call, name: str) -> str:
    return dict(call.headers)[name.lower()]


def at_time(sender: Sender, ago: timedelta) -> Sending:
    body = linear_body(AT - ago) if sender.hook["verify"] == "linear" else sender.body
    return Sending(sender.secret, body, AT - ago)


# What is right


@pytest.mark.parametrize("name", SENDERS)
def test_a_call_is_accepted_as_its_sender_signs_it(name: str) -> None:
    sender = SENDERS[name]

    for ago in (timedelta(), NEAR, -NEAR):
        assert refusal(sender, sent_by(sender, at_time(sender, ago))) is None


@pytest.mark.parametrize("name", SENDERS)
def test_one_of_several_secrets_is_enough(name: str) -> None:
    sender = SENDERS[name]
    by_old, by_new = sent_by(sender), sent_by(sender, Sending(sender.other_secret, sender.body))

    secrets = (sender.other_secret, sender.secret)

    assert refusal(sender, by_old, *secrets) is None
    assert refusal(sender, by_new, *secrets) is None


def test_calls_are_signed_here_as_the_senders_own_libraries_sign_them() -> None:
    body, seconds = JSON.decode(), str(int(AT.timestamp()))

    def signature_of(name: str) -> str:
        return value_of(sent_by(SENDERS[name]), SENDERS[name].signature)

    secret = {name: one.secret for name, one in SENDERS.items()}
    stripe, slack = secret["Stripe"], SignatureVerifier(secret["Slack"])
    twilio = RequestValidator(secret["Twilio"])
    fields = {"From": "+15551234567", "Body": ["Grüße + Dank", ""], "NumMedia": "0"}
    with_digest = f"{URL}?{body_digest(JSON)}"

    assert signature_of("Standard Webhooks") == Webhook(secret["Standard Webhooks"]).sign(
        "msg_1", AT, body
    )
    assert signature_of("Svix") == svix.webhooks.Webhook(secret["Svix"]).sign("msg_1", AT, body)
    made = WebhookSignature.generate_signature_header(body, stripe, int(seconds))
    assert {*made.split(",")} < {*signature_of("Stripe").split(",")}
    assert signature_of("Slack") == slack.generate_signature(timestamp=seconds, body=JSON)
    assert twilio.validate(URL, MultiValues(fields), signature_of("Twilio"))
    assert twilio.validate(with_digest, body, signature_of("Twilio with JSON"))
    assert EventWebhook(secret["SendGrid"]).verify_signature(
        body, signature_of("SendGrid"), seconds
    )


class MultiValues(dict[str, Any]):
    """The fields of a form, as web frameworks give them to Twilio's library."""

    def getlist(self, name: str) -> list[str]:
        value = self[name]
        return value if isinstance(value, list) else [value]


def test_published_examples_are_accepted() -> None:
    """Those of GitHub, Slack and Standard Webhooks, from their documents."""
    github = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    slack = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    slack_body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
        b".803a0bc887a14d10d2c447fce8b6703c"
    )
    standard = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    examples: list[tuple[str, str, int, bytes, dict[str, str]]] = [
        ("GitHub", "It's a Secret to Everybody", 0, b"Hello, World!", {
            "x-hub-signature-256": github}),
        ("Slack", "8f742231b10e8888abcd99yyyzzz85a5", 1531420618, slack_body, {
            "x-slack-request-timestamp": "1531420618", "x-slack-signature": slack}),
        ("Standard Webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330,
         b'{"test": 2432232314}', {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330", "webhook-signature": standard}),
    ]  # fmt: skip

    for name, secret, at, body, headers in examples:
        request = request_of([*headers.items()], body, url=URL)
        now = AT if at == 0 else AT.fromtimestamp(at, AT.tzinfo)
        Verifier.of(SENDERS[name].hook).check([secret], request, now)


# What is wrong


def wrong_calls(sender: Sender) -> Iterator[tuple[str, Call, set[str]]]:
    """Makes calls with one part wrong, and gives the reasons that they may be refused for."""
    good, name = sent_by(sender), sender.signature.lower()
    value = value_of(good, name)
    mismatch = {"wrong_signature", "wrong_credentials"}
    unreadable = mismatch | {"malformed_signature"}

    def with_signature(text: str | None) -> Call:
        return good._replace(headers=changed(good.headers, name, text))

    yield "nothing", good._replace(headers=[]), {"missing_header"}
    yield "no signature", with_signature(None), {"missing_header"}
    yield "an empty signature", with_signature(""), {"missing_header"}
    yield "another secret", sent_by(sender, Sending(sender.other_secret, sender.body)), mismatch
    yield "cut short", with_signature(value[:-1]), unreadable
    yield "too long", with_signature(value + "A"), unreadable
    yield "no ASCII", with_signature(value[:-1] + "é"), unreadable
    two = [*good.headers, (name, value)]
    yield "two headers", good._replace(headers=two), {"repeated_header"}
    if sender.signs_body:
        other = sender.body.replace(b"e", b"a", 1)
        yield "another body", good._replace(body=other), mismatch
        yield "no body", good._replace(body=b""), mismatch
    yield from _wrong_times(sender, good)
    sending = Sending(sender.secret, sender.body)
    other_encoding = "base64" if value[-8:].isalnum() else "hex"
    if sender.is_mac:
        for algorithm in {"sha1", "sha384", "sha512"} - {sender.hook.get("algorithm")}:
            if (sender.hook["verify"], algorithm) != ("twilio", "sha1"):
                found = sent_by(sender, replace(sending, algorithm=algorithm))
                yield algorithm, found, mismatch
    if sender.signs_body:
        encoded = sent_by(sender, replace(sending, encoding=other_encoding))
        yield "another encoding", encoded, unreadable
    if sender.signs_time and sender.id_header is not None:
        other_id = changed(good.headers, sender.id_header.lower(), "msg_2")
        yield "another id", good._replace(headers=other_id), mismatch
        no_id = changed(good.headers, sender.id_header.lower(), None)
        yield "no id", good._replace(headers=no_id), {"missing_header"}


def _wrong_times(sender: Sender, good: Call) -> Iterator[tuple[str, Call, set[str]]]:
    if not sender.signs_time and sender.hook["verify"] != "linear":
        return
    for ago in (TOO_FAR, -TOO_FAR):
        found = sent_by(sender, at_time(sender, ago))
        yield f"sent {ago} ago", found, {"timestamp_too_far"}
    stamped = [(name, value) for name, value in good.headers if name.endswith("timestamp")]
    for name, value in stamped:
        moved = value[:-2] + ("1" if value[-2] != "1" else "2") + value[-1]
        yield (
            "another time",
            good._replace(headers=changed(good.headers, name, moved)),
            {
                "wrong_signature",
                "malformed_timestamp",
            },
        )
        yield (
            "no time",
            good._replace(headers=changed(good.headers, name, None)),
            {"missing_header"},
        )
        twice = [*good.headers, (name, value)]
        yield "two times", good._replace(headers=twice), {"repeated_header"}
        for odd in ("now", "nan", "-inf", "9" * 400, "-1", str(2**63), "1" * 12, "²", "1e9"):
            odd_time = changed(good.headers, name, odd)
            yield (
                f"the time {odd[:20]}",
                good._replace(headers=odd_time),
                {
                    "malformed_timestamp",
                    "timestamp_too_far",
                },
            )


@pytest.mark.parametrize("name", SENDERS)
def test_a_call_with_any_part_wrong_is_refused_for_that(name: str) -> None:
    sender, tried = SENDERS[name], 0

    for fault, call, reasons in wrong_calls(sender):
        assert refusal(sender, call) in reasons, fault
        tried += 1

    assert tried >= 8


@pytest.mark.parametrize("name", SENDERS)
def test_no_call_is_accepted_without_a_secret_to_compare(name: str) -> None:
    sender = SENDERS[name]
    request = request_of(sent_by(sender).headers, sender.body, url=URL)

    with pytest.raises(SignatureRefused) as refused:
        Verifier.of(sender.hook).check((), request, AT)

    assert refused.value.reason == "no_secret"


def test_the_answer_is_the_same_for_every_fault() -> None:
    for sender in SENDERS.values():
        said = set()
        for _, call, _ in wrong_calls(sender):
            request = request_of(call.headers, call.body, url=URL, query=call.query)
            with pytest.raises(SignatureRefused) as refused:
                Verifier.of(sender.hook).check([sender.secret], request, AT)
            said.add((refused.value.detail, str(refused.value.headers)))

        [(detail, headers)] = said
        assert sender.secret not in detail
        assert "WWW-Authenticate" in headers


# Particular senders


def test_unknown_versions_of_signatures_are_skipped() -> None:
    for name in ("Standard Webhooks", "Svix"):
        sender = SENDERS[name]
        good = sent_by(sender)
        value = value_of(good, sender.signature)
        several = f"v1a,AAAA v2,{value[3:]} v1,{'A' * 43}= {value}"
        unknown = f"v1a,{value[3:]} v2,{value[3:]}"

        for text, reason in ((several, None), (unknown, "malformed_signature")):
            headers = changed(good.headers, sender.signature, text)
            assert refusal(sender, good._replace(headers=headers)) == reason


def test_names_of_both_kinds_are_not_mixed() -> None:
    sender = SENDERS["Standard Webhooks"]
    standard, other = sent_by(sender), sent_by(SENDERS["Svix"])

    mixed = [*changed(standard.headers, "webhook-id", None), *other.headers[1:2]]

    assert refusal(sender, standard._replace(headers=mixed)) == "missing_header"


def test_stripe_signs_with_an_old_and_a_new_secret_while_it_rolls_them() -> None:
    sender = SENDERS["Stripe"]
    good = sent_by(sender)
    at, v0, v1 = value_of(good, "stripe-signature").split(",")

    def reason_of(*parts: str) -> str | None:
        headers = changed(good.headers, "stripe-signature", ",".join(parts))
        return refusal(sender, good._replace(headers=headers))

    assert reason_of(at, f"v1={'0' * 64}", v1) is None
    assert reason_of(at, v1.replace("v1", "v0")) == "malformed_signature"
    assert reason_of(v1, v0) == "malformed_signature"
    assert reason_of(at, at, v1) == "malformed_signature"


def test_the_older_header_counts_only_with_the_better_algorithm_and_alone() -> None:
    sender = SENDERS["GitHub"]
    signature = value_of(sent_by(sender), "x-hub-signature-256")
    sha1 = "sha1=" + Sending(sender.secret, JSON).mac("{body}", algorithm="sha1")

    def reason_of(headers: dict[str, str]) -> str | None:
        return refusal(sender, Call([*headers.items()], JSON))

    assert reason_of({"x-hub-signature": sha1}) == "malformed_signature"
    assert reason_of({"x-hub-signature": sha1, "x-hub-signature-256": signature}) is None
    wrong = {"x-hub-signature": signature, "x-hub-signature-256": "sha256=00"}
    assert reason_of(wrong) == "wrong_signature"


def test_hexadecimal_digits_may_be_in_upper_case() -> None:
    sender = SENDERS["Linear"]
    good = sent_by(sender)

    upper = changed(good.headers, "linear-signature", value_of(good, "linear-signature").upper())

    assert refusal(sender, good._replace(headers=upper)) is None


def test_twilio_signs_the_url_with_or_without_its_port_and_as_https() -> None:
    sender = SENDERS["Twilio"]

    def reason_of(signed: str, called: str) -> str | None:
        headers = sent_by(sender, Sending(sender.secret, FORM, url=signed)).headers
        request = request_of(headers, FORM, url=called)
        try:
            Verifier.of(sender.hook).check([sender.secret], request, AT)
        except SignatureRefused as refused:
            return refused.reason
        return None

    called = "http://hooks.test:8000/hooks/token"
    for signed in (
        called,
        "https://hooks.test:8000/hooks/token",
        "https://hooks.test/hooks/token",
        "http://hooks.test/hooks/token",
    ):
        assert reason_of(signed, called) is None, signed
    assert reason_of("https://hooks.test:443/hooks/token", URL) is None
    for signed in ("https://hooks.test/hooks/other", "https://other.test/hooks/token"):
        assert reason_of(signed, called) == "wrong_signature"
    for odd in ("http://hooks.test:x/hooks/token", "http://[::1/hooks/token"):
        assert reason_of(URL, odd) == "wrong_signature"


def test_a_body_that_twilio_does_not_sign_is_refused() -> None:
    """Without its digest in the URL, anybody who has seen a call could replace the body."""
    sender = SENDERS["Twilio with JSON"]
    unsigned = sent_by(sender)._replace(query="")
    headers = changed(
        unsigned.headers,
        "x-twilio-signature",
        Sending(sender.secret, b"").mac(URL, algorithm="sha1", encoding="base64"),
    )

    as_form = [("content-type", "application/x-www-form-urlencoded")]

    assert refusal(sender, unsigned._replace(headers=headers)) == "wrong_signature"
    emptied = sent_by(sender)._replace(headers=[*sent_by(sender).headers[1:], *as_form], body=b"")
    assert refusal(sender, emptied) == "wrong_signature"
    assert refusal(sender, Call(headers, b"")) is None


def test_twilio_signs_with_a_shared_key_by_sha256_if_it_says_so() -> None:
    sender = SENDERS["Twilio"]
    settings = "x-twilio-webhooks-signature-settings"
    signed = sent_by(sender, Sending(sender.secret, FORM, algorithm="sha256"))

    def reason_of(value: str) -> str | None:
        return refusal(sender, signed._replace(headers=[*signed.headers, (settings, value)]))

    assert reason_of("key=webhooks_sharedkey_1,algorithm=HMAC_SHA256") is None
    assert reason_of("key=webhooks_sharedkey_1") == "wrong_signature"
    assert reason_of("algorithm=NONE") == "malformed_signature"


def test_linear_calls_without_a_time_are_judged_by_their_signature() -> None:
    sender = SENDERS["Linear"]

    for body, reason in (
        (b"{}", None),
        (b"[]", None),
        (b'{"webhookTimestamp": "x"}', "malformed_timestamp"),
        (b'{"webhookTimestamp": {}}', "malformed_timestamp"),
    ):
        assert refusal(sender, sent_by(sender, Sending(sender.secret, body))) == reason, body


def test_a_token_has_its_scheme_in_any_case_and_its_own_header_bare() -> None:
    bearer, bare = SENDERS["Grafana"], SENDERS["Telegram"]
    basic = SENDERS["Alertmanager"]

    def reason_of(sender: Sender, value: str) -> str | None:
        return refusal(sender, Call([(sender.signature.lower(), value)], JSON))

    assert reason_of(bearer, f"bearer  {bearer.secret}") is None
    assert reason_of(bearer, bearer.secret) == "malformed_signature"
    assert reason_of(bare, f"Bearer {bare.secret}") == "wrong_credentials"
    for user, expected in (("grüße", None), ("other", "wrong_credentials")):
        written = base64.b64encode(f"{user}:{basic.secret}".encode()).decode()
        assert reason_of(basic, f"BASIC {written}") == expected
    assert reason_of(basic, "Basic %%%") == "malformed_signature"


# Ids


@pytest.mark.parametrize("name", SENDERS)
def test_a_call_has_the_id_that_its_sender_gives(name: str) -> None:
    sender = SENDERS[name]
    request = request_of(sent_by(sender).headers, sender.body, url=URL)

    key = Verifier.of(sender.hook).idempotency_key(request)

    in_body = {"Stripe": "evt_1", "Slack": "Ev1", "Discord": "int_1"}
    expected = "msg_1" if sender.id_header is not None else in_body.get(name)
    assert key == (None if expected is None else f"hook→{expected}")
    if sender.id_header is not None:
        for odd in ("", "x" * 256, "a\0"):
            headers = changed(sender_headers(request), sender.id_header.lower(), odd)
            with pytest.raises(Invalid):
                Verifier.of(sender.hook).idempotency_key(replace(request, headers=headers))


@pytest.mark.parametrize(
    ("name", "beside"), [("Svix", "webhook-id"), ("Standard Webhooks", "svix-id")]
)
def test_an_id_that_nobody_signed_does_not_count_beside_the_signed_one(
    name: str, beside: str
) -> None:
    sender = SENDERS[name]
    call = sent_by(sender)
    replayed = call._replace(headers=[(beside, "x1"), *call.headers, (beside, "x2")])
    request = request_of(replayed.headers, replayed.body, url=URL)

    assert refusal(sender, replayed) is None
    assert Verifier.of(sender.hook).idempotency_key(request) == "hook→msg_1"


def sender_headers(request: HookRequest) -> Headers:
    return [*request.headers]


def test_an_id_in_a_body_that_cannot_be_kept_is_left_out() -> None:
    for body in (
        *(json.dumps({"id": one}).encode() for one in ("", "x" * 256, "a\0", 1, None, ["a"])),
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"id":' * 2000,
    ):
        request = request_of([], body, url=URL)
        assert Verifier.of({"verify": "stripe"}).idempotency_key(request) is None, body
