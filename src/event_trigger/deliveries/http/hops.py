"""How many deliveries have led to a call, one from another: what ends events that feed themselves.

A delivery says one more than its event has, a call passes on what it was told to its event, and a
call that has been told ten is refused.
"""

import re
from collections.abc import Sequence

from event_trigger.errors import FieldError, Invalid, Problem

HOPS_HEADER = "x-event-trigger-hops"
MOST_HOPS = 10
_HOPS = re.compile(r"[0-9]{1,9}", re.ASCII)


class LoopDetected(Problem):
    """Answers 508, and keeps the note of it that the trigger's warning is made of."""

    status, slug, title = 508, "loop-detected", "Loop detected"
    default_detail = (
        f"{MOST_HOPS} deliveries have led to this call, one from another, so it is refused. Change"
        " the destinations that lead back here."
    )
    keeps_writes = True


def parse_hops(values: Sequence[str]) -> int:
    """Reads the header, however often it was sent: the largest counts, and no header is 0.

    Raises Invalid for what is no number of at most nine digits.
    """
    if not all(_HOPS.fullmatch(value) for value in values):
        detail = "Write how many deliveries have led to this call, as a number, or leave it out."
        raise Invalid(detail, errors=[FieldError("parameter", HOPS_HEADER, detail)])
    return min(MOST_HOPS, max(map(int, values), default=0))


def refuse_loop(hops: int) -> None:
    """Raises LoopDetected once ten deliveries have led to a call."""
    if hops >= MOST_HOPS:
        raise LoopDetected
