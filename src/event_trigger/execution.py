"""Runs a command that has been parsed, and turns its errors into messages on stderr."""

import argparse
import gc
import os
import select
import sys

import structlog
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from event_trigger.bootstrap import SettingsError
from event_trigger.config import Settings
from event_trigger.db.backup import BackupError
from event_trigger.db.embedded.server import EmbeddedPostgresError
from event_trigger.db.engine import is_outage
from event_trigger.db.errors import describe_error, hint_for
from event_trigger.errors import Problem
from event_trigger.logs import configure_logs, release_lines
from event_trigger.misspelt_settings import misspelt_settings
from event_trigger.startup import CannotStart
from event_trigger.trace_export import why_not_traced

log = structlog.get_logger()

_WRITE = {  # instead of values that are of no use for a setting's type
    "bool_parsing": "write true or false",
    "float_parsing": "write a number",
    "int_parsing": "write a whole number",
    "time_delta_parsing": "write an ISO 8601 duration, such as PT90S, PT2H or P2D",
}


def execute(wanted: argparse.Namespace) -> int:
    """Returns the exit code: 0, or 1 after a message."""
    try:
        settings = Settings()
        is_start = wanted.command == "serve"
        configure_logs(settings.log_format, settings.log_level, hold=is_start)
        code = _run(wanted, settings)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _is_output_closed():
            return 141  # as a command that SIGPIPE ends
        message = _message_of(error)
        if message is None:
            raise
        print(message, file=sys.stderr)
        return 1
    return code


def _message_of(error: Exception) -> str | None:
    """Says what the operator can do about an error; None for a bug."""
    match error:
        case ValidationError():
            return "\n".join(f"{_setting(one['loc'])}: {_in_words(one)}" for one in error.errors())
        case Problem():
            return error.detail
        case OSError():  # the database's; a certificate that is not trusted is a ValueError, too
            pass
        case (
            SettingsError() | EmbeddedPostgresError() | BackupError() | CannotStart() | ValueError()
        ):
            return str(error)
    hint = hint_for(error)
    if hint is None and not is_outage(error):
        return None
    said = f"The database does not answer: {describe_error(error)}."
    return f"{said} {hint or 'Is DATABASE_URL right?'}"


def _run(wanted: argparse.Namespace, settings: Settings) -> int:
    """Imports only what the command needs: the HTTP application takes a second."""
    if wanted.command == "serve":
        for one in misspelt_settings():
            log.warning("unknown_setting", name=one.name, meant=one.meant)
        if (reason := why_not_traced()) is not None:
            log.warning("traces_off", reason=reason)
        from event_trigger.processes.server import serve  # noqa: PLC0415

        try:
            serve(settings, workers=wanted.workers, metrics_dir=wanted.metrics_dir)
        finally:
            release_lines()  # of a start that failed, above the message that says why
        return 0
    from event_trigger.commands import run  # noqa: PLC0415

    gc.enable()
    return run(wanted, settings)


def _in_words(wrong: ErrorDetails) -> str:
    """Says what to write instead of a value, which is never shown."""
    return _WRITE.get(wrong["type"]) or wrong["msg"].removeprefix("Value error, ")


def _is_output_closed() -> bool:
    """Tells whether nobody reads the output any more (`| head`), and then drops what is left."""
    poll, output = select.poll(), sys.stdout.fileno()
    poll.register(output, 0)
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def _setting(location: tuple[int | str, ...]) -> str:
    name = str(location[0]).upper() if location else "settings"
    return name if name in {"DATABASE_URL", "HOST", "PORT", "SETTINGS"} else f"EVENT_TRIGGER_{name}"
