"""Records changes that listening destinations are told of, in the transaction that makes them."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.models import NoticeKind, SubjectKind, shard_of

MOST_SUBJECTS = 10  # of one kind and project, told of one by one; more are told of together

_LIST_HEARD = text("""
    SELECT owner_id, user_id IS NOT NULL, hears FROM notice_listeners
    WHERE owner_id = ANY (CAST(:owner_ids AS bigint[])) OR user_id IS NOT NULL
""")
_INSERT_CHANGES = text("""
    INSERT INTO notice_changes
        (shard, owner_id, kind, subject_kind, subject_id, count, hops, details)
    SELECT CAST(:shard AS smallint), new.owner_id, new.kind, new.subject_kind, new.subject_id,
        new.count, new.hops, CAST(new.details AS json)
    FROM unnest(
        CAST(:owner_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:subject_kinds AS text[]),
        CAST(:subject_ids AS bigint[]), CAST(:counts AS bigint[]), CAST(:hops AS smallint[]),
        CAST(:details AS text[])
    ) AS new (owner_id, kind, subject_kind, subject_id, count, hops, details)
""")


class Subject(NamedTuple):
    """The thing that a change is about."""

    kind: SubjectKind
    id: int

    @property
    def path(self) -> str:
        """Returns the value of `subject` in a CloudEvent."""
        return f"{self.kind}s/{self.id}"


@dataclass(frozen=True, slots=True)
class Change:
    """One change in a project; `count` is the number of instants or deliveries, or 1.

    `details` are members of `wording.DETAILS`. `hops` are those of the event that it is about.
    """

    kind: NoticeKind
    owner_id: int
    subject: Subject
    count: int = 1
    hops: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)


async def record_changes(session: ReadSession, shard: int, changes: Sequence[Change]) -> None:
    """Records changes of projects of one shard; the commit makes them, and lets them be told of.

    It waits for no lock, so that firing may call it. Without a listening destination it stores
    nothing: that costs one statement on an index, and none without changes.
    """
    if not changes:
        return
    owner_ids = sorted({one.owner_id for one in changes})
    heard = (await session.execute(_LIST_HEARD, {"owner_ids": owner_ids})).all()
    wanted = merged(
        one
        for one in changes
        if any(
            (of_all or owner_id == one.owner_id) and one.kind in hears
            for owner_id, of_all, hears in heard
        )
    )
    if not wanted:
        return
    values = {
        "shard": shard,
        "owner_ids": [one.owner_id for one in wanted],
        "kinds": [one.kind for one in wanted],
        "subject_kinds": [one.subject.kind for one in wanted],
        "subject_ids": [one.subject.id for one in wanted],
        "counts": [one.count for one in wanted],
        "hops": [one.hops for one in wanted],
        "details": [json.dumps(dict(one.details)) for one in wanted],
    }
    await session.execute(_INSERT_CHANGES, values)


def merged(changes: Iterable[Change]) -> list[Change]:
    """Merges the changes of each kind and subject, and those of more than ten subjects."""
    by_kind: defaultdict[tuple[int, NoticeKind], dict[Subject, Change]]
    by_kind = defaultdict(dict)
    for one in changes:
        of_subjects = by_kind[one.owner_id, one.kind]
        before = of_subjects.pop(one.subject, None)
        of_subjects[one.subject] = one if before is None else _sum([before, one], one.subject)
    found: list[Change] = []
    for (owner_id, _), of_subjects in by_kind.items():
        some = [*of_subjects.values()]
        if len(some) > MOST_SUBJECTS:
            some = [_sum(some, Subject(SubjectKind.PROJECT, owner_id))]
        found += some
    return found


def _sum(changes: Sequence[Change], subject: Subject) -> Change:
    last = changes[-1]
    return Change(
        last.kind,
        last.owner_id,
        subject,
        sum(one.count for one in changes),
        max(one.hops for one in changes),
        {**last.details, **named_among(one.subject for one in changes if one.subject != subject)},
    )


def named_among(subjects: Iterable[Subject]) -> dict[str, Collection[str]]:
    """Returns the details that name the first subjects of changes that are told of together."""
    paths = [*dict.fromkeys(one.path for one in subjects)][:MOST_SUBJECTS]
    return {"subjects": paths} if paths else {}
