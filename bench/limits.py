"""Compares measured values with the limits that must hold."""


def at_least(what: str, measured: float, limit: float, unit: str = "") -> str:
    return _line(what, "≥", measured, limit, unit, holds=measured >= limit)


def at_most(what: str, measured: float, limit: float, unit: str = "") -> str:
    return _line(what, "≤", measured, limit, unit, holds=measured <= limit)


def _line(what: str, how: str, measured: float, limit: float, unit: str, *, holds: bool) -> str:
    said = "holds" if holds else "MISSED"
    return f"  limit: {what} {how} {limit:,g}{unit}: {said} with {_shown(measured)}{unit}"


def _shown(measured: float) -> str:
    return f"{measured:,.0f}" if measured >= 100 else f"{measured:.3g}"
