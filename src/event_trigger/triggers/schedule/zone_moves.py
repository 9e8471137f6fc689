"""What newer rules of a zone make of a trigger's plan: arithmetic, so that no local time is lost.

Local times go on where they were: what fired by the old rules does not fire again by the new ones,
though its instant is another now, and what has not fired still does.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from event_trigger.triggers.schedule.cron import parse_cron
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import Cron, latest_fire_between, next_fire_after

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_SAMPLED = timedelta(minutes=15)  # no two rules differ for less than that
_LONGEST_MOVE = timedelta(hours=3)  # by which unknown rules may have differed from these


class Standing(NamedTuple):
    """How far a trigger has come by its old plan; `next_fire_at` is None while it is paused."""

    in_force_after: datetime
    settled_until: datetime
    next_fire_at: datetime | None
    fired: int


class Move(NamedTuple):
    """The new plan: it begins later than `after`, perhaps earlier than what is settled."""

    after: datetime
    next_fire_at: datetime | None


def planned_by(plan: Plan, digest: str) -> Plan:
    """The same plan, by the rules of that digest; it must be one of a cron."""
    assert isinstance(plan.schedule, Cron)
    return plan._replace(schedule=plan.schedule._replace(rules=digest))


def first_difference(
    one: ZoneInfo, other: ZoneInfo, *, since: datetime, until: datetime
) -> datetime | None:
    """An instant near the beginning of the first time that two versions of a zone disagree about.

    A year takes some 40 ms.
    """
    at = since
    while at <= until:
        if at.astimezone(one).utcoffset() != at.astimezone(other).utcoffset():
            return at
        at += _SAMPLED
    return None


def moved_plan(old: Plan | None, new: Plan, at: Standing, *, past_differs: bool) -> Move | None:
    """The plan by the new rules, or None if it is the old one, instant by instant.

    `old` is None where nobody knows the old rules; `past_differs` says whether the rules differ in
    the time that is accounted for, so that it cannot be judged by the new ones.
    """
    usual = new.next_after(at.settled_until, fired=at.fired)
    if usual == at.next_fire_at and at.next_fire_at is not None and not past_differs:
        return None
    after = _nearest(new, at) if old is None else _go_on(old, new, at)
    if at.next_fire_at is None:
        after = max(after, at.settled_until)  # a pause is not caught up with
        return Move(after, None) if past_differs or after > at.settled_until else None
    following = new.next_after(after, fired=at.fired)
    if following == at.next_fire_at == usual and not past_differs:
        return None
    return Move(after, following)


def _go_on(old: Plan, new: Plan, at: Standing) -> datetime:
    """After which instant the new plan begins, so that local times go on.

    An expression that runs at least hourly goes by real time, as it does over daylight saving.
    """
    before, schedule = old.schedule, new.schedule
    assert isinstance(before, Cron)
    assert isinstance(schedule, Cron)
    crontab = parse_cron(schedule.expression, schedule.timezone, schedule.rules)
    last = latest_fire_between(
        before,
        after=max(at.in_force_after, at.settled_until - 2 * _DAY),  # no clock moves by as much
        until=at.settled_until,
    )
    if crontab.at_least_hourly or last is None:
        return at.settled_until
    wall = parse_cron(before.expression, before.timezone, before.rules).wall(last)
    again = crontab.first_pass(wall)
    first = next_fire_after(schedule, again)
    if first is not None and first <= at.settled_until:
        return again  # a local time that has not come by the old rules is past by the new ones
    return max(again, at.settled_until)


def _nearest(new: Plan, at: Standing) -> datetime:
    """As `_go_on`, where only the planned instant is known: it stands for the one nearest to it."""
    planned = at.next_fire_at
    if planned is None:
        return at.settled_until
    around = (
        latest_fire_between(new.schedule, after=planned - _LONGEST_MOVE, until=planned),
        next_fire_after(new.schedule, planned),
    )
    near = [one for one in around if one is not None and abs(one - planned) <= _LONGEST_MOVE]
    if not near:
        return at.settled_until
    nearest = min(near, key=lambda one: abs(one - planned))
    if nearest <= at.settled_until:
        return nearest - _MICROSECOND
    return max(at.settled_until, nearest - _MICROSECOND)
