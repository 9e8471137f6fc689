"""Ends loops of events that trigger themselves, by a count of hops in a request header.

Each delivery carries its event's hops plus one. A call stores the hops of its request with the
event that it makes. A call with ten hops is refused.
"""

import re
from collections.abc import Sequence

from event_trigger.errors import FieldError, Invalid, Problem

HOPS_HEADER = "x-event-trigger-hops"
MOST_HOPS = 10
_HOPS = re.compile(r"[0-9]{1,9}", re.ASCII)


class LoopDetected(Problem):
    """Answers 508; the transaction is committed, since it holds the trigger's warning."""

    status, slug, title = 508, "loop-detected", "Loop detected"
    default_detail = (
        f"{MOST_HOPS} deliveries have led to this call, one from another, so it is refused. Change"
        " the destinations that lead back here."
    )
    keeps_writes = True


def malformed_hops() -> Invalid:
    detail = "Write how many deliveries have led to this call, as a number, or leave it out."
    return Invalid(detail, errors=[FieldError("parameter", HOPS_HEADER, detail)])


def parse_hops(values: Sequence[str]) -> int:
    """Reads the header, which may be repeated: the largest number counts, and none means 0.

    Raises Invalid for a value that is not a number of one to nine digits.
    """
    if not values:
        return 0
    if not all(_HOPS.fullmatch(value) for value in values):
        raise malformed_hops()
    return min(MOST_HOPS, max(map(int, values)))


def refuse_loop(hops: int) -> None:
    """Raises LoopDetected for a call with ten hops."""
    if hops >= MOST_HOPS:
        raise LoopDetected
