"""Collects measurements by name, and prints tables and limits.

Whatever is measured may fail: the failure costs its own row, which says why.
"""

import asyncio
import statistics
import traceback
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

WITHIN = 240.0  # seconds for one measurement
T = TypeVar("T")
S = TypeVar("S")


class Rounds(Generic[T]):
    """Takes the medians of repeated measurements, and remembers why a measurement failed."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self._found: dict[str, list[T]] = {}

    def add(self, name: str, found: T | None) -> None:
        """Adds a number or a named tuple of numbers; None stands for a failure."""
        if found is not None:
            self._found.setdefault(name, []).append(found)

    async def take(self, name: str, measuring: Awaitable[T], *, within: float = WITHIN) -> None:
        """Adds what is measured, or keeps the reason of the failure."""
        self.add(name, await self.attempt(name, measuring, within=within))

    async def attempt(self, name: str, work: Awaitable[S], *, within: float = WITHIN) -> S | None:
        """Returns a result, or None after keeping the reason of the failure."""
        limit = asyncio.timeout(within)
        try:
            async with limit:
                return await work
        except Exception as error:
            traceback.print_exc()
            reason = f"no end within {within:g} s" if limit.expired() else repr(error)
            self.failed[name] = " ".join(reason.split())[:100]
            return None

    def medians(self) -> dict[str, T]:
        return {name: _median(found) for name, found in self._found.items()}


def _median(found: Sequence[Any]) -> Any:
    """Returns the median of numbers, or of each field of tuples of numbers."""
    if isinstance(found[0], tuple):
        return type(found[0])(*map(statistics.median, zip(*found, strict=True)))
    return statistics.median(found)


def table(
    title: str,
    heads: Sequence[str],
    rows: Mapping[str, Iterable[str]],
    failed: Mapping[str, str] | None = None,
) -> list[str]:
    """Lays out named rows of cells, the cells to the right; failed rows say why at the end."""
    body = {name: [*cells] for name, cells in rows.items()}
    first = max([len(title), *(len(name) + 2 for name in body)])
    columns = zip(heads, *body.values(), strict=True)
    widths = [2 + max(map(len, column)) for column in columns]
    return [
        title.ljust(first) + "".join(map(str.rjust, heads, widths)),
        *(f"  {n}".ljust(first) + "".join(map(str.rjust, c, widths)) for n, c in body.items()),
        *(f"  {name}: FAILED with {why}" for name, why in (failed or {}).items()),
    ]


def at_least(what: str, measured: float | None, limit: float, unit: str = "") -> str:
    holds = measured is not None and measured >= limit
    return _limit(f"{what} ≥ {limit:,g}{unit}", measured, unit, holds=holds)


def at_most(what: str, measured: float | None, limit: float, unit: str = "") -> str:
    holds = measured is not None and measured <= limit
    return _limit(f"{what} ≤ {limit:,g}{unit}", measured, unit, holds=holds)


def ratio(measured: Any, base: Any, of: str | None = None) -> float | None:
    """Divides two numbers, or a field of two measurements; None if one of them is missing."""
    if measured is None or base is None:
        return None
    if of is None:
        return float(measured / base)
    return float(getattr(measured, of) / getattr(base, of))


def _limit(what: str, measured: float | None, unit: str, *, holds: bool) -> str:
    if measured is None:
        return f"  limit: {what}: MISSED, not measured"
    shown = f"{measured:,.0f}" if measured >= 100 else f"{measured:.3g}"
    return f"  limit: {what}: {'holds' if holds else 'MISSED'} with {shown}{unit}"
