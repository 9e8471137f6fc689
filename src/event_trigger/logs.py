"""Structured logs: one line an occurrence, readable on a terminal, JSON elsewhere, no secrets."""

import logging
import sys
from dataclasses import dataclass
from io import StringIO
from typing import TextIO

import structlog
from structlog.typing import WrappedLogger

from event_trigger.config import LogFormat, LogLevel

_LEVELS = {level: getattr(logging, level.name) for level in LogLevel}


def configure_logs(log_format: LogFormat | None, level: LogLevel) -> None:
    """Sends structlog's and the libraries' records to stderr in one format.

    Exceptions are rendered without local variables, which may hold secrets.
    """
    chosen = log_format or (LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(chosen),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=_LEVELS[level], force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _renderers(log_format: LogFormat) -> list[structlog.typing.Processor]:
    if log_format is LogFormat.CONSOLE:
        return [_escaped, structlog.dev.ConsoleRenderer(exception_formatter=_indented_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _escaped(
    _logger: WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escapes what a stranger could write to move the cursor, hide text or begin a line.

    JSON is ASCII without control characters by itself.
    """
    said = _visible(str(event.pop("event", "")))
    shown = {_visible(name): _shown(value) for name, value in event.items()}
    return {**shown, "event": said}


def _shown(value: object) -> object:
    """What the renderer draws by its `repr`, which escapes, it is given as something to draw."""
    return _Drawn(value) if isinstance(value, str) and not value.isprintable() else value


@dataclass(frozen=True, slots=True)
class _Drawn:
    text: str

    def __repr__(self) -> str:
        return repr(self.text)


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _indented_traceback(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Draws a plain traceback of which no line can be taken for a line of the log."""
    drawn = StringIO()
    structlog.dev.plain_traceback(drawn, exc_info)
    lines = drawn.getvalue().split("\n")
    out.write("\n".join(f"    {_visible(line)}" for line in lines))
