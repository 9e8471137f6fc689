"""Runs a command that has been parsed, and turns its errors into messages on stderr."""

import argparse
import gc
import sys

import structlog
from pydantic import ValidationError

from event_trigger.bootstrap import SettingsError
from event_trigger.config import Settings
from event_trigger.db.backup import BackupError
from event_trigger.db.embedded.server import EmbeddedPostgresError
from event_trigger.db.engine import is_outage
from event_trigger.db.errors import describe_error, hint_for
from event_trigger.errors import Problem
from event_trigger.logs import configure_logs
from event_trigger.misspelt_settings import misspelt_settings
from event_trigger.startup import CannotStart
from event_trigger.trace_export import why_not_traced

log = structlog.get_logger()


def execute(wanted: argparse.Namespace) -> int:
    """Returns the exit code: 0, or 1 after a message."""
    try:
        settings = Settings()
        configure_logs(settings.log_format, settings.log_level)
        return _run(wanted, settings)
    except ValidationError as error:
        return _fail("\n".join(f"{_setting(one['loc'])}: {one['msg']}" for one in error.errors()))
    except Problem as problem:
        return _fail(problem.detail)
    except (SettingsError, EmbeddedPostgresError, BackupError, CannotStart, ValueError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        hint = hint_for(error)
        if hint is None and not is_outage(error):
            raise
        message = f"The database does not answer: {describe_error(error)}."
        return _fail(f"{message} {hint or 'Is DATABASE_URL right?'}")


def _run(wanted: argparse.Namespace, settings: Settings) -> int:
    """Imports only what the command needs: the HTTP application takes a second."""
    if wanted.command == "serve":
        for one in misspelt_settings():
            log.warning("unknown_setting", name=one.name, meant=one.meant)
        if (reason := why_not_traced()) is not None:
            log.warning("traces_off", reason=reason)
        from event_trigger.server import serve  # noqa: PLC0415

        serve(settings, workers=wanted.workers, metrics_dir=wanted.metrics_dir)
        return 0
    from event_trigger.commands import run  # noqa: PLC0415

    gc.enable()
    return run(wanted, settings)


def _setting(location: tuple[int | str, ...]) -> str:
    name = str(location[0]).upper() if location else "settings"
    return name if name in {"DATABASE_URL", "HOST", "PORT", "SETTINGS"} else f"EVENT_TRIGGER_{name}"


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
