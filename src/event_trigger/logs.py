"""Configures structured logs: one line per event, readable on a terminal, JSON elsewhere."""

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from logging.handlers import MemoryHandler
from typing import TextIO

import structlog
from structlog.typing import WrappedLogger

from event_trigger.config import LogFormat, LogLevel
from event_trigger.request_log import RequestLogHandler
from event_trigger.tracing import TRACING, current_ids

_LEVELS = {level: getattr(logging, level.name) for level in LogLevel}
_HOOK_PATH = re.compile(r"/hooks/(?=.)", re.DOTALL | re.IGNORECASE)
_MOST_HELD = 1000  # lines of a start


def configure_logs(log_format: LogFormat | None, level: LogLevel, *, hold: bool = False) -> None:
    """Sends the records of structlog and of libraries to stderr in one format.

    Tracebacks are rendered without local variables, which may hold secrets. With `hold` the lines
    wait until `release_lines` is called, so that a start can write its own line first.
    """
    chosen = log_format or (LogFormat.CONSOLE if sys.stderr.isatty() else LogFormat.JSON)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace,
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
    handler = _handler(chosen)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(chosen),
            ],
        )
    )
    first: logging.Handler = _HeldLines(handler) if hold else handler
    logging.basicConfig(handlers=[first], level=_LEVELS[level], force=True)
    for name in ("apscheduler", "python_multipart"):  # the latter warns of strangers' bodies
        logging.getLogger(name).setLevel(logging.ERROR)
    # what these do has lines of ours; the pool writes for each connection that it gives up
    for name in ("alembic", "uvicorn", "event_trigger.db.pool"):
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[level]))


class _HeldLines(MemoryHandler):
    """Holds all lines until an error is one of them, they are too many, or the process ends.

    A thread may still have found this handler when the lines are released.
    """

    def __init__(self, held_for: logging.Handler) -> None:
        super().__init__(_MOST_HELD, flushLevel=logging.ERROR, target=held_for)

    def emit(self, record: logging.LogRecord) -> None:
        if self in logging.root.handlers or self.target is None:
            super().emit(record)
        else:
            self.target.handle(record)

    def flush(self) -> None:
        """Writes the held lines in their order; later records take the way without this handler."""
        self.acquire()
        try:
            if self.target is not None and self in logging.root.handlers:
                logging.root.handlers = [self.target]
            super().flush()
        finally:
            self.release()


def release_lines(write_first: Callable[[], None] | None = None) -> None:
    """Writes the lines that are held, if any are, after the one that `write_first` logs."""
    held = [one for one in logging.root.handlers if isinstance(one, _HeldLines)]
    for one in held:
        assert one.target is not None
        logging.root.handlers = [one.target]
    if write_first is not None:
        write_first()
    for one in held:
        one.flush()


def _handler(log_format: LogFormat) -> logging.StreamHandler[TextIO]:
    is_json = log_format is LogFormat.JSON
    return RequestLogHandler(sys.stderr) if is_json else logging.StreamHandler(sys.stderr)


def _renderers(log_format: LogFormat) -> list[structlog.typing.Processor]:
    if log_format is LogFormat.CONSOLE:
        return [
            _escape_event,
            structlog.dev.ConsoleRenderer(exception_formatter=_indented_traceback),
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _add_trace(
    _logger: WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if TRACING.tracer is not None and "trace_id" not in event:
        event.update(current_ids())
    return event


def _escape_event(
    _logger: WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escapes control characters, with which a request could move the cursor or forge a line.

    JSON needs no such step: it is written in ASCII without control characters.
    """
    name = _escape_text(str(event.pop("event", "")))
    fields = {_escape_text(name): _escape_value(value) for name, value in event.items()}
    return {**fields, "event": name}


def _escape_value(value: object) -> object:
    """Wraps an unprintable text, because the renderer prints other objects by `repr`."""
    return _Escaped(value) if isinstance(value, str) and not value.isprintable() else value


@dataclass(frozen=True, slots=True)
class _Escaped:
    text: str

    def __repr__(self) -> str:
        return repr(self.text)


def _escape_text(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _indented_traceback(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Writes an indented traceback, so that none of its lines looks like a line of the log."""
    traceback = StringIO()
    structlog.dev.plain_traceback(traceback, exc_info)
    lines = traceback.getvalue().split("\n")
    out.write("\n".join(f"    {_escape_text(line)}" for line in lines))


def loggable(path: str) -> str:
    """Returns a path with `…` after `/hooks/`: a hook's token is enough to fire its trigger."""
    if "/hooks/" not in path.casefold():  # which is much quicker to find out
        return path
    found = _HOOK_PATH.search(path)
    return path if found is None else f"{path[: found.end()]}…"
