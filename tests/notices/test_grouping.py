"""Changes are told of by their subject, at most once in five minutes, and many at once together."""

from datetime import UTC, datetime, timedelta

from event_trigger.models import NoticeKind, SubjectKind
from event_trigger.notices.changes import MOST_SUBJECTS, Change, Subject, merged
from event_trigger.notices.grouping import Group, Topic, Waiting, choose

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPENED, MISSED = NoticeKind.DESTINATION_OPENED, NoticeKind.INSTANTS_MISSED
PROJECT = Subject(SubjectKind.PROJECT, 7)


def topic(number: int, kind: NoticeKind = OPENED) -> Topic:
    return Topic(7, kind, Subject(SubjectKind.DESTINATION, number))


def waiting(*topics: Topic, seconds: float = 1) -> list[Waiting]:
    return [Waiting(one, NOW - timedelta(seconds=seconds)) for one in topics]


def test_each_subject_is_told_of_by_itself() -> None:
    first, second = topic(1), topic(2)

    groups = choose(waiting(first, second), [], now=NOW)

    assert groups == [Group(first.subject, [first]), Group(second.subject, [second])]


def test_a_subject_waits_after_it_was_told_of_and_no_other_kind_or_project_does() -> None:
    known, other_kind = topic(1), topic(1, NoticeKind.DESTINATION_CLOSED)
    elsewhere = known._replace(owner_id=8)

    groups = choose(waiting(known, other_kind, elsewhere), [known], now=NOW)

    assert [one.topics for one in groups] == [[other_kind], [elsewhere]]


def test_more_than_ten_subjects_are_told_of_together() -> None:
    many = [topic(number) for number in range(MOST_SUBJECTS + 1)]

    assert choose(waiting(*many), [], now=NOW) == [Group(PROJECT, many)]
    assert len(choose(waiting(*many[1:]), [], now=NOW)) == MOST_SUBJECTS


def test_all_of_a_kind_wait_after_ten_subjects_or_the_project() -> None:
    known = [topic(number) for number in range(MOST_SUBJECTS)]
    of_project = Topic(7, OPENED, PROJECT)

    assert choose(waiting(topic(99)), known, now=NOW) == []
    assert choose(waiting(topic(99)), [of_project], now=NOW) == []


def test_missed_instants_are_collected_for_ten_seconds() -> None:
    missed = topic(1, MISSED)

    assert choose(waiting(missed, seconds=9), [], now=NOW) == []
    assert choose(waiting(missed, seconds=10), [], now=NOW) == [Group(missed.subject, [missed])]


def test_changes_are_merged_by_subject_and_beyond_ten_by_project() -> None:
    changes = [
        Change(MISSED, 7, Subject(SubjectKind.TRIGGER, number), 5, number) for number in (1, 1, 2)
    ]
    many = [Change(MISSED, 7, Subject(SubjectKind.TRIGGER, number), 5) for number in range(1000)]

    assert [(one.subject.id, one.count, one.hops) for one in merged(changes)] == [
        (1, 10, 1),
        (2, 5, 2),
    ]
    [together] = merged(many)
    assert (together.subject, together.count) == (PROJECT, 5000)
    assert together.details["subjects"] == [f"triggers/{number}" for number in range(10)]
