"""A line that may mean another thing than its author thinks has a sentence about that."""

from datetime import UTC, datetime

import pytest

from event_trigger.triggers.schedule.describe import cautions_of
from event_trigger.triggers.schedule.details import schedule_from

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def cautions(cron: str | list[str]) -> str:
    return " ".join(cautions_of(schedule_from({"cron": cron}, anchor=NOW)))


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("*/40 * * * *", "an interval of PT40M"),
        ("0/40 * * * *", "0/40 in the minute field begins again"),
        ("0-59/40 * * * *", "an interval of PT40M"),
        ("0 */5 * * *", "an interval of PT5H"),
        ("0 0/5 * * *", "an interval of PT5H"),
        ("0 0 1/2 * *", "an interval of P2D"),
        ("0 0 */2 * *", "an interval of P2D"),
        ("0 0 1 */5 *", "an interval of P5M with time and timezone"),
        ("0 0 * * */2", "an interval of P2D"),
        ("0 9 LW * 2", "names, such as MON-FRI"),
        ("0 9 15W * 2", "names, such as MON-FRI"),
        ("0 10 ? * 6L", "names, such as MON-FRI"),
        ("0 10 * * 2#1", "names, such as MON-FRI"),
        ("0 10 ? * 2-6", "names, such as MON-FRI"),
    ],
)
def test_an_uneven_step_and_weekdays_of_quartz_are_pointed_out(line: str, advice: str) -> None:
    assert advice in cautions(line)


@pytest.mark.parametrize(
    "line",
    [
        *("*/15 * * * *", "0 */6 * * *", "0 0 1 */3 *", "*/1 * * * *", "0 9 * * 1-5", "@daily"),
        *(
            "0 10 ? * MON-FRI",
            "0 10 * * FRIL",
            "0 10 L * ?",
            "7/40 * * * *",
            "0 0 * * TUE#1",
            "0 9 LW * TUE",
        ),
    ],
)
def test_a_plain_line_has_none(line: str) -> None:
    assert cautions(line) == ""


def test_lines_that_err_alike_have_one_sentence() -> None:
    assert cautions(["*/40 1 * * *", "*/40 2 * * *"]).count("PT40M") == 1
