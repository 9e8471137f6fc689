"""The commands on events."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.filters import Since, Triggers, Until, event_filters
from event_trigger_client.cli.output import fields, write_line
from event_trigger_client.cli.progress import counter
from event_trigger_client.cli.run import Run, id_of
from event_trigger_client.cli.triggers import Limit

app = group("Follow, list, replay and export events.")

Type = Annotated[str | None, Option("--type", help="scheduled, api or heartbeat.")]
Test = Annotated[bool | None, Option("--test/--no-test", help="Only test events, or none.")]

_LISTED = fields(
    "id", "trigger:trigger_key|trigger_id", "type", "triggered_at", "source:source.kind", "payload"
)
_SHOWN = fields(
    "id", "trigger_id", "trigger_key", "trigger_name", "type", "triggered_at", "scheduled_for",
    "state", "is_test", "replay_of", "source", "payload",
)  # fmt: skip


@command(app, "tail")
def tail(
    run: Run,
    trigger: Triggers = None,
    type_: Type = None,
    test: Test = None,
) -> None:
    """Print events as they are stored, until Ctrl-C. A lost connection is made again."""
    filters = event_filters(run, trigger, type=type_, is_test=test)
    for event in run.client.events.follow(**filters):
        run.output.next(event, _LISTED, named_by="id")


@command(app, "list")
def list_events(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    trigger: Triggers = None,
    type_: Type = None,
    state: Annotated[str | None, Option(help="active or archived.")] = None,
    test: Test = None,
    source: Annotated[str | None, Option(help="schedule, login, api_key, hook, replay.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
) -> None:
    """List events, newest first."""
    filters = event_filters(
        run, trigger, type=type_, state=state, is_test=test, source=source, since=since, until=until
    )
    rows = run.client.events.list(**filters, limit=min(limit or 1000, 1000))
    run.output.list(run.at_most(rows, limit), _LISTED, named_by="id")


@command(app, "get")
def get(run: Run, event: Annotated[str, Argument(help="The id of an event.")]) -> None:
    """Show an event."""
    run.output.one(run.client.events.get(id_of(event)), _SHOWN, named_by="id")


@command(app, "replay")
def replay(
    run: Run, events: Annotated[list[str], Argument(help="Ids of events.", metavar="EVENT...")]
) -> None:
    """Make new events with the same payloads; they are delivered as any other."""
    rows = run.each(events, lambda one: run.client.events.replay(id_of(one)))
    run.output.list(rows, _LISTED, named_by="id")


@command(app, "export")
def export(
    run: Run,
    format_: Annotated[str, Option("--format", help="ndjson or csv.")] = "ndjson",
    to: Annotated[
        Path | None, Option(metavar="FILE", help="A new file; else standard output.")
    ] = None,
    trigger: Triggers = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write all events, or those of some triggers or a time, as they are stored."""
    filters = event_filters(run, trigger, since=since, until=until)
    lines = run.client.events.export(format_, **filters)
    if to is None:
        for line in lines:
            write_line(line)
        return
    try:
        with to.open("x", encoding="utf-8") as file:
            count = sum(file.write(f"{line}\n") > 0 for line in counter(lines))
    except FileExistsError:
        raise Failed(f"{to} is there already. Name a new file.", ExitCode.USAGE) from None
    except OSError as error:
        raise Failed(f"{to} cannot be written: {error.strerror}.") from None
    run.say(f"{count} lines are in {to}.")
