"""Gives members the new keys that a file has for them, before anything else is compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from event_trigger.errors import FieldError, pointer
from event_trigger.sets.comparison import MemberKind, OwnedElsewhere
from event_trigger.sets.members import Members, Renaming
from event_trigger.sets.repository.members import TriggerState
from event_trigger.sets.state import DestinationState, SetState
from event_trigger.web.changes import Change

Kept = TypeVar("Kept", TriggerState, DestinationState)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A state in which members have their new keys, and the keys that they had before.

    `finished` are the old keys, by the new ones, of triggers that are done and gone.
    """

    state: SetState
    keys: Mapping[tuple[MemberKind, str], str]
    finished: Mapping[str, str]

    def change_of(self, kind: MemberKind, key: str) -> Sequence[Change]:
        """Returns the change of a member's key, if it has one."""
        before = self.keys.get((kind, key))
        return () if before is None else [Change(pointer(kind.place, key, "key"), before, key)]


def rename(state: SetState, name: str, members: Members) -> Renamed:
    """Renames members that the set owns, and leaves out renamings that have been done before.

    Raises OwnedElsewhere if something else has the new key already.
    """
    asked = {(one.kind, one.before): one for one in members.moved}
    if not asked:
        return Renamed(state, {}, {})
    known = {(MemberKind.TRIGGER, one.key) for one in state.triggers.values()}
    known |= {(MemberKind.DESTINATION, one.key) for one in state.destinations.values()}
    triggers = _due(asked, MemberKind.TRIGGER, state.triggers, name)
    destinations = _due(asked, MemberKind.DESTINATION, state.destinations, name)
    due = [*triggers.values(), *destinations.values()]
    if taken := [*_taken(due, known)]:
        raise OwnedElsewhere.at(taken)
    gone = {
        one.after: one.before
        for one in members.moved
        if one.kind == MemberKind.TRIGGER
        and one not in due
        and one.before in state.finished
        and one.after not in state.finished
        and (one.kind, one.after) not in known
    }
    finished = {key: details for key, details in state.finished.items() if key not in gone.values()}
    changed = replace(
        state,
        triggers={
            row_id: one._replace(key=triggers[row_id].after) if row_id in triggers else one
            for row_id, one in state.triggers.items()
        },
        destinations={
            row_id: replace(one, key=destinations[row_id].after) if row_id in destinations else one
            for row_id, one in state.destinations.items()
        },
        named=_named(state.named, destinations),
        finished=finished | {after: state.finished[before] for after, before in gone.items()},
    )
    return Renamed(changed, {(one.kind, one.after): one.before for one in due}, gone)


def _due(
    asked: Mapping[tuple[MemberKind, str], Renaming],
    kind: MemberKind,
    stored: Mapping[int, Kept],
    name: str,
) -> dict[int, Renaming]:
    """Returns the renamings of members that are there and the set's own, by their ids."""
    return {
        row_id: asked[kind, one.key]
        for row_id, one in stored.items()
        if one.key is not None and one.set_name == name and (kind, one.key) in asked
    }


def _taken(
    due: Sequence[Renaming], known: set[tuple[MemberKind, str | None]]
) -> Iterator[FieldError]:
    for one in due:
        if (one.kind, one.after) in known:
            yield FieldError(
                "pointer",
                pointer("moved", one.place),
                f"There is a {one.kind} with the new key already, beside the one that would get it."
                " Delete one of them, or leave this renaming out.",
            )


def _named(
    named: Mapping[int | str, int], destinations: Mapping[int, Renaming]
) -> dict[int | str, int]:
    before = {one.before for one in destinations.values()}
    kept = {key: row_id for key, row_id in named.items() if key not in before}
    ids = {row_id: row_id for row_id in destinations}
    return kept | ids | {one.after: row_id for row_id, one in destinations.items()}
