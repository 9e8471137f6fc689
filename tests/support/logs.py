"""Replaces structlog's default renderer, which takes seconds to draw a traceback."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from tests.support.secrets import secrets_in


@contextmanager
def plain_logs() -> Iterator[None]:
    """Renders plain tracebacks, fails when a line holds a secret, and then restores logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    context = structlog.contextvars.merge_contextvars
    found: list[str] = []

    def render(logger: Any, name: str, event: structlog.typing.EventDict) -> str:
        line = str(renderer(logger, name, event))
        found.extend(secrets_in(line))
        return line

    structlog.configure(processors=[context, structlog.processors.add_log_level, render])
    try:
        yield
        assert found == [], "a log holds a secret"
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
