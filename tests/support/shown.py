"""Compares what a document shows with what was printed, and learns the values that vary."""

import re
from collections.abc import Iterator, Sequence

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
_VARIES = (
    (re.compile(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), _TIME),  # others are not of now
    (re.compile(r"whsec_[A-Za-z0-9+/]{43}="), r"whsec_[A-Za-z0-9+/]{43}="),
    (re.compile(r"etk_[\w-]{20,}"), r"etk_[\w-]{20,}"),
    (re.compile(r"(?<=/hooks/)[\w-]{43}"), r"[\w-]{43}"),
    (re.compile(r"(?<=/accept#)[\w-]{43}"), r"[\w-]{43}"),
    (re.compile(r"\b[0-9a-f]{64}\b"), r"[0-9a-f]{64}"),
    (re.compile(r"\b[0-9a-f]{16}\b"), r"[0-9a-f]{16}"),
    (re.compile(r"(?<=Password   )\w{16}"), r"\S{16}"),
    (re.compile(r"(?:localhost|127\.0\.0\.1):8000"), r"(?:localhost|127\.0\.0\.1):\d+"),
    (re.compile(r"(?<=PostgreSQL )[\d.]+"), r"[\d.]+"),
    (re.compile(r"(?<=revision )\d+"), r"\d+"),
    (re.compile(r'(?<="(?:planned|pending)":)\d+'), r"\d+"),
    (re.compile(r'(?<="(?:fired|count)":)\d+'), r"[1-9]\d*"),
    (re.compile(r"\d+(?= (?:planned instants|fired|pending|coalesced))"), r"\d+"),
    (re.compile("…"), r".*"),
)


class Differs(AssertionError):
    """A document shows something else than was printed."""


def learned(shown: Sequence[str], printed: Sequence[str]) -> dict[str, str]:
    """Gives the value that was printed for each shown one that varies (a time, a secret, a port).

    All else must be the same, line by line; a line that is only `…` stands for all that follow.
    Raises Differs.
    """
    found: dict[str, str] = {}
    while shown and not shown[-1].strip():
        shown = shown[:-1]  # neither of them has the empty lines at the end
    for number, line in enumerate(shown):
        if line == "…":
            return found
        if number >= len(printed):
            raise Differs(f"not printed: {line!r}\nafter: {list(printed)}")
        pattern, values = _pattern_of(line.rstrip())
        if (match := re.fullmatch(pattern, printed[number].rstrip())) is None:
            raise Differs(f"shown:   {line!r}\nprinted: {printed[number]!r}\nall: {list(printed)}")
        found |= {
            value: given
            for value, given in zip(values, match.groups(), strict=True)
            if value != "…" and not value.isdigit()
        }
    if extra := printed[len(shown) :]:
        raise Differs(f"not shown: {list(extra)}")
    return found


def _pattern_of(line: str) -> tuple[str, list[str]]:
    """A regular expression with a group for each value that varies, and these values."""
    parts, values, at = [], [], 0
    for first, last, varies in _found_in(line):
        parts += [re.escape(line[at:first]), f"({varies})"]
        values.append(line[first:last])
        at = last
    return "".join([*parts, re.escape(line[at:])]), values


def _found_in(line: str) -> Iterator[tuple[int, int, str]]:
    found = sorted(
        (match.start(), match.end(), varies)
        for sought, varies in _VARIES
        for match in sought.finditer(line)
    )
    at = 0
    for first, last, varies in found:
        if first >= at:
            yield first, last, varies
            at = last
