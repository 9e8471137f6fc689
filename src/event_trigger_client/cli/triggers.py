"""The commands on triggers."""

from typing import Annotated, Any

from typer import Argument, Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.editing import change
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.output import fields
from event_trigger_client.cli.run import Run, check_header, name_of
from event_trigger_client.cli.schedule import Count, show_instants
from event_trigger_client.cli.schedule_options import (
    At,
    CatchUp,
    Crons,
    Every,
    MaxFires,
    RRule,
    Until,
    Zone,
    details_of,
)
from event_trigger_client.cli.times import instant

app = group("List, create, change, fire and explain triggers.")

Trigger = Annotated[str, Argument(help="The key or the id of a trigger.", metavar="TRIGGER")]
Some = Annotated[list[str], Argument(help="Keys or ids of triggers.", metavar="TRIGGER...")]
Payload = Annotated[
    str | None, Option("--payload", help="A JSON object, @FILE, or - for standard input.")
]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, Option("--limit", min=0, help="So many at most; 0 is all.")]

_LISTED = fields(
    "id", "key:key|name", "type", "schedule:words", "status", "next_fire_at", "fire_count"
)
_SHOWN = [
    *fields("id", "key", "name", "type", "status", "words", "next_fire_at", "last_fired_at"),
    *fields("fire_count", "payload", "tags", "destinations", "details", "error"),
    *fields("hook_url", "hook_secret"),
]
_NAMED_BY = "key|id"


@command(app, "list")
def list_triggers(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    type_: Annotated[str | None, Option("--type", help="scheduled, api or heartbeat.")] = None,
    status: Annotated[str | None, Option(help="active, paused or completed.")] = None,
    tag: Annotated[list[str] | None, Option(help="Has this tag; several: all of them.")] = None,
    query: Annotated[str | None, Option("--query", "-q", help="Part of the name or key.")] = None,
    destination: Annotated[str | None, Option(help="Is sent to this destination.")] = None,
    failing: Annotated[bool, Option("--failing", help="Cannot fire.")] = False,
    sort: Annotated[
        str, Option(help="id, next_fire_at, last_fired_at or name; - in front.")
    ] = "-id",
    limit: Limit = 100,
) -> None:
    """List triggers, newest first."""
    filters: dict[str, Any] = {
        "type": type_,
        "status": status,
        "tag": tag,
        "q": query,
        "failing": failing or None,
        "sort": sort,
        "limit": min(limit or 1000, 1000),
    }
    if destination is not None:
        filters["destination_id"] = run.client.destinations.id_of(name_of(destination))
    rows = run.client.triggers.list(**filters)
    run.output.list(run.at_most(rows, limit), _LISTED, named_by=_NAMED_BY)


@command(app, "get")
def get(run: Run, trigger: Trigger) -> None:
    """Show a trigger."""
    run.output.one(run.client.triggers.get(name_of(trigger)), _SHOWN, named_by=_NAMED_BY)


@command(app, "create")
def create(  # noqa: PLR0913, PLR0917 - options
    run: Run,
    key: Annotated[str | None, Argument(help="A name of your own for it.")] = None,
    cron: Crons = None,
    every: Every = None,
    at: At = None,
    rrule: RRule = None,
    tz: Zone = None,
    until: Until = None,
    max_fires: MaxFires = None,
    catch_up: CatchUp = None,
    hook: Annotated[str | None, Option(help="Make a URL that fires it: none, github, …")] = None,
    name: Annotated[str | None, Option(help="A title.")] = None,
    payload: Payload = None,
    tag: Annotated[list[str] | None, Option(help="A tag; may be repeated.")] = None,
    destination: Annotated[list[str] | None, Option(help="Send its events there.")] = None,
    file: Annotated[
        str | None,
        Option("--file", "-f", metavar="FILE", help="All fields in YAML or JSON; - is stdin."),
    ] = None,
) -> None:
    """Create a trigger: one with a schedule, or else one that fires when it is called.

    For example: event-trigger triggers create report --cron "30 2 * * 1-5" --tz Europe/Berlin
    """
    details = details_of(
        cron=cron, every=every, at=at, rrule=rrule, tz=tz, until=until, max_fires=max_fires,
        catch_up=catch_up,
    )  # fmt: skip
    type_ = "scheduled" if details else "api"
    if hook is not None:
        details["hook"] = {"verify": hook}
    given = {
        "key": key,
        "name": name,
        "payload": None if payload is None else asking.json_object(payload, "--payload"),
        "tags": tag,
        "destinations": [name_of(one) for one in destination] if destination else None,
    }
    body: dict[str, Any] = (
        {"type": type_, "details": {}} if file is None else asking.yaml_object(file)
    )
    body |= {name: value for name, value in given.items() if value is not None}
    if details:
        body["type"] = body.get("type", type_) if file is not None else type_
        body["details"] = {**body.get("details", {}), **details}
    made = run.client.triggers.create(body)
    run.warn(made)
    run.output.one(made, _SHOWN, named_by=_NAMED_BY)


@command(app, "edit")
def edit(
    run: Run,
    trigger: Trigger,
    patch: Annotated[
        str | None, Option(metavar="FILE", help="Changed fields (JSON Merge Patch); - is stdin.")
    ] = None,
) -> None:
    """Change a trigger in your editor ($VISUAL, $EDITOR), or by a patch.

    It is refused if somebody else has changed the trigger since you opened it.
    """
    name = name_of(trigger)
    if patch is not None:
        changed = run.client.triggers.patch(name, asking.yaml_object(patch))
    else:
        changed = change(run, "triggers", run.client.triggers.id_of(name))
    run.warn(changed)
    run.output.one(changed, _SHOWN, named_by=_NAMED_BY)


@command(app, "pause")
def pause(run: Run, triggers: Some) -> None:
    """Keep triggers from firing."""
    rows = run.each(triggers, lambda one: run.client.triggers.pause(name_of(one)))
    run.output.list(rows, _LISTED, named_by=_NAMED_BY)


@command(app, "resume")
def resume(run: Run, triggers: Some) -> None:
    """Let paused triggers fire again."""

    def do(one: str) -> Any:
        resumed = run.client.triggers.resume(name_of(one))
        run.warn(resumed)
        return resumed

    run.output.list(run.each(triggers, do), _LISTED, named_by=_NAMED_BY)


@command(app, "delete")
def delete(run: Run, triggers: Some, yes: Yes = False) -> None:
    """Delete triggers; their events stay until they are purged."""
    asking.agree(f"Delete {', '.join(triggers)}?", yes=yes)

    def do(one: str) -> Any:
        run.client.triggers.delete(name_of(one))
        return {"deleted": one}

    run.output.list(run.each(triggers, do), fields("deleted"), named_by="deleted")


@command(app, "fire")
def fire(
    run: Run,
    trigger: Trigger,
    payload: Payload = None,
    idempotency_key: Annotated[
        str | None, Option(help="The same key fires once within 48 hours.")
    ] = None,
) -> None:
    """Fire a trigger; the payload is merged into its own."""
    _fire(run, trigger, payload, run.client.triggers.fire, idempotency_key)


@command(app, "test")
def make_test(run: Run, trigger: Trigger, payload: Payload = None) -> None:
    """Make a test event, also of a paused trigger."""
    _fire(run, trigger, payload, run.client.triggers.test, None)


@command(app, "next")
def next_instants(run: Run, trigger: Trigger, count: Count = 5) -> None:
    """Show when a trigger fires next."""
    show_instants(run, run.client.triggers.schedule(name_of(trigger), count=count))


@command(app, "explain")
def explain(
    run: Run,
    trigger: Trigger,
    at: Annotated[str, Argument(help="An instant, or how long ago: 2h.")],
) -> None:
    """Say why a trigger has, or has not, fired at an instant."""
    found = run.client.triggers.explain(name_of(trigger), instant(at) or at)
    columns = fields("outcome", "reason", "scheduled_for", "event_id", "lag_ms", "schedule.words")
    run.output.one(found, columns, named_by="outcome")


@command(app, "history")
def history(run: Run, trigger: Trigger) -> None:
    """Show the schedules of a trigger so far, and who changed what."""
    found = run.client.triggers.versions(name_of(trigger))
    schedules = fields("version", "words", "after", "until", "ended_by")
    changes = fields("at", "action", "actor", "user_id", "key_id")
    lists: Any = [(found["schedules"], schedules), (found["changes"], changes)]
    run.output.one(found, (), lists, named_by="schedules")


def _fire(run: Run, trigger: str, payload: str | None, call: Any, key: str | None) -> None:
    body = None if payload is None else asking.json_object(payload, "--payload")
    if key == "":
        raise Failed("--idempotency-key is empty. Write one, or leave it out.", ExitCode.USAGE)
    if key is not None:
        check_header(key, "--idempotency-key")
    fired = call(name_of(trigger), body, idempotency_key=key)
    shown = {"trigger": trigger, "event_id": fired.event_id, "is_replayed": fired.is_replayed}
    run.output.one(shown, fields("trigger", "event_id", "is_replayed"), named_by="event_id")
