"""Decides which changes are told of now, and which of them together; pure arithmetic."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from event_trigger.models import NoticeKind, SubjectKind
from event_trigger.notices.changes import MOST_SUBJECTS, Subject

TOLD_EVERY = timedelta(minutes=5)  # of one kind and subject, at most
# a storm of missed instants takes the dispatchers some seconds: it is one notice
_COLLECTED_FOR = {NoticeKind.INSTANTS_MISSED: timedelta(seconds=10)}


class Topic(NamedTuple):
    """The unit that limits notices: a kind of change of one subject, in one project."""

    owner_id: int
    kind: NoticeKind
    subject: Subject


class Waiting(NamedTuple):
    """A topic with changes that nobody was told of yet, the first at `since`."""

    topic: Topic
    since: datetime


class Group(NamedTuple):
    """Topics of one kind and project that one notice tells of, as of one `subject`."""

    subject: Subject
    topics: Sequence[Topic]


def choose(waiting: Iterable[Waiting], told: Iterable[Topic], *, now: datetime) -> list[Group]:
    """Chooses the topics to tell of; `told` are those of the last five minutes.

    1. Leaves out a topic that was told of within five minutes, or all of a kind and project if
       these were ten subjects or the project as a whole.
    2. Leaves out kinds whose changes are still collected.
    3. Puts more than ten subjects together, as changes of the project.
    """
    told_by_kind: defaultdict[tuple[int, NoticeKind], set[Subject]] = defaultdict(set)
    for one in told:
        told_by_kind[one.owner_id, one.kind].add(one.subject)
    by_kind: defaultdict[tuple[int, NoticeKind], list[Waiting]] = defaultdict(list)
    for each in waiting:
        by_kind[each.topic.owner_id, each.topic.kind].append(each)
    groups: list[Group] = []
    for (owner_id, kind), several in by_kind.items():
        before, project = told_by_kind[owner_id, kind], Subject(SubjectKind.PROJECT, owner_id)
        if len(before) >= MOST_SUBJECTS or project in before:
            continue
        free = [one for one in several if one.topic.subject not in before]
        collected_for = _COLLECTED_FOR.get(kind, timedelta(0))
        if not free or now - min(one.since for one in free) < collected_for:
            continue
        topics = [one.topic for one in free]
        subjects = {one.subject for one in topics}
        if len(subjects) > MOST_SUBJECTS or project in subjects:
            groups.append(Group(project, topics))
        else:
            groups += [Group(one.subject, [one]) for one in topics]
    return groups
