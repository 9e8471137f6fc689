"""Answers senders that ask first whether a URL is meant to be called: these calls fire nothing."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from event_trigger.errors import Forbidden
from event_trigger.hooks.acceptance import Acceptance
from event_trigger.hooks.bodies.reading import OTHER_BODY
from event_trigger.hooks.requests import PING_RECEIVED, PLAIN_TEXT, HookRequest, Reply, json_reply

_HUB_PARAMETERS = ("hub.mode", "hub.challenge", "hub.verify_token")
_MOST_PARAMETERS = 20
_DISCORD_PING, _DISCORD_EVENTS_PING = 1, 0

Payload = Mapping[str, Any]
Question = Callable[[HookRequest, Payload], Reply | None]


class WrongVerifyToken(Forbidden):
    slug, title = "wrong-verify-token", "The verify token is wrong"
    default_detail = "Send details.hook.verify_token of the trigger as hub.verify_token."


def reply_to_challenge(accepts: Acceptance, request: HookRequest) -> Reply | None:
    """Answers `hub.challenge` (WebSub, Meta's webhooks) if the hook has a `verify_token`.

    These calls are not signed: the token tells that the sender knows the hook's owner. Raises
    WrongVerifyToken.
    """
    if accepts.verify_token is None or request.method != "GET" or "hub." not in request.query:
        return None
    try:
        query = parse_qs(request.query, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return None
    mode, challenge, token = (query.get(name, []) for name in _HUB_PARAMETERS)
    if mode not in (["subscribe"], ["unsubscribe"]) or len(challenge) != 1:
        return None
    wanted = accepts.verify_token.encode()
    if len(token) != 1 or not hmac.compare_digest(wanted, token[0].encode()):
        raise WrongVerifyToken
    return Reply(body=challenge[0].encode(), media_type=PLAIN_TEXT)


def reply_to_question(accepts: Acceptance, request: HookRequest, payload: Payload) -> Reply | None:
    """Answers the questions and pings that senders of this kind sign as they sign all calls."""
    for question in _QUESTIONS.get(accepts.verify, ()):
        if (reply := question(request, payload)) is not None:
            return reply
    return None


def _slack(_: HookRequest, payload: Payload) -> Reply | None:
    """Answers `url_verification` of Slack's Events API with its challenge."""
    challenge = payload.get("challenge")
    if payload.get("type") != "url_verification" or not isinstance(challenge, str):
        return None
    return json_reply({"challenge": challenge})


def _discord(_: HookRequest, payload: Payload) -> Reply | None:
    """Answers PING: of interactions, which have no `event`, and of webhook events."""
    if payload.get("type") == _DISCORD_PING and "event" not in payload:
        return json_reply({"type": _DISCORD_PING})
    is_events_ping = payload.get("type") == _DISCORD_EVENTS_PING and "event" not in payload
    return Reply(status=204) if is_events_ping else None


def _event_grid(request: HookRequest, payload: Payload) -> Reply | None:
    """Answers the validation of Azure Event Grid's own schema with its code."""
    if request.all("aeg-event-type") != ["SubscriptionValidation"]:
        return None
    match payload.get(OTHER_BODY):
        case [{"data": {"validationCode": str(code)}}]:
            return json_reply({"validationResponse": code})
    return None


def _ping(request: HookRequest, _: Payload) -> Reply | None:
    """Accepts the ping of GitHub (and Gitea, Forgejo), and that of Bitbucket's server."""
    is_ping = request.all("x-github-event") == ["ping"]
    is_diagnostic = request.all("x-event-key") == ["diagnostics:ping"]
    return PING_RECEIVED if is_ping or is_diagnostic else None


_ANY_SENDER = (_slack, _event_grid, _ping)
_QUESTIONS: Mapping[str, tuple[Question, ...]] = {
    "slack": (_slack,),
    "discord": (_discord,),
    "github": (_ping,),
    "none": _ANY_SENDER,
    "token": _ANY_SENDER,
    "basic": _ANY_SENDER,
    "hmac": _ANY_SENDER,
}
