"""The command line: what runs the service is here; what calls it is in `event_trigger_client`."""

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from event_trigger import __version__
from event_trigger_client.cli.catalogue import COMMANDS

_SHELLS = ("bash", "zsh", "fish")
_COMPLETION = "completion"  # both kinds of commands have one, and this one completes both


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, or 1 after a message on stderr, or 2 for wrong usage.

    Commands that call a service have more codes: `event_trigger_client.cli.exits`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS and given[0] != _COMPLETION:
        from event_trigger_client.cli import main as call  # noqa: PLC0415 - with a start of its own

        return call(given)
    parser = _parser()
    wanted = parser.parse_args(given)
    # imports leave no garbage, and looking for some takes a fifth of a start
    gc.disable()
    if wanted.command == _COMPLETION:
        from event_trigger.completion import completion_script  # noqa: PLC0415 - only this needs it

        sys.stdout.write(completion_script(_parser(lists_all=True), wanted.shell))
        return 0
    with _kind_of_numbers(wanted):
        _import_structlog()
        # help and wrong usage need none
        from event_trigger.execution import execute  # noqa: PLC0415

        try:
            return execute(wanted)
        finally:
            gc.enable()


@contextmanager
def _kind_of_numbers(wanted: argparse.Namespace) -> Iterator[None]:
    """Lets prometheus_client see, when it is imported, whether workers will keep numbers in files.

    Those of this process, which nobody reads, are in a folder of their own.
    """
    variable = "PROMETHEUS_MULTIPROC_DIR"
    wanted.metrics_dir = os.environ.pop(variable, None)
    if getattr(wanted, "workers", 1) == 1:
        yield
        return
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - help needs none

    with TemporaryDirectory(prefix="event-trigger-numbers-") as folder:
        os.environ[variable] = folder
        yield


def _import_structlog() -> None:
    """Hides rich from structlog, which would import it: a thirtieth of a start, unused by our logs.

    It is there with the extra `cli`, for commands that call a service.
    """
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]
        import structlog  # noqa: F401, PLC0415

        del sys.modules["rich"]


def _parser(*, lists_all: bool = False) -> argparse.ArgumentParser:
    """Builds the parser of the commands here; the others are in it by name only.

    `lists_all` has them in the list of commands, too, from which completions are written.
    """
    parser = argparse.ArgumentParser(
        prog="event-trigger",
        description="Event Trigger Platform: schedules and calls become events, exactly once.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_calling(),
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands that run the service"
    )
    serve_ = commands.add_parser("serve", help="run the service until it is stopped")
    serve_.add_argument(
        "--workers", type=_positive, default=1, help="number of processes (default: 1)"
    )
    migrate = commands.add_parser("migrate", help="migrate the database to this version")
    migrate.add_argument(
        "--back-to", metavar="REVISION", help="go back to an older version's revision instead"
    )
    distribute_ = commands.add_parser(
        "distribute", help="distribute the tables over a Citus cluster; can be repeated"
    )
    distribute_.add_argument(
        "--dry-run", action="store_true", help="print the statements without running them"
    )
    commands.add_parser("check", help="check the settings and the database")
    backup = commands.add_parser(
        "backup", help="write the database to a file with pg_dump, while the service runs"
    )
    backup.add_argument("file", type=Path)
    restore = commands.add_parser(
        "restore", help="restore a backup into an empty database with pg_restore"
    )
    restore.add_argument("file", type=Path)
    upgrade = commands.add_parser(
        "upgrade", help="upgrade the embedded data that an older PostgreSQL has made"
    )
    upgrade.add_argument(
        "--old-binaries",
        type=Path,
        metavar="FOLDER",
        help="the programs of the older PostgreSQL (default: where distributions have them)",
    )
    commands.add_parser(
        "verify",
        aliases=["audit"],
        help="reconcile every planned instant; exit 1 if one has no event and no reason",
    )
    commands.add_parser(
        "tzdata", help="list the triggers that newer time zone rules move or have moved"
    )
    commands.add_parser(
        "rotate-keys",
        help="re-encrypt the secrets of destinations and hooks with the current key",
    )
    completion = commands.add_parser(
        "completion", help="print the script by which a shell completes this command"
    )
    completion.add_argument("shell", choices=_SHELLS)
    user = commands.add_parser("user", help="manage user accounts").add_subparsers(
        dest="action", required=True
    )
    add = user.add_parser(
        "add", help="add a user; asks for the password, or reads it from standard input"
    )
    add.add_argument("email")
    add.add_argument("--admin", action="store_true", help="make an admin, who sees all users' data")
    for action, help_ in (
        ("disable", "disable a user and end the logins and keys; the triggers keep firing"),
        ("password", "change a user's password and end the logins"),
    ):
        user.add_parser(action, help=help_).add_argument("email")
    erase = user.add_parser(
        "erase", help="erase a user, with the projects that nobody else is in; asks before it does"
    )
    erase.add_argument("email")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    for name, entry in COMMANDS.items():
        if name != _COMPLETION:
            shown: dict[str, Any] = {"help": entry.help} if lists_all else {}
            commands.add_parser(name, add_help=False, **shown)
    return parser


def _calling() -> str:
    """Lists the commands that call a service."""
    lines = [
        f"  {name:<20}  {entry.help}" for name, entry in COMMANDS.items() if name != _COMPLETION
    ]
    return "\n".join(["commands that call a service:", *lines])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
