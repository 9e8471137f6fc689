"""Does what the commands for files are asked for; loading it takes YAML, a validator and HTTP."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from event_trigger_client.cli import asking
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.output import write, write_line
from event_trigger_client.cli.run import Run
from event_trigger_client.cli.writing import harmless
from event_trigger_client.files.applying import Refused, apply_plan, plan_file
from event_trigger_client.files.crontab import Imported
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
from event_trigger_client.files.unowned import Lists, read_unowned

_STDIN = "-"
_COLOURS = {"+": "\x1b[32m", "~": "\x1b[33m", "-": "\x1b[31m", "=": "\x1b[36m", "!": "\x1b[36m"}
_PLAIN = "\x1b[0m"


def plan(run: Run, name: str, *, prune: bool) -> bool:
    """Shows the plan of a file, and tells whether there are changes."""
    read = _read(run, name)
    with _telling_refusals(run):
        found = plan_file(run.client, read, prune=prune)
    _show(run, found, read)
    return has_changes(found)


def apply(
    run: Run, name: str, *, prune: bool, yes: bool, removes: int | None, show_secrets: bool
) -> None:
    """Shows the plan of a file, asks, and applies that plan."""
    read = _read(run, name)
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


def export(run: Run, set_name: str | None) -> None:
    """Writes the file of a set, or of all members that no set owns."""
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


def show_imported(run: Run, found: Imported) -> None:
    """Writes the file, and tells people what became of each line."""
    write(found.draft.text())
    run.say(f"{found.triggers} jobs became triggers; {len(found.skipped)} lines did not:")
    for one in found.skipped:
        run.say(f"  {one}")


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
