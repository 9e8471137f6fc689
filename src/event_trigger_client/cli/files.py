"""The commands for files that are kept in git: plan, apply, export, import, schema.

What they do is loaded when they run: help and completion need no YAML, no validator and no HTTP.
"""

from typing import Annotated

from typer import Argument, Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.output import write
from event_trigger_client.cli.run import Run

FileName = Annotated[str, Option("--file", "-f", help="The file, or - for standard input.")]
Prune = Annotated[
    bool, Option("--prune", help="Remove members of the set that the file does not have.")
]
import_app = group("write files from what other programs have")


def plan(
    run: Run,
    file: FileName,
    prune: Prune = False,
    exit_code: Annotated[
        bool, Option("--exit-code", help="Exit with 10 if there are changes.")
    ] = False,
) -> None:
    """Show what applying a file would change; nothing is written.

    For example: event-trigger plan -f schedules.yaml --prune
    """
    from event_trigger_client.cli import file_actions  # noqa: PLC0415

    if file_actions.plan(run, file, prune=prune) and exit_code:
        raise Failed("There are changes.", ExitCode.HAS_CHANGES)


def apply(
    run: Run,
    file: FileName,
    prune: Prune = False,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    removes: Annotated[
        int | None,
        Option(
            "--removes", min=0, help="How many members may be removed: needed for most of a set."
        ),
    ] = None,
    show_secrets: Annotated[
        bool, Option("--show-secrets", help="Print new secrets, also without a terminal.")
    ] = False,
) -> None:
    """Make the service as a file has it: all of it, or nothing.

    For example: event-trigger apply -f schedules.yaml --yes
    """
    from event_trigger_client.cli import file_actions  # noqa: PLC0415

    file_actions.apply(run, file, prune=prune, yes=yes, removes=removes, show_secrets=show_secrets)


def export(
    run: Run,
    set_name: Annotated[
        str | None, Option("--set", help="The set; without it, all that no set owns.")
    ] = None,
) -> None:
    """Write the file of what the service has, whose plan is empty.

    For example: event-trigger export --set billing > billing.yaml
    """
    from event_trigger_client.cli import file_actions  # noqa: PLC0415

    file_actions.export(run, set_name)


@command(import_app, "crontab")
def crontab(
    run: Run,
    url_template: Annotated[
        str,
        Option(
            "--url-template",
            help="The URL to call for a job, such as"
            " https://jobs.example.com/{{ event.trigger.key }}.",
        ),
    ],
    file: Annotated[str, Argument(help="The crontab, or - for standard input.")] = "-",
    set_name: Annotated[str, Option("--set", help="The name of the set.")] = "crontab",
    timezone: Annotated[
        str | None, Option("--timezone", "--tz", help="The zone of the crontab's machine.")
    ] = None,
    system: Annotated[
        bool, Option("--system", help="Each line names a user, as in /etc/crontab.")
    ] = False,
) -> None:
    """Write a file of triggers from a crontab, for review; nothing is sent.

    For example: crontab -l | event-trigger import crontab --url-template https://example.com/run
    """
    from event_trigger_client.cli import file_actions  # noqa: PLC0415
    from event_trigger_client.files.crontab import read_crontab  # noqa: PLC0415

    text = asking.content_of(file).decode("utf-8", "replace")
    found = read_crontab(
        text,
        set_name=set_name,
        url_template=url_template,
        timezone=timezone,
        has_users=system,
    )
    file_actions.show_imported(run, found)


def schema(run: Run) -> None:  # noqa: ARG001 - every command has one
    """Print the JSON Schema of files, by which editors complete and check them."""
    from event_trigger_client.files.shape import schema_text  # noqa: PLC0415

    write(schema_text())
