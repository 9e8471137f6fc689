"""Compares the members that a file wants with those that are stored; pure arithmetic.

A member's *spec* is its configuration as JSON, without secrets and without fields that have their
default.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from event_trigger.destinations.formats import RequestForm
from event_trigger.errors import Conflict, FieldError, pointer
from event_trigger.models import TriggerStatus
from event_trigger.web.changes import Change, changes_between
from event_trigger.web.invalid_requests import MOST_ERRORS

_DIGEST_VERSION = 2
_MOST_NAMED_DIFFERENCES = 5

Spec = dict[str, Any]


class MemberKind(StrEnum):
    CALENDAR = "calendar"
    DESTINATION = "destination"
    TRIGGER = "trigger"

    @property
    def place(self) -> str:
        """The name of the map in a file that holds members of this kind."""
        return f"{self}s"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A member as the file has it.

    `status` is None if the file leaves it to people. `body` is what is written.
    """

    kind: MemberKind
    key: str
    spec: Spec
    body: Any
    status: TriggerStatus | None = None

    @property
    def place(self) -> tuple[str, str]:
        """The member's place in a file."""
        return self.kind.place, self.key


@dataclass(frozen=True, slots=True)
class Stored:
    """A member as it is stored; `seal` changes with each change of its secrets.

    `form` is that of a destination's requests.
    """

    kind: MemberKind
    id: int
    key: str | None
    set_name: str | None
    spec: Spec
    status: str | None = None
    seal: str = ""
    form: RequestForm | None = None


@dataclass(frozen=True, slots=True)
class Update:
    wanted: Wanted
    stored: Stored
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class SetPlan:
    """The difference between a file and what is stored, in the order of kinds and keys.

    `adopt` are members that exist already, exactly as the file has them, and belong to no set yet.
    `forget` are keys of triggers that were done, which the file does not have any more like that;
    `renamed_done` are old and new keys of others of them. `owned` counts the members that the set
    has now. The plan has a digest for each key of the vault, the current key's first.
    """

    create: tuple[Wanted, ...]
    update: tuple[Update, ...]
    adopt: tuple[Update, ...]
    remove: tuple[Stored, ...]
    unchanged: int
    forget: tuple[str, ...] = ()
    renamed_done: tuple[tuple[str, str], ...] = ()
    digests: tuple[str, ...] = ()
    owned: int = 0

    @property
    def digest(self) -> str:
        return self.digests[0]

    @property
    def is_empty(self) -> bool:
        is_shown = self.create or self.update or self.adopt or self.remove
        return not (is_shown or self.forget or self.renamed_done)

    @property
    def removes_most(self) -> bool:
        """Tells whether more than half of the set would be removed."""
        return len(self.remove) * 2 > self.owned

    @property
    def stored_ids(self) -> set[int]:
        """The ids of all members that would be changed or removed."""
        kept = {one.stored.id for one in (*self.update, *self.adopt)}
        return kept | {one.id for one in self.remove}

    @property
    def growth(self) -> int:
        return len(self.create) - len(self.remove)

    @property
    def wanted(self) -> Iterator[Wanted]:
        """The members to write."""
        yield from self.create
        yield from (one.wanted for one in self.update)

    def of(self, kind: MemberKind) -> "SetPlan":
        """Returns the part of the plan about members of one kind."""
        return replace(
            self,
            create=tuple(one for one in self.create if one.kind == kind),
            update=tuple(one for one in self.update if one.wanted.kind == kind),
            adopt=tuple(one for one in self.adopt if one.wanted.kind == kind),
            remove=tuple(one for one in self.remove if one.kind == kind),
        )


class OwnedElsewhere(Conflict):
    slug, title = "owned-elsewhere", "A key belongs to something else"

    @classmethod
    def at(cls, errors: Sequence[FieldError]) -> Self:
        detail = errors[0].detail
        if len(errors) > 1:
            detail = f"{len(errors)} keys belong to other sets, or were made by hand. {detail}"
        return cls(detail, errors=errors[:MOST_ERRORS])

    @classmethod
    def example(cls) -> Self:
        detail = _owned_by("sales", MemberKind.TRIGGER)
        return cls.at([FieldError("pointer", "#/triggers/billing-report", detail)])


def make_plan(
    name: str,
    wanted: Sequence[Wanted],
    stored: Sequence[Stored],
    other_changes: Mapping[tuple[MemberKind, str], Sequence[Change]],
    *,
    prune: bool,
    fingerprints: Sequence[bytes] = (b"",),
) -> SetPlan:
    """Compares by kind and key; raises OwnedElsewhere for keys that this set may not change.

    `other_changes` are those of keys and, without their values, of secrets, by kind and key. The
    `fingerprints` are those of the file's secrets, one for each key of the vault.
    """
    known = {(one.kind, one.key): one for one in stored if one.key is not None}
    ordered = sorted(wanted, key=lambda one: (one.kind, one.key))
    updates = []
    for one in ordered:
        if (found := known.get((one.kind, one.key))) is not None:
            others = other_changes.get((one.kind, one.key), ())
            changes = sorted((*_differences(one, found), *others), key=lambda each: each.pointer)
            updates.append(Update(one, found, tuple(changes)))
    _refuse_others(name, updates)
    named = {(one.kind, one.key) for one in ordered}
    surplus = [one for one in stored if one.set_name == name and (one.kind, one.key) not in named]
    own = [one for one in updates if one.stored.set_name == name]
    plan = SetPlan(
        create=tuple(one for one in ordered if (one.kind, one.key) not in known),
        update=tuple(one for one in own if one.changes),
        adopt=tuple(one for one in updates if one.stored.set_name is None),
        remove=tuple(sorted(surplus, key=lambda one: (one.kind, one.id))) if prune else (),
        unchanged=sum(not one.changes for one in own),
        owned=sum(one.set_name == name for one in stored),
    )
    return replace(plan, digests=_digests(plan, updates, fingerprints, prune=prune))


def _differences(wanted: Wanted, stored: Stored) -> Iterator[Change]:
    yield from changes_between(stored.spec, wanted.spec, *wanted.place)
    is_settled = stored.status in {wanted.status, TriggerStatus.COMPLETED}
    if wanted.status is not None and not is_settled:
        yield Change(pointer(*wanted.place, "status"), stored.status, str(wanted.status))


def canonical(value: Any) -> str:
    """Writes JSON so that the order of members makes no difference."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _refuse_others(name: str, updates: Sequence[Update]) -> None:
    """Refuses keys of other sets, and keys made by hand whose members differ from the file."""
    errors = [
        FieldError("pointer", pointer(*one.wanted.place), detail)
        for one in updates
        if (detail := _refusal(name, one)) is not None
    ]
    if errors:
        raise OwnedElsewhere.at(errors)


def _refusal(name: str, update: Update) -> str | None:
    kind, owner = update.stored.kind, update.stored.set_name
    if owner == name:
        return None
    if owner is not None:
        return _owned_by(owner, kind)
    if not update.changes:
        return None
    places = ", ".join(one.pointer for one in update.changes[:_MOST_NAMED_DIFFERENCES])
    return (
        f"A {kind} with this key was made by hand, and differs from the file ({places}). The set"
        " takes it over once they are the same: change one of them. Or give it another key, or"
        " delete it."
    )


def _owned_by(owner: str, kind: MemberKind) -> str:
    return (
        f"The set {owner} owns the {kind} with this key. Use another key, or remove it from that"
        " set's file, and apply that file with prune=true."
    )


def _digests(
    plan: SetPlan, updates: Sequence[Update], fingerprints: Sequence[bytes], *, prune: bool
) -> tuple[str, ...]:
    """Hashes the plan and the state that it starts from, without a time.

    Secrets are in it by their fingerprints, which do not tell whether a guess is right.
    """
    digest = hashlib.sha256(canonical([_DIGEST_VERSION, prune]).encode())
    for one in plan.create:
        digest.update(canonical(["create", *one.place, one.spec, one.status]).encode())
    for update in updates:
        wanted, stored = update.wanted, update.stored
        status = None if wanted.status is None else stored.status
        parts = [stored.id, stored.set_name, stored.spec, stored.seal, status]
        asked = [wanted.spec, wanted.status, [one.pointer for one in update.changes]]
        digest.update(canonical(["keep", wanted.kind, wanted.key, parts, asked]).encode())
    for gone in plan.remove:
        parts = [gone.kind, gone.id, gone.key, gone.spec, gone.seal]
        digest.update(canonical(["remove", *parts]).encode())
    made = []
    for fingerprint in fingerprints:
        whole = digest.copy()
        whole.update(fingerprint)
        made.append(whole.hexdigest())
    return tuple(made)
