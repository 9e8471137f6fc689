"""Signs calls of hooks as senders document it, without the code that verifies them.

`tests/hooks/test_senders.py` compares with the senders' own libraries, where they have one.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

JSON = b'{"id": "evt_1", "event_id": "Ev1", "text": "gr\xc3\xbc\xc3\x9fe"}'
FORM = b"From=%2B15551234567&Body=Gr%C3%BC%C3%9Fe+%2B+Dank&Body=&NumMedia=0"
URL = "https://hooks.test/hooks/token"
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
_ED25519 = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
_OTHER_ED25519 = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
_ECDSA = ec.derive_private_key(1234567, ec.SECP256R1())
_OTHER_ECDSA = ec.derive_private_key(7654321, ec.SECP256R1())


def public_text(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Writes a public key as Discord, or SendGrid, shows it."""
    if isinstance(key, Ed25519PrivateKey):
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


_PRIVATE = {public_text(one): one for one in (_ED25519, _OTHER_ED25519, _ECDSA, _OTHER_ECDSA)}


@dataclass(frozen=True)
class Sending:
    """A call that is to be signed; `algorithm` and `encoding` replace those of the sender."""

    secret: str
    body: bytes
    at: datetime = AT
    name: str = "msg_1"
    url: str = URL
    algorithm: str | None = None
    encoding: str | None = None

    @property
    def seconds(self) -> str:
        return str(int(self.at.timestamp()))

    @property
    def milliseconds(self) -> str:
        return str(int(self.at.timestamp() * 1000))

    def mac(
        self, text: str, *, algorithm: str = "sha256", encoding: str = "hex", key: bytes = b""
    ) -> str:
        """Signs a text, in which `{body}` stands for the body."""
        before, has_body, after = text.partition("{body}")
        signed = before.encode() + (self.body if has_body else b"") + after.encode()
        digest = hmac.digest(key or self.secret.encode(), signed, self.algorithm or algorithm)
        is_hex = (self.encoding or encoding) == "hex"
        return digest.hex() if is_hex else base64.b64encode(digest).decode()


Sign = Callable[[Sending], dict[str, str]]


@dataclass(frozen=True)
class Sender:
    """A sender of calls; `signature` is the header that it signs in."""

    hook: Mapping[str, Any]
    sign: Sign
    signature: str
    secret: str = "It's a Secret to Everybody"
    other_secret: str = "another"
    body: bytes = JSON
    query: Callable[[bytes], str] = field(default=lambda _: "")
    signs_time: bool = False
    signs_body: bool = True
    id_header: str | None = None
    is_mac: bool = True
    content_type: str = "application/json"


def _standard(names: str) -> Sign:
    def sign(one: Sending) -> dict[str, str]:
        key = base64.b64decode(one.secret.removeprefix("whsec_"))
        text = f"{one.name}.{one.seconds}.{{body}}"
        return {
            f"{names}-id": one.name,
            f"{names}-timestamp": one.seconds,
            f"{names}-signature": f"v1,{one.mac(text, encoding='base64', key=key)}",
        }

    return sign


def _plain(
    header: str,
    prefix: str = "",
    *,
    names: str = "",
    algorithm: str = "sha256",
    encoding: str = "hex",
) -> Sign:
    """Signs the body alone; `names` is the header of the call's id."""

    def sign(one: Sending) -> dict[str, str]:
        headers = {header: prefix + one.mac("{body}", algorithm=algorithm, encoding=encoding)}
        return {names: one.name, **headers} if names else headers

    return sign


def _stripe(one: Sending) -> dict[str, str]:
    signature = one.mac(f"{one.seconds}.{{body}}")
    return {"stripe-signature": f"t={one.seconds},v0={'0' * 64},v1={signature}"}


def _timed(header: str, timestamp: str) -> Sign:
    """Signs as Slack does, and Zoom after it."""

    def sign(one: Sending) -> dict[str, str]:
        signature = one.mac(f"v0:{one.seconds}:{{body}}")
        return {timestamp: one.seconds, header: f"v0={signature}"}

    return sign


def _linear(one: Sending) -> dict[str, str]:
    return {"linear-delivery": one.name, "linear-signature": one.mac("{body}")}


def _twilio(one: Sending) -> dict[str, str]:
    fields = parse_qsl(one.body.decode(), keep_blank_values=True)
    text = one.url + "".join(name + value for name, value in sorted(set(fields)))
    signature = one.mac(text, algorithm="sha1", encoding="base64")
    return {"x-twilio-signature": signature, "i-twilio-idempotency-token": one.name}


def _twilio_json(one: Sending) -> dict[str, str]:
    url = f"{one.url}?{body_digest(one.body)}"
    signature = one.mac(url, algorithm="sha1", encoding="base64")
    return {"x-twilio-signature": signature, "i-twilio-idempotency-token": one.name}


def body_digest(body: bytes) -> str:
    return f"bodySHA256={hashlib.sha256(body).hexdigest()}"


def _discord(one: Sending) -> dict[str, str]:
    key = _PRIVATE[one.secret]
    assert isinstance(key, Ed25519PrivateKey)
    signature = key.sign(one.seconds.encode() + one.body)
    written = base64.b64encode(signature).decode() if one.encoding else signature.hex()
    return {"x-signature-timestamp": one.seconds, "x-signature-ed25519": written}


def _sendgrid(one: Sending) -> dict[str, str]:
    key = _PRIVATE[one.secret]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(one.seconds.encode() + one.body, ec.ECDSA(SHA256()))
    written = signature.hex() if one.encoding else base64.b64encode(signature).decode()
    name = "x-twilio-email-event-webhook"
    return {f"{name}-timestamp": one.seconds, f"{name}-signature": written}


def _twitch(one: Sending) -> dict[str, str]:
    at = one.at.isoformat().replace("+00:00", "000Z" if one.at.microsecond else ".000000000Z")
    name = "twitch-eventsub-message"
    return {
        f"{name}-id": one.name,
        f"{name}-timestamp": at,
        f"{name}-signature": f"sha256={one.mac(f'{one.name}{at}{{body}}')}",
    }


def _hubspot(one: Sending) -> dict[str, str]:
    text = f"POST{one.url}{{body}}{one.milliseconds}"
    return {
        "X-HubSpot-Request-Timestamp": one.milliseconds,
        "X-HubSpot-Signature-v3": one.mac(text, encoding="base64"),
    }


def _square(one: Sending) -> dict[str, str]:
    signature = one.mac(f"{one.url}{{body}}", encoding="base64")
    return {"x-square-hmacsha256-signature": signature}


def _trello(one: Sending) -> dict[str, str]:
    signature = one.mac(f"{{body}}{one.url}", algorithm="sha1", encoding="base64")
    return {"X-Trello-Webhook": signature}


def _credential(header: str, before: str = "") -> Sign:
    return lambda one: {header: before + one.secret, "idempotency-key": one.name}


def _basic(one: Sending) -> dict[str, str]:
    written = base64.b64encode(f"grüße:{one.secret}".encode())
    return {"Authorization": f"Basic {written.decode()}", "idempotency-key": one.name}


def linear_body(at: datetime) -> bytes:
    milliseconds = int(at.timestamp() * 1000)
    return json.dumps({"action": "create", "webhookTimestamp": milliseconds}).encode()


def hmac_hook(header: str, encoding: str, signs: str, **more: str) -> dict[str, str]:
    named = {"header": header, "algorithm": "sha256", "encoding": encoding, "signs": signs}
    return {"verify": "hmac", **named, **more}


_WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_OTHER_WHSEC = "whsec_" + base64.b64encode(b"x" * 32).decode()
_ZM, _TWITCH = "x-zm", "twitch-eventsub-message"
SENDERS: dict[str, Sender] = {
    "Standard Webhooks": Sender(
        {"verify": "standard_webhooks"},
        _standard("webhook"),
        "webhook-signature",
        _WHSEC,
        _OTHER_WHSEC,
        signs_time=True,
        id_header="webhook-id",
    ),
    "Svix": Sender(
        {"verify": "standard_webhooks"},
        _standard("svix"),
        "svix-signature",
        _WHSEC,
        _OTHER_WHSEC,
        signs_time=True,
        id_header="svix-id",
    ),
    "GitHub": Sender(
        {"verify": "github"},
        _plain("X-Hub-Signature-256", "sha256=", names="X-GitHub-Delivery"),
        "X-Hub-Signature-256",
        id_header="X-GitHub-Delivery",
    ),
    "Bitbucket": Sender(
        {"verify": "github"},
        _plain("X-Hub-Signature", "sha256=", names="X-Request-UUID"),
        "X-Hub-Signature",
        id_header="X-Request-UUID",
    ),
    "Jira": Sender(
        {"verify": "github"},
        _plain("x-hub-signature", "sha256=", names="X-Atlassian-Webhook-Identifier"),
        "x-hub-signature",
        id_header="X-Atlassian-Webhook-Identifier",
    ),
    "Gitea": Sender(
        {"verify": "github"},
        _plain("X-Gitea-Signature", names="X-Gitea-Delivery"),
        "X-Gitea-Signature",
        id_header="X-Gitea-Delivery",
    ),
    "Forgejo": Sender(
        {"verify": "github"},
        _plain("X-Forgejo-Signature", names="X-Forgejo-Delivery"),
        "X-Forgejo-Signature",
        id_header="X-Forgejo-Delivery",
    ),
    "GitLab": Sender(
        {"verify": "gitlab"},
        _credential("X-Gitlab-Token"),
        "X-Gitlab-Token",
        signs_body=False,
        id_header="Idempotency-Key",
        is_mac=False,
    ),
    "Stripe": Sender(
        {"verify": "stripe"}, _stripe, "Stripe-Signature", "whsec_plain text", signs_time=True
    ),
    "Slack": Sender(
        {"verify": "slack"},
        _timed("X-Slack-Signature", "X-Slack-Request-Timestamp"),
        "X-Slack-Signature",
        "8f742231b10e8888abcd99yyyzzz85a5",
        signs_time=True,
    ),
    "Shopify": Sender(
        {"verify": "shopify"},
        _plain("X-Shopify-Hmac-Sha256", names="X-Shopify-Webhook-Id", encoding="base64"),
        "X-Shopify-Hmac-Sha256",
        id_header="X-Shopify-Webhook-Id",
    ),
    "Linear": Sender(
        {"verify": "linear"},
        _linear,
        "Linear-Signature",
        body=linear_body(AT),
        id_header="Linear-Delivery",
    ),
    "Twilio": Sender(
        {"verify": "twilio"},
        _twilio,
        "X-Twilio-Signature",
        body=FORM,
        id_header="I-Twilio-Idempotency-Token",
        content_type="application/x-www-form-urlencoded; charset=UTF-8",
    ),
    "Twilio with JSON": Sender(
        {"verify": "twilio"},
        _twilio_json,
        "X-Twilio-Signature",
        query=body_digest,
        id_header="I-Twilio-Idempotency-Token",
    ),
    "Discord": Sender(
        {"verify": "discord"},
        _discord,
        "X-Signature-Ed25519",
        public_text(_ED25519),
        public_text(_OTHER_ED25519),
        body=b'{"id": "int_1", "type": 2}',
        signs_time=True,
        is_mac=False,
    ),
    "SendGrid": Sender(
        {"verify": "sendgrid"},
        _sendgrid,
        "X-Twilio-Email-Event-Webhook-Signature",
        public_text(_ECDSA),
        public_text(_OTHER_ECDSA),
        signs_time=True,
        is_mac=False,
    ),
    "Zoom": Sender(
        hmac_hook(
            f"{_ZM}-signature",
            "hex",
            "v0:{timestamp}:{body}",
            prefix="v0=",
            timestamp_header=f"{_ZM}-request-timestamp",
        ),
        _timed(f"{_ZM}-signature", f"{_ZM}-request-timestamp"),
        f"{_ZM}-signature",
        signs_time=True,
    ),
    "Twitch": Sender(
        hmac_hook(
            "Twitch-Eventsub-Message-Signature",
            "hex",
            "{id}{timestamp}{body}",
            prefix="sha256=",
            timestamp_header="Twitch-Eventsub-Message-Timestamp",
            id_header="Twitch-Eventsub-Message-Id",
        ),
        _twitch,
        f"{_TWITCH}-signature",
        signs_time=True,
        id_header=f"{_TWITCH}-id",
    ),
    "HubSpot": Sender(
        hmac_hook(
            "X-HubSpot-Signature-v3",
            "base64",
            "{method}{url}{body}{timestamp}",
            timestamp_header="X-HubSpot-Request-Timestamp",
        ),
        _hubspot,
        "X-HubSpot-Signature-v3",
        signs_time=True,
    ),
    "Square": Sender(
        hmac_hook("x-square-hmacsha256-signature", "base64", "{url}{body}"),
        _square,
        "x-square-hmacsha256-signature",
    ),
    "Trello": Sender(
        hmac_hook("x-trello-webhook", "base64", "{body}{url}") | {"algorithm": "sha1"},
        _trello,
        "X-Trello-Webhook",
    ),
    "Paystack": Sender(
        hmac_hook("x-paystack-signature", "hex", "{body}") | {"algorithm": "sha512"},
        _plain("x-paystack-signature", algorithm="sha512"),
        "x-paystack-signature",
    ),
    "Grafana": Sender(
        {"verify": "token"},
        _credential("Authorization", "Bearer "),
        "Authorization",
        signs_body=False,
        id_header="Idempotency-Key",
        is_mac=False,
    ),
    "Telegram": Sender(
        {"verify": "token", "header": "X-Telegram-Bot-Api-Secret-Token"},
        _credential("X-Telegram-Bot-Api-Secret-Token"),
        "X-Telegram-Bot-Api-Secret-Token",
        signs_body=False,
        id_header="Idempotency-Key",
        is_mac=False,
    ),
    "Alertmanager": Sender(
        {"verify": "basic", "username": "grüße"},
        _basic,
        "Authorization",
        signs_body=False,
        id_header="Idempotency-Key",
        is_mac=False,
    ),
}
