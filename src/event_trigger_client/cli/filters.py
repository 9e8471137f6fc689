"""The options by which lists are filtered, and the parameters that they make."""

from collections.abc import Sequence
from typing import Annotated, Any

from typer import Option

from event_trigger_client.cli.run import Run, name_of
from event_trigger_client.cli.times import instant

Triggers = Annotated[
    list[str] | None, Option("--trigger", "-t", help="Of this trigger: its key or id.")
]
Since = Annotated[str | None, Option("--since", help="Not before: a time, or how long ago (2h).")]
Until = Annotated[str | None, Option("--until", help="Before: a time, or how long ago (2h).")]


def event_filters(run: Run, triggers: Sequence[str] | None, **others: Any) -> dict[str, Any]:
    """Writes filters of events as the API has them: times, and ids for keys."""
    filters = given(**others)
    if triggers:
        filters["trigger_id"] = [run.client.triggers.id_of(name_of(one)) for one in triggers]
    return filters


def given(**filters: Any) -> dict[str, Any]:
    """Leaves out what is not given, and reads times."""
    for name in ("since", "until"):
        filters[name] = instant(filters.get(name))
    return {name: value for name, value in filters.items() if value not in (None, [], ())}
