"""Sentences about 200 cron lines mean the lines, and are compared with cron-descriptor's."""

import json
from datetime import datetime, timedelta
from itertools import islice, product
from pathlib import Path

from cron_descriptor import Options, get_description

from event_trigger.triggers.schedule.words.cron import cron_words
from tests.support.sentences import YEAR, Meaning, read_ours, read_theirs
from tests.support.slow_schedules import cron_rule

CASES = json.loads((Path(__file__).parent / "cases" / "crontabs.json").read_text())
REAL = [one["cron"].replace("\t", " ") for one in CASES if not one["cron"].startswith("@")]
TIMES = (
    *("0 9", "*/5 *", "*/10 8-17", "0 */3", "15 8-18/2", "5,35 22-2", "0,30 9,12", "3-40/7 *"),
    *("*/20 1-5,20", "7 1/4"),
)
DAYS = (
    *("* * *", "1 * *", "1,15 * *", "1-7 * *", "*/5 * *", "L * *", "15W * *", "29-31 * *"),
    *("* * 1-5", "* * FRI-MON", "* * 5L", "* * 1#2", "* * 1/2", "13 * 5", "*/2 * 1"),
    *("1,L * *", "31 1,3 *", "* 6-8 *", "1 */3 1", "* NOV-FEB 0,6", "1-31 * 1"),
)
MADE = [f"{times} {days}" for times, days in product(TIMES, DAYS)][::-1]
LINES = [*REAL, *islice(dict.fromkeys(MADE), 200 - len(REAL))]


DIFFERENCES = {  # of cron-descriptor's sentences, by the fields of days
    "*/2 * 1": "a day must match both fields, since one begins with *: cron(8)",
    "1-7 * 6-7": "either field is enough: cron(8)",
    "8-14 * 1-5": "either field is enough: cron(8)",
    "13 * 5L": "either field is enough: cron(8)",
    "1,L * *": "L of a list is repeated as a letter",
    "*/100,1-7 * MON": "a list with a step repeats the step as a day",
    "* * 1#1,3#3": "several places are left out",
    "* * 1/2": "it does not say from which weekday on",
}


def meaning_of(line: str) -> Meaning:
    rule, midnight = cron_rule(line), datetime(2028, 1, 1)  # noqa: DTZ001 - a local time
    times = (one for one in range(1440) if rule.at(midnight + timedelta(minutes=one)))
    return Meaning(frozenset(times), frozenset(day for day in YEAR if rule.on(day)))


def test_sentences_of_200_lines_mean_the_lines() -> None:
    assert len(LINES) == 200
    for line in LINES:
        sentence = cron_words((line,))

        assert read_ours(sentence) == meaning_of(line), (line, sentence)


def test_sentences_of_cron_descriptor_mean_the_same_but_for_judged_differences() -> None:
    options = Options()
    options.use_24hour_time_format = options.day_of_week_start_index_zero = True

    differing = {
        " ".join(line.split()[2:])
        for line in LINES
        if read_theirs(get_description(line, options)) != read_ours(cron_words((line,)))
    }

    assert differing == DIFFERENCES.keys()
