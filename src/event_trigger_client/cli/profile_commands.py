"""The commands that list and choose profiles."""

from typing import Annotated

from typer import Argument

from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.output import fields
from event_trigger_client.cli.run import Run

app = group("List and choose the services that you call.")


@command(app, "list")
def list_profiles(run: Run) -> None:
    """List the profiles, and which is the current one."""
    current = run.profiles.current
    rows = [
        {"name": one.name, "is_current": one.name == current, **one.as_table()}
        for one in run.profiles
    ]
    columns = fields("name", "is_current", "url", "email", "project", "key_id")
    run.output.list(rows, columns, named_by="name")


@command(app, "use")
def use_profile(
    run: Run, name: Annotated[str, Argument(help="A profile that `profiles list` shows.")]
) -> None:
    """Make a profile the current one."""
    run.profiles.use(name)
    run.say(f"Calls go to {run.profiles.get_one(name).url} from now on.")
