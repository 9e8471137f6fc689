"""The commands for files that are kept in git: plan, apply, export, import, schema."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.commands import command, group
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.output import write, write_line
from event_trigger_client.cli.run import Run
from event_trigger_client.cli.writing import harmless
from event_trigger_client.files.applying import Refused, apply_plan, plan_file
from event_trigger_client.files.crontab import read_crontab
from event_trigger_client.files.exporting import draft_of
from event_trigger_client.files.plans import (
    Line,
    Plan,
    counts_of,
    has_changes,
    hidden_plan,
    lines_of,
    secrets_in,
    warnings_in,
)
from event_trigger_client.files.problems import BadFile
from event_trigger_client.files.reading import SetFile, read_path, read_text
from event_trigger_client.files.shape import schema_text
from event_trigger_client.files.unowned import Lists, read_unowned

_STDIN = "-"
_COLOURS = {"+": "\x1b[32m", "~": "\x1b[33m", "-": "\x1b[31m", "=": "\x1b[36m", "!": "\x1b[36m"}
_PLAIN = "\x1b[0m"

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
    read = _read(run, file)
    with _telling_refusals(run):
        found = plan_file(run.client, read, prune=prune)
    _show(run, found, read)
    if exit_code and has_changes(found):
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
    read = _read(run, file)
    with _telling_refusals(run):
        found = plan_file(run.client, read, prune=prune)
    _show(run, found, read)
    if has_changes(found):
        _agree(found, yes=yes, removes=removes)
    with _telling_refusals(run):
        applied = apply_plan(run.client, read, found, prune=prune).plan
    if applied is None:
        run.say("The answer was lost. The plan was applied: a look has shown that nothing is left.")
        run.say("Secrets that it has made were in that answer, and can be made again.")
        return
    if has_changes(found):
        run.say(f"Applied {read.set_name}: {counts_of(found, is_done=True)}.")
    for warning in warnings_in(applied):
        run.say(f"Warning: {warning}")
    _show_secrets(run, applied, shows=show_secrets or sys.stdout.isatty())


def export(
    run: Run,
    set_name: Annotated[
        str | None, Option("--set", help="The set; without it, all that no set owns.")
    ] = None,
) -> None:
    """Write the file of what the service has, whose plan is empty.

    For example: event-trigger export --set billing > billing.yaml
    """
    client = run.client
    if set_name is not None:
        write(draft_of(set_name, client.sets.get(set_name)).text())
        return
    found = read_unowned(Lists(client.pages, lambda path: client.request("GET", path)))
    draft = draft_of("main", found.content)
    draft.notes.append("No set owns these members yet: choose the set's name, and apply the file.")
    if found.keyless:
        draft.last_notes = [
            "These have no key, so a file cannot name them. Give them one, and export again:",
            ", ".join(found.keyless),
        ]
    write(draft.text())


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
    file: Annotated[str, Argument(help="The crontab, or - for standard input.")] = _STDIN,
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
    text = asking.content_of(file).decode("utf-8", "replace")
    found = read_crontab(
        text,
        set_name=set_name,
        url_template=url_template,
        timezone=timezone,
        has_users=system,
    )
    write(found.draft.text())
    run.say(f"{found.triggers} jobs became triggers; {len(found.skipped)} lines did not:")
    for one in found.skipped:
        run.say(f"  {one}")


def schema(run: Run) -> None:  # noqa: ARG001 - every command has one
    """Print the JSON Schema of files, by which editors complete and check them."""
    write(schema_text())


def _read(run: Run, name: str) -> SetFile:
    try:
        if name == _STDIN:
            text = sys.stdin.read()
            return read_text(text, os.environ, folder=Path(), name="standard input")
        return read_path(Path(name), os.environ)
    except BadFile as error:
        for line in error.lines():
            run.say(line)
        raise Failed("Nothing was sent.", ExitCode.USAGE) from None


@contextmanager
def _telling_refusals(run: Run) -> Iterator[None]:
    """Writes each line of a refusal, and ends the command."""
    try:
        yield
    except Refused as error:
        for line in error.lines:
            run.say(line)
        raise Failed("Nothing was written.", ExitCode.REFUSED) from None


def _show(run: Run, plan: Plan, file: SetFile) -> None:
    if run.output.format is not Format.TABLE:
        run.output.one(hidden_plan(plan, file), [], named_by="digest")
        return
    _write_lines(lines_of(plan, file))
    if has_changes(plan):
        write_line(f"{file.set_name}: {counts_of(plan)}.")
    else:
        write_line(f"{file.set_name}: no changes, {plan['unchanged']} unchanged.")


def _write_lines(lines: Iterable[Line]) -> None:
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for sign, text in lines:
        line = f"{sign or ' ':<2}{'' if sign else '  '}{harmless(text)}"
        colour = _COLOURS.get(sign) if is_coloured else None
        write_line(line if colour is None else f"{colour}{line}{_PLAIN}")


def _agree(plan: Plan, *, yes: bool, removes: int | None) -> None:
    """Asks for a yes and, before most of a set is removed, for the number of what is removed."""
    count = len(plan["remove"])
    if removes not in (None, count):
        raise Failed(
            f"The plan removes {count} members, and --removes says {removes}. Nothing was written.",
            ExitCode.REFUSED,
        )
    if not plan["removes_most"] or removes == count:
        asking.agree("Apply this plan?", yes=yes)
        return
    whole = f"This plan removes {count} members, which is more than half of the set."
    if yes or not sys.stdin.isatty():
        raise Failed(
            f"{whole} Nothing was written. If that is what you want: --removes {count}",
            ExitCode.REFUSED,
        )
    if asking.text(f"{whole} Write the number to remove them", "--removes") != str(count):
        raise Failed("That is another number. Nothing was written.", ExitCode.REFUSED)


def _show_secrets(run: Run, plan: Plan, *, shows: bool) -> None:
    found = secrets_in(plan)
    if not found:
        return
    if not shows:
        run.say(
            f"New secrets and URLs ({len(found)}) are not printed without a terminal: write"
            " --show-secrets, or give secrets in the file, from the environment."
        )
        return
    run.say("These are shown once:")
    for member, name, secret in found:
        write_line(f"{member} {name}: {secret}")
