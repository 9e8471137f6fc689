"""Shows on a terminal how far long work has come; elsewhere, nothing is shown."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

One = TypeVar("One")

_MANY = 10  # fewer are done before somebody wonders


def bar(things: Sequence[One]) -> Iterable[One]:
    """Shows a bar while many things are taken."""
    if len(things) < _MANY or not sys.stderr.isatty():
        return things
    from rich.progress import BarColumn, TaskProgressColumn, TimeElapsedColumn  # noqa: PLC0415

    return _shown(things, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())


def counter(things: Iterable[One]) -> Iterable[One]:
    """Shows how many things have been taken, where nobody knows how many there are."""
    if not sys.stderr.isatty():
        return things
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    return _shown(things, SpinnerColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())


def _shown(things: Iterable[One], *columns: Any) -> Iterator[One]:
    from rich.console import Console  # noqa: PLC0415 - 60 ms, which few commands need
    from rich.progress import Progress  # noqa: PLC0415

    # what is found must not go where the bar is, unless both are the same terminal
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        yield from progress.track(things)
