"""Logs as a service writes them: structlog's default draws tracebacks for seconds each."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def plain_logs() -> Iterator[None]:
    """Plain tracebacks; afterwards logging is as it was, whatever was configured meanwhile."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    context = structlog.contextvars.merge_contextvars
    structlog.configure(processors=[context, structlog.processors.add_log_level, renderer])
    try:
        yield
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
