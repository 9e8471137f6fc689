"""The command that tells whether everything is all right, for people and for probes."""

import sys
import time
from typing import Annotated, Any

from typer import Option

from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.output import Column, fields, write
from event_trigger_client.cli.run import Run

_GLANCE = fields(
    "verdict",
    "at",
    "triggers.active",
    "triggers.paused",
    "triggers.failing",
    "due.late",
    "due.next_at",
    "events.last_hour",
    "events.last_day",
    "deliveries.pending",
    "deliveries.retrying",
    "deliveries.exhausted",
)
_GLANCE.append(Column("unfired", lambda row: {one: n for one, n in row["unfired"].items() if n}))
_ATTENTION = fields("severity", "kind", "name:name|id", "count", "since", "detail")
_CLEAR = "\x1b[H\x1b[2J"


def status(
    run: Run,
    watch: Annotated[
        bool, Option("--watch", help="Show it again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[float, Option(min=1, help="Seconds between two looks of --watch.")] = 5,
) -> None:
    """Tell whether everything is all right; exit 8 if it is not, or cannot be told.

    All is right when everything due has fired, and nothing was missed, set aside or given up.
    """
    while True:
        overview = run.client.overview()
        _show(run, overview, is_watched=watch)
        if not watch:
            break
        time.sleep(every)
    if overview["verdict"] != "ok":
        raise Failed(f"The verdict is {overview['verdict']}.", ExitCode.NOT_OK)


def _show(run: Run, overview: Any, *, is_watched: bool) -> None:
    if is_watched and run.output.format is not Format.TABLE:
        run.output.next(overview, _GLANCE, named_by="verdict")
        return
    if is_watched and sys.stdout.isatty():
        write(_CLEAR)
    attention = [(overview["attention"], _ATTENTION)]
    run.output.one(overview, _GLANCE, attention, named_by="verdict")
