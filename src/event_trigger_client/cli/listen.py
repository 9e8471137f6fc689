"""The command that sends events to a program on one's own machine, as deliveries would come."""

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Annotated, Any

from typer import Option

import event_trigger_client
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.filters import Triggers, event_filters
from event_trigger_client.cli.output import fields, write_line
from event_trigger_client.cli.run import Run, name_of
from event_trigger_client.cli.secrets_of import listening_secret
from event_trigger_client.cli.signature import signed

_TIMEOUT = 15.0  # seconds, the default of a destination
_SENT = fields("event_id", "trigger", "status_code", "duration_ms", "error")
_HIDDEN = "********"  # stands for values that the service does not show


def listen(
    run: Run,
    forward_to: Annotated[
        str | None, Option(help="Where to send them, such as http://localhost:3000/hook.")
    ] = None,
    trigger: Triggers = None,
    destination: Annotated[
        str | None, Option("--destination", "-d", help="Send as this destination is sent to.")
    ] = None,
    print_secret: Annotated[
        bool, Option("--print-secret", help="Print the secret that signs, and end.")
    ] = False,
) -> None:
    """Send events to a program on your own machine, until Ctrl-C.

    It gets the request that a delivery would be: CloudEvents, or as a destination is sent to.
    Nothing changes on the server, and nothing is sent twice. The signature is made with a secret
    of this machine, which stays the same: SECRET=$(event-trigger listen --print-secret)
    """
    if print_secret:
        write_line(listening_secret(run))
        return
    if forward_to is None:
        raise Failed("Write --forward-to http://localhost:3000/hook.", ExitCode.USAGE)
    url = check_url_to(forward_to)
    filters, secret = event_filters(run, trigger), listening_secret(run)
    asked = {"url": url}
    if destination is not None:
        asked["destination"] = name_of(destination)  # type: ignore[assignment]
    newest = next(iter(run.client.events.list(limit=1, view="summary")), None)
    after = 0 if newest is None else newest["id"]
    run.say(f"Events go to {url}. `event-trigger listen --print-secret` prints what signs them.")
    import httpx  # noqa: PLC0415 - 150 ms, which help need not spend

    with httpx.Client(timeout=_TIMEOUT, trust_env=False) as local:
        for event in run.client.events.follow(after=after, **filters):
            sent = _send(run.client, local, {**asked, "event_id": event["id"]}, secret)
            run.output.next({**_names(event), **sent}, _SENT, named_by="event_id")


def check_url_to(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise Failed(f"{url!r} is no URL. Write http://localhost:3000/hook.", ExitCode.USAGE)
    return url


def _names(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"event_id": event["id"], "trigger": event["trigger_key"] or event["trigger_id"]}


def _send(
    client: "event_trigger_client.Client", local: Any, asked: Mapping[str, Any], secret: str
) -> dict[str, Any]:
    """Has the service write the request, signs it, and sends it once; 2xx is success."""
    import httpx  # noqa: PLC0415

    request = client.request("POST", "/destinations/render", json=asked)
    begun = time.monotonic()
    try:
        answer = local.request(
            request["method"],
            request["url"],
            headers=_headers(request, secret),
            content=(request["body"] or "").encode(),
        )
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return {"status_code": None, "duration_ms": None, "error": type(error).__name__}
    taken = round((time.monotonic() - begun) * 1000, 1)
    error_ = None if answer.is_success else "status"
    return {"status_code": answer.status_code, "duration_ms": taken, "error": error_}


def _headers(request: Mapping[str, Any], secret: str) -> dict[str, str]:
    """Signs the request, and leaves out values that are not shown."""
    headers = {name: value for name, value in request["headers"].items() if value != _HIDDEN}
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), timezone.utc)
    return headers | signed(secret, headers["webhook-id"], request["body"] or "", at)
