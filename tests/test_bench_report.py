import asyncio
from typing import NamedTuple

from bench.report import Rounds, at_least, at_most, ratio, table


class Cost(NamedTuple):
    per_second: float
    p99: float


async def worth(found: Cost) -> Cost:
    return found


async def failing() -> Cost:
    raise RuntimeError("began too late")


async def test_a_failure_costs_its_own_row_which_says_why() -> None:
    rounds = Rounds[Cost]()

    await rounds.take("late", failing())
    await rounds.take("ours", worth(Cost(800, 5)))
    lines = table("calls", ("/s", "p99"), {"ours": ("800", "5.0")}, rounds.failed)

    assert rounds.medians() == {"ours": Cost(800, 5)}
    assert lines == [
        "calls    /s  p99",
        "  ours  800  5.0",
        "  late: FAILED with RuntimeError('began too late')",
    ]


async def test_a_measurement_that_hangs_is_a_failure() -> None:
    rounds = Rounds[Cost]()

    await rounds.take("hangs", asyncio.Future(), within=0.01)

    assert rounds.failed == {"hangs": "no end within 0.01 s"}


async def test_the_medians_of_rounds_are_taken_field_by_field() -> None:
    rounds = Rounds[Cost]()

    for found in (Cost(100, 9), Cost(300, 2), Cost(200, 4)):
        await rounds.take("ours", worth(found))

    assert rounds.medians() == {"ours": Cost(200, 4)}


def test_a_limit_holds_at_its_value_and_is_missed_without_a_measurement() -> None:
    calls = ratio(Cost(800, 5), Cost(100, 20), "per_second")
    unknown = ratio(Cost(800, 5), None, "p99")

    assert at_least("calls", calls, 8, "×") == "  limit: calls ≥ 8×: holds with 8×"
    assert at_least("calls", calls, 9, "×") == "  limit: calls ≥ 9×: MISSED with 8×"
    assert at_most("p99", 0.5, 0.33) == "  limit: p99 ≤ 0.33: MISSED with 0.5"
    assert at_most("p99", unknown, 0.33, "×") == "  limit: p99 ≤ 0.33×: MISSED, not measured"
