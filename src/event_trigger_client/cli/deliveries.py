"""The commands on deliveries."""

from typing import Annotated, Any

from typer import Argument, Option

from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.filters import Since, Until, given
from event_trigger_client.cli.output import fields
from event_trigger_client.cli.run import Run, id_of, name_of
from event_trigger_client.cli.triggers import Limit

app = group("List, send again and cancel deliveries.")

Ids = Annotated[list[str] | None, Argument(help="Ids of deliveries.", metavar="[DELIVERY...]")]
Status = Annotated[
    list[str] | None, Option(help="pending, retrying, delivered or exhausted; may be repeated.")
]
Event = Annotated[int | None, Option("--event", help="Of this event.")]
Trigger = Annotated[str | None, Option("--trigger", "-t", help="Of this trigger: key or id.")]
Destination = Annotated[
    str | None, Option("--destination", "-d", help="To this destination: key or id.")
]
Error = Annotated[str | None, Option(help="Ended with this kind of error.")]
DryRun = Annotated[bool, Option("--dry-run", help="Only count what would be changed.")]

_LISTED = fields("id", "event_id", "destination_id", "status", "attempt_count", "error")
_SHOWN = [
    *fields("id", "event_id", "notice_id", "trigger_id", "destination_id", "status"),
    *fields("attempt_count", "error", "queued_at", "next_attempt_at", "finished_at"),
]
_ATTEMPTS = fields("number", "attempted_at", "status_code", "duration_ms", "error", "reason")
_RESULT = fields("matched", "changed")


@command(app, "list")
def list_deliveries(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    status: Status = None,
    event: Event = None,
    trigger: Trigger = None,
    destination: Destination = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
) -> None:
    """List deliveries, newest first."""
    filters = _filters(
        run, trigger, destination,
        status=status, event_id=event, error=error, since=since, until=until,
    )  # fmt: skip
    rows = run.client.deliveries.list(**filters, limit=min(limit or 1000, 1000))
    run.output.list(run.at_most(rows, limit), _LISTED, named_by="id")


@command(app, "get")
def get(run: Run, delivery: Annotated[str, Argument(help="The id of a delivery.")]) -> None:
    """Show a delivery with its attempts."""
    found = run.client.deliveries.get(id_of(delivery))
    run.output.one(found, _SHOWN, [(found["attempts"], _ATTEMPTS)], named_by="id")


@command(app, "redeliver")
def redeliver(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    deliveries: Ids = None,
    status: Status = None,
    event: Event = None,
    trigger: Trigger = None,
    destination: Destination = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
) -> None:
    """Send deliveries again: those named, or all that the options select."""
    filters = _filters(
        run, trigger, destination,
        status=status, event_id=event, error=error, since=since, until=until,
    )  # fmt: skip
    _act(run, "redeliver", deliveries, filters, dry_run=dry_run)


@command(app, "cancel")
def cancel(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    deliveries: Ids = None,
    status: Status = None,
    event: Event = None,
    trigger: Trigger = None,
    destination: Destination = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
) -> None:
    """Give deliveries up that are still due: those named, or all that the options select."""
    filters = _filters(
        run, trigger, destination,
        status=status, event_id=event, error=error, since=since, until=until,
    )  # fmt: skip
    _act(run, "cancel", deliveries, filters, dry_run=dry_run)


def _filters(
    run: Run, trigger: str | None, destination: str | None, **others: Any
) -> dict[str, Any]:
    if trigger is not None:
        others["trigger_id"] = run.client.triggers.id_of(name_of(trigger))
    if destination is not None:
        others["destination_id"] = run.client.destinations.id_of(name_of(destination))
    return given(**others)


def _act(
    run: Run, action: str, ids: list[str] | None, filters: dict[str, Any], *, dry_run: bool
) -> None:
    """Does it to each that is named, or in one transaction to all that are selected."""
    if bool(ids) == bool(filters):
        raise Failed(
            "Name deliveries by their ids, or select them with options such as"
            " --status exhausted; not both.",
            ExitCode.USAGE,
        )
    selected = {"filter": filters} if filters else {"ids": [id_of(one) for one in ids or ()]}
    result = run.client.deliveries.act(action, **selected, dry_run=dry_run)
    for one in result["failed"]:
        run.say(f"{one['id']}: {one['problem'].get('detail') or one['problem'].get('title')}")
    run.output.one(result, _RESULT, named_by="changed")
    if result["failed"]:
        code = ExitCode.PARTLY_DONE if result["changed"] else ExitCode.REFUSED
        raise Failed(f"{len(result['failed'])} of {result['matched']} failed.", code)
