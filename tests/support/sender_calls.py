"""Calls of hooks as their senders make them: headers, bodies and signatures, as each documents."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import stripe
from slack_sdk.signature import SignatureVerifier

_FORM = "application/x-www-form-urlencoded"
Sign = Callable[[str, bytes], dict[str, str]]


@dataclass(frozen=True)
class SenderCall:
    """A call; `payload` is that of its event, and `tells` the headers that its source keeps."""

    headers: Mapping[str, str]
    body: bytes
    payload: Any
    sign: Sign = lambda _secret, _body: {}
    tells: Mapping[str, str] = field(default_factory=dict)

    def signed(self, secret: str) -> dict[str, str]:
        return {**self.headers, **self.sign(secret, self.body)}


def _json_call(value: Any, headers: Mapping[str, str], sign: Sign, *tells: str) -> SenderCall:
    sent = {"Content-Type": "application/json", **headers}
    told = {name.lower(): sent[name] for name in ("Content-Type", "User-Agent", *tells)}
    return SenderCall(sent, json.dumps(value, indent=1).encode(), value, sign, told)


def _digest(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def _as_github(secret: str, body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={_digest(secret, body)}"}


def _as_bitbucket(secret: str, body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature": f"sha256={_digest(secret, body)}"}


def _as_gitlab(secret: str, _: bytes) -> dict[str, str]:
    return {"X-Gitlab-Token": secret}


def _as_stripe(secret: str, body: bytes) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret)
    return {"Stripe-Signature": header}


def _as_slack(secret: str, body: bytes) -> dict[str, str]:
    at = str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    assert signature is not None
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature}


def _as_grafana(secret: str, body: bytes) -> dict[str, str]:
    at = str(int(time.time()))
    return {
        "X-Grafana-Alerting-Timestamp": at,
        "X-Grafana-Alerting-Signature": _digest(secret, f"{at}:".encode() + body),
    }


def _as_alertmanager(secret: str, _: bytes) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


_ALERT = {
    "status": "firing",
    "labels": {"alertname": "InstanceDown", "instance": "db-1:9100", "severity": "critical"},
    "annotations": {"summary": "db-1 is down"},
    "startsAt": "2026-11-29T09:51:03.157Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0",
    "fingerprint": "c6eadffa33fcdf37",
}
_ALERTS = {
    "version": "4",
    "groupKey": '{}:{alertname="InstanceDown"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "events",
    "groupLabels": {"alertname": "InstanceDown"},
    "commonLabels": _ALERT["labels"],
    "commonAnnotations": _ALERT["annotations"],
    "externalURL": "http://alertmanager.example.com",
    "alerts": [_ALERT],
}
_GRAFANA = {
    **_ALERTS,
    "version": "1",
    "orgId": 1,
    "title": "[FIRING:1] InstanceDown (db-1:9100 critical)",
    "state": "alerting",
    "message": "**Firing**\n\nValue: B=44.23943737541908, C=1\n",
    "alerts": [{**_ALERT, "values": {"B": 44.23943737541908, "C": 1}, "silenceURL": ""}],
}
_PUSH = {
    "ref": "refs/heads/main",
    "before": "0" * 40,
    "after": "95790bf891e76fee5e1747ab589903a6a1f80f22",
    "repository": {"id": 186853002, "full_name": "Codertocat/Hello-World", "private": False},
    "commits": [{"id": "95790bf8", "message": "Müll: 💥", "added": [], "timestamp": None}],
}
_PIPELINE = {
    "object_kind": "pipeline",
    "object_attributes": {"id": 31, "ref": "master", "status": "success", "duration": 63.5},
    "user": {"name": "Administrator", "email": "user_email@gitlab.com"},
    "builds": [{"id": 380, "stage": "deploy", "failure_reason": None}],
}
_PAID = {
    "id": "evt_1PqJhS2eZvKYlo2CWkqYwzXQ",
    "object": "event",
    "api_version": "2026-10-29.clover",
    "created": 1764412800,
    "data": {"object": {"id": "in_1", "object": "invoice", "amount_paid": 1999, "paid": True}},
    "livemode": False,
    "pending_webhooks": 1,
    "request": {"id": None, "idempotency_key": None},
    "type": "invoice.paid",
}
_MENTION = {
    "token": "ZZZZZZWSxiZZZ2yIvs3peJ",
    "team_id": "T123ABC456",
    "api_app_id": "A123ABC456",
    "event": {
        "type": "app_mention",
        "user": "U1",
        "text": "<@U0LAN0Z89> deploy <now>",
        "ts": "1.5",
    },
    "type": "event_callback",
    "event_id": "Ev123ABC456",
    "event_time": 1764412800,
    "authorizations": [{"enterprise_id": None, "is_bot": False}],
}
_COMMAND = {
    "token": "gIkuvaNzQIHg97ATvDxqgjtO",
    "team_domain": "example",
    "command": "/deploy",
    "text": "web & worker",
    "trigger_id": "13345224609.738474920.8088930838d88f008e0",
}
_BUTTON = {"type": "block_actions", "user": {"id": "U1"}, "actions": [{"value": "yes"}]}

# by the name of the trigger in docs/hooks.md
SENDER_CALLS: Mapping[str, list[SenderCall]] = {
    "Backup": [
        SenderCall({"Content-Type": _FORM}, b"backup done", {"body": "backup done"}),
        SenderCall({"Content-Type": _FORM}, b"host=db-1&bytes=12", {"host": "db-1", "bytes": "12"}),
        SenderCall({}, b"", None),
        SenderCall({"Content-Type": "text/plain"}, b"3 files", {"body": "3 files"}),
    ],
    "Push": [
        _json_call(
            _PUSH,
            {
                "User-Agent": "GitHub-Hookshot/044aadd",
                "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
                "X-GitHub-Event": "push",
                "X-GitHub-Hook-ID": "292430182",
            },
            _as_github,
            "X-GitHub-Event",
            "X-GitHub-Hook-ID",
        ),
        SenderCall(
            {"Content-Type": _FORM, "X-GitHub-Event": "push", "X-GitHub-Delivery": "2"},
            urlencode({"payload": json.dumps(_PUSH)}).encode(),
            _PUSH,
            _as_github,
            {"x-github-event": "push"},
        ),
        _json_call(
            {"repository": {"slug": "web"}},
            {"User-Agent": "Bitbucket-Webhooks/2.0", "X-Event-Key": "repo:push"},
            _as_bitbucket,
            "X-Event-Key",
        ),
    ],
    "Pipeline": [
        _json_call(
            _PIPELINE,
            {
                "User-Agent": "GitLab/18.6.0",
                "Idempotency-Key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
                "X-Gitlab-Event": "Pipeline Hook",
                "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e",
                "X-Gitlab-Instance": "https://gitlab.com",
            },
            _as_gitlab,
            "X-Gitlab-Event",
            "X-Gitlab-Instance",
        )
    ],
    "Paid": [
        _json_call(
            _PAID,
            {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            },
            _as_stripe,
        )
    ],
    "Mention": [
        _json_call(_MENTION, {"User-Agent": "Slackbot 1.0"}, _as_slack),
        SenderCall({"Content-Type": _FORM}, urlencode(_COMMAND).encode(), _COMMAND, _as_slack),
        SenderCall(
            {"Content-Type": _FORM},
            urlencode({"payload": json.dumps(_BUTTON)}).encode(),
            _BUTTON,
            _as_slack,
        ),
    ],
    "Alert": [_json_call(_GRAFANA, {"User-Agent": "Grafana"}, _as_grafana)],
    "Alerts": [_json_call(_ALERTS, {"User-Agent": "Alertmanager/0.29.0"}, _as_alertmanager)],
}
