"""The command that shows when a schedule fires."""

from typing import Annotated, Any

from typer import Argument, Option

from event_trigger_client.cli.output import fields
from event_trigger_client.cli.run import Run
from event_trigger_client.cli.schedule_options import At, Until, Zone, details_of, details_of_line

PREVIEW = fields("words", "timezone", "total")
INSTANTS = fields("at", "local", "note")
Count = Annotated[int, Option("--count", min=1, max=1000, help="How many instants to show.")]


def schedule(
    run: Run,
    line: Annotated[
        str, Argument(help="A cron line, an interval such as PT15M, or a recurrence rule.")
    ],
    tz: Zone = None,
    at: At = None,
    until: Until = None,
    count: Count = 5,
) -> None:
    """Show when a schedule fires, in words and instants. Nothing is stored.

    For example: event-trigger schedule "30 2 * * 1-5" --tz Europe/Berlin
    """
    details = details_of(at=at, tz=tz, until=until) | details_of_line(line)
    show_instants(run, run.client.triggers.preview(details, count=count))


def show_instants(run: Run, preview: Any) -> None:
    """Prints a sentence and the instants, of which `-o name` shows nothing but the time."""
    run.warn(preview)
    instants = preview["instants"]
    if run.output.format == "name":
        run.output.list(instants, INSTANTS, named_by="at")
    else:
        run.output.one(preview, PREVIEW, [(instants, INSTANTS)], named_by="words")
