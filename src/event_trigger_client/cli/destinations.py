"""The commands on destinations."""

import os
from typing import Annotated, Any

from typer import Argument, Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.output import fields
from event_trigger_client.cli.run import Run, name_of
from event_trigger_client.cli.triggers import Limit

app = group("List, create, test and rotate destinations.")

Destination = Annotated[
    str, Argument(help="The key or the id of a destination.", metavar="DESTINATION")
]
Some = Annotated[list[str], Argument(help="Keys or ids of destinations.", metavar="DESTINATION...")]

_LISTED = fields("id", "key", "url", "format", "status", "state", "disabled_reason")
_MADE = fields("id", "key", "url", "format", "method", "status", "secret")
_ATTEMPT = [
    *fields("attempted_at", "status_code", "duration_ms", "error", "reason", "location"),
    *fields("response"),
]
_SECRET = fields("secret", "previous_secret_until")
_NAMED_BY = "key|id"


@command(app, "list")
def list_destinations(
    run: Run,
    status: Annotated[str | None, Option(help="enabled or disabled.")] = None,
    state: Annotated[str | None, Option(help="closed, open or recovering.")] = None,
    limit: Limit = 100,
) -> None:
    """List destinations, newest first."""
    filters = {"status": status, "state": state, "limit": min(limit or 1000, 1000)}
    rows = run.client.destinations.list(**filters)
    run.output.list(run.at_most(rows, limit), _LISTED, named_by=_NAMED_BY)


@command(app, "create")
def create(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    to: Annotated[str | None, Argument(metavar="[URL]", help="Where events are sent to.")] = None,
    key: Annotated[str | None, Option(help="A name of your own for it.")] = None,
    format_: Annotated[
        str | None, Option("--format", help="cloudevents, cloudevents_binary, payload, template.")
    ] = None,
    template: Annotated[str | None, Option(metavar="FILE", help="The template (Liquid).")] = None,
    description: Annotated[str | None, Option(help="A sentence about it.")] = None,
    header_env: Annotated[
        list[str] | None,
        Option(help="NAME=VARIABLE: send a header whose value is in the environment."),
    ] = None,
    file: Annotated[
        str | None,
        Option("--file", "-f", metavar="FILE", help="All fields in YAML or JSON; - is stdin."),
    ] = None,
) -> None:
    """Create a destination. Its signing secret is in the answer."""
    given: dict[str, Any] = {
        "url": to,
        "key": key,
        "format": format_,
        "template": None if template is None else asking.content_of(template).decode(),
        "description": description,
        "headers": dict(_header(one) for one in header_env) if header_env else None,
    }
    body = {} if file is None else asking.yaml_object(file)
    body |= {name: value for name, value in given.items() if value is not None}
    if "url" not in body:
        raise Failed("Write the URL that events are sent to.", ExitCode.USAGE)
    made = run.client.destinations.create(**body)
    run.warn(made)
    run.output.one(made, _MADE, named_by=_NAMED_BY)


@command(app, "test")
def send_test(run: Run, destination: Destination) -> None:
    """Send a sample now, and show the attempt; exit 1 if it failed."""
    attempt = run.client.destinations.test(name_of(destination))
    run.output.one(attempt, _ATTEMPT, named_by="status_code")
    if attempt["error"] is not None:
        raise Failed(f"The sample was not accepted: {attempt['error']}.")


@command(app, "rotate")
def rotate(run: Run, destination: Destination) -> None:
    """Make a new signing secret; the old one signs too for 24 hours."""
    rotated = run.client.destinations.rotate(name_of(destination))
    run.warn(rotated)
    run.output.one(rotated, _SECRET, named_by="secret")


@command(app, "enable")
def enable(run: Run, destinations: Some) -> None:
    """Send to destinations again."""
    rows = run.each(destinations, lambda one: run.client.destinations.enable(name_of(one)))
    run.output.list(rows, _LISTED, named_by=_NAMED_BY)


@command(app, "disable")
def disable(run: Run, destinations: Some) -> None:
    """Stop sending to destinations; their deliveries wait."""
    rows = run.each(destinations, lambda one: run.client.destinations.disable(name_of(one)))
    run.output.list(rows, _LISTED, named_by=_NAMED_BY)


def _header(given: str) -> tuple[str, str]:
    name, _, variable = given.partition("=")
    value = os.environ.get(variable)
    if not name or not value:
        raise Failed(
            f"--header-env {given}: write NAME=VARIABLE, and set the variable.", ExitCode.USAGE
        )
    return name, value
