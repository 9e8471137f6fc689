"""Writes the file of what a service has, so that its plan is empty."""

from collections.abc import Mapping
from typing import Any

from event_trigger_client.files.triggers import shortened
from event_trigger_client.files.variables import new_names
from event_trigger_client.files.writing import Draft, Member, Raw

STARS = "********"  # what the service shows instead of a secret
_ABOUT_SECRETS = (
    "Secrets are not shown. Signing secrets of destinations, secrets of hooks and private keys stay"
    " as they are while this file does not give them."
)


def draft_of(set_name: str, content: Mapping[str, Any]) -> Draft:
    """Makes the file of a set, as `GET /sets/{name}` shows it."""
    draft = Draft(set_name)
    hidden = [
        (key, header)
        for key, one in content["destinations"].items()
        for header, value in one.get("headers", {}).items()
        if value == STARS
    ]
    wanted = (f"{key} {header}" for key, header in hidden)
    names = dict(zip(hidden, new_names(*wanted), strict=True))
    for key, one in content["calendars"].items():
        draft.calendars[key] = Member(one)
    for key, one in content["destinations"].items():
        draft.destinations[key] = _destination(key, one, names)
    for key, one in content["triggers"].items():
        draft.triggers[key] = _trigger(one)
    if draft.destinations or any(one.comments for one in draft.triggers.values()):
        draft.notes.append(_ABOUT_SECRETS)
    if names:
        draft.notes.append(
            f"Values of headers come from the environment: {', '.join(names.values())}."
        )
    return draft


def _destination(
    key: str, shown: Mapping[str, Any], names: Mapping[tuple[str, str], str]
) -> Member:
    member = Member(dict(shown))
    headers = dict(shown.get("headers", {}))
    for header in headers:
        if (name := names.get((key, header))) is not None:
            headers[header] = Raw(f"${{{name}}}")
            member.comments.append(f"{name} is the value of {header}, which is not shown.")
    if headers:
        member.fields["headers"] = headers
    if "client_certificate" in shown:
        member.comments.append("What is shown of the client certificate keeps the stored one.")
    return member


def _trigger(shown: Mapping[str, Any]) -> Member:
    member = Member(shortened(shown))
    hook = shown.get("details", {}).get("hook") or {"verify": "none"}
    if hook["verify"] != "none":
        member.comments.append('The hook\'s secret stays; "secret" in its map would be another.')
    return member
