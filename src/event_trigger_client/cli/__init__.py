"""The command line of users: `event-trigger triggers list` and the like."""

import sys
from collections.abc import Sequence

_OF_THE_EXTRA = frozenset(
    {"httpx", "rich", "shtab", "standardwebhooks", "tomli_w", "typer", "yaml"}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; says what to install if something is missing."""
    try:
        from event_trigger_client.cli.command_line import run_command  # noqa: PLC0415 - takes Typer

        return run_command(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as error:
        if error.name not in _OF_THE_EXTRA:
            raise
        sys.stderr.write(
            f"This command needs the package {error.name}, which the extra cli brings:"
            " pip install 'event-trigger[cli]'\n"
        )
        return 1
