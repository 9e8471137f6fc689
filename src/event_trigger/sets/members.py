"""Validates the members of a file one by one; an error names the member and the place in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from event_trigger.errors import FieldError, Invalid, pointer
from event_trigger.sets.comparison import MemberKind, SetPlan
from event_trigger.sets.schemas import (
    MOST_MEMBERS,
    ApiTriggerInSet,
    CalendarInSet,
    DestinationInSet,
    HeartbeatTriggerInSet,
    ScheduledTriggerInSet,
    SetContent,
    TriggerInSet,
)
from event_trigger.web.invalid_requests import MOST_ERRORS, field_error

TriggerBody = ScheduledTriggerInSet | ApiTriggerInSet | HeartbeatTriggerInSet
_TYPES: Mapping[MemberKind, Any] = {
    MemberKind.CALENDAR: CalendarInSet,
    MemberKind.DESTINATION: DestinationInSet,
    MemberKind.TRIGGER: TriggerInSet,
}
_BODIES: Mapping[MemberKind, TypeAdapter[Any]] = {
    kind: TypeAdapter(body) for kind, body in _TYPES.items()
}
_ORDER = (MemberKind.TRIGGER, MemberKind.DESTINATION, MemberKind.CALENDAR)  # as in Members
_OTHER_KEY = "The key is the member's name in the file: leave it out here, or write the same."


class Renaming(NamedTuple):
    """A member's key before and after, and the place of this in the file."""

    kind: MemberKind
    before: str
    after: str
    place: int


@dataclass(frozen=True, slots=True)
class Members:
    """The valid members of a file, by key, and the keys that some of them had before."""

    triggers: Mapping[str, TriggerBody]
    destinations: Mapping[str, DestinationInSet]
    calendars: Mapping[str, CalendarInSet]
    moved: Sequence[Renaming] = ()


NOTHING = Members({}, {}, {})


def read_members(body: SetContent) -> Members:
    """Takes some 30 µs a member, so call it off the event loop; raises Invalid."""
    count = len(body.triggers) + len(body.destinations) + len(body.calendars)
    if count > MOST_MEMBERS:
        raise Invalid.at(
            [], f"A set has at most {MOST_MEMBERS:,} members. Split the file in several sets."
        )
    errors: list[FieldError] = []
    read: dict[MemberKind, dict[str, Any]] = {}
    for kind, given in (
        (MemberKind.CALENDAR, body.calendars),
        (MemberKind.DESTINATION, body.destinations),
        (MemberKind.TRIGGER, body.triggers),
    ):
        read[kind] = dict(_read(kind, given, errors))
    moved = [
        Renaming(MemberKind(one.kind), one.from_, one.to, place)
        for place, one in enumerate(body.moved)
    ]
    errors += _bad_renamings(moved, read)
    raise_all(errors)
    triggers, destinations, calendars = (read[one] for one in _ORDER)
    return Members(triggers, destinations, calendars, moved)


def _bad_renamings(
    moved: Sequence[Renaming], read: Mapping[MemberKind, Mapping[str, Any]]
) -> Iterator[FieldError]:
    """Names renamings of which the file does not have the new key alone, or which are repeated."""
    used = set[tuple[str, MemberKind, str]]()
    for one in moved:
        if one.after not in read[one.kind]:
            detail = f"The file has no {one.kind} with this key: write the one that it has now."
            yield FieldError("pointer", pointer("moved", one.place, "to"), detail)
        if one.before in read[one.kind]:
            detail = f"The file still has a {one.kind} with this key: leave one of the two out."
            yield FieldError("pointer", pointer("moved", one.place, "from"), detail)
        for end, key in (("from", one.before), ("to", one.after)):
            if (end, one.kind, key) in used:
                detail = "Another renaming has this key: write each key once."
                yield FieldError("pointer", pointer("moved", one.place, end), detail)
            used.add((end, one.kind, key))


def _read(
    kind: MemberKind, given: Mapping[str, Any], errors: list[FieldError]
) -> Iterator[tuple[str, Any]]:
    adapter = _BODIES[kind]
    for key, raw in given.items():
        try:
            member = adapter.validate_python(raw)
        except ValidationError as error:
            found = (
                field_error({**one, "loc": ("body", *one["loc"])}, _TYPES[kind])
                for one in error.errors()
            )
            errors += [placed(one, kind, key) for one in found]
            continue
        if member.key not in {None, key}:
            errors.append(FieldError("pointer", pointer(kind.place, key, "key"), _OTHER_KEY))
        yield key, member.model_copy(update={"key": key})


def placed(error: FieldError, kind: MemberKind, key: str) -> FieldError:
    """Moves the error of one member to its place in the file."""
    rest = error.name.removeprefix("#")
    return FieldError("pointer", pointer(kind.place, key) + rest, error.detail)


@contextmanager
def placing(kind: MemberKind, key: str) -> Iterator[None]:
    """Moves the errors of an Invalid about one member to its place in the file."""
    try:
        yield
    except Invalid as refused:
        raise_all([placed(one, kind, key) for one in refused.errors])
        raise


def details_of(plan: SetPlan) -> list[dict[str, Any]]:
    """Returns the details of the triggers to write."""
    wanted = (one.spec.get("details") for one in plan.of(MemberKind.TRIGGER).wanted)
    return [one for one in wanted if one is not None]


def raise_all(errors: list[FieldError]) -> None:
    """Raises Invalid if there are errors, with the first of them."""
    if errors:
        detail = errors[0].detail if len(errors) == 1 else f"{len(errors)} parts are invalid."
        raise Invalid(detail, errors=errors[:MOST_ERRORS])
