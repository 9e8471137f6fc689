"""Plans a set: compares its file with the stored state, and checks what would be written.

All of it is arithmetic on data that was read before. It takes some 100 µs a member, so it runs off
the event loop.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from event_trigger.destinations.certificates import certificate_after
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.headers import (
    check_secret,
    check_use,
    header_changes,
    is_same,
    keeps_all,
    secret_change,
    with_stored,
)
from event_trigger.destinations.urls import is_same_origin
from event_trigger.errors import FieldError, Invalid, pointer
from event_trigger.models import OnCompletion, TriggerStatus
from event_trigger.sets.calendars import removed_calendars, stored_calendars, wanted_calendars
from event_trigger.sets.comparison import (
    MemberKind,
    SetPlan,
    Stored,
    Wanted,
    canonical,
    make_plan,
)
from event_trigger.sets.members import Members, placed, raise_all
from event_trigger.sets.renaming import rename
from event_trigger.sets.schemas import DestinationInSet
from event_trigger.sets.specs import destination_spec, named, trigger_spec
from event_trigger.sets.state import DestinationState, SetState
from event_trigger.triggers.hook_port import differs, hook_secret_change
from event_trigger.triggers.schedule.canonical import means_same
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.vault import Vault
from event_trigger.web.changes import Change


@dataclass(frozen=True, slots=True)
class SetRequest:
    """A file to compare: the set's project and name, and its members.

    `admin_id` is the caller's if that is an admin.
    """

    owner_id: int
    name: str
    members: Members
    prune: bool
    admin_id: int | None = None


def plan_set(request: SetRequest, state: SetState, vault: Vault, *, year: int) -> SetPlan:
    """Makes the plan; raises Invalid, or OwnedElsewhere, before anything is written.

    1. Reads both sides in one form, in which members have the keys of the file, destinations are
       named by their keys, and calendars have their dates in this `year`.
    2. Compares secrets, of which only the places that differ go on.
    3. Compares everything else, and refuses keys that the set may not change.
    4. Refuses what a plan must not do: other types, destinations that are not there.
    """
    errors: list[FieldError] = []
    renamed = rename(state, request.name, request.members)
    finished, state = state.finished, renamed.state
    others = dict(_changed_secrets(request.members, state, vault, errors))
    others |= dict(_changed_hook_secrets(request.members, state))
    for kind, key in renamed.keys:
        others[kind, key] = [*renamed.change_of(kind, key), *others.get((kind, key), ())]
    stored = [*state.calendars.values()]
    calendars = [*wanted_calendars(request.members, stored, errors, year=year)]
    raise_all(errors)
    done = frozenset(_done(request.members, state))
    triggers = [one for one in _wanted_triggers(request.members, state) if one.key not in done]
    plan = make_plan(
        request.name,
        [*calendars, *_wanted_destinations(request.members), *triggers],
        [*stored_calendars(stored), *_stored_destinations(state), *_stored_triggers(state)],
        others,
        prune=request.prune,
        fingerprints=_fingerprints(request, vault),
    )
    carried = {before: after for after, before in renamed.finished.items() if after in done}
    forget = tuple(sorted(finished.keys() - done - carried.keys()))
    plan = replace(plan, unchanged=plan.unchanged + len(done), forget=forget)
    plan = replace(plan, renamed_done=tuple(sorted(carried.items())))
    errors += _missing_destinations(request.members, state, plan)
    errors += removed_calendars(request.members, plan)
    errors += _changed_types(plan)
    raise_all(errors)
    return plan


def _wanted_destinations(members: Members) -> Iterator[Wanted]:
    for key, body in members.destinations.items():
        yield Wanted(MemberKind.DESTINATION, key, destination_spec(body), body)


def _fingerprints(request: SetRequest, vault: Vault) -> list[bytes]:
    """Returns keyed hashes of the file's secrets and values of headers, bound to the project."""
    destinations = {
        key: body.headers if body.secret is None else [body.headers, body.secret]
        for key, body in request.members.destinations.items()
    }
    hooks = {key: body.details.given_secret for key, body in request.members.triggers.items()}
    given = {key: secret for key, secret in hooks.items() if secret is not None}
    values = [request.owner_id, destinations, *([given] if given else [])]
    return vault.fingerprints(canonical(values).encode())


def _wanted_triggers(members: Members, state: SetState) -> Iterator[Wanted]:
    keys, stored = state.keys, {one.key: one.details for one in state.triggers.values()}
    for key, body in members.triggers.items():
        details = body.details.as_stored()
        if key in stored and means_same(details, stored[key]):
            details = stored[key]  # written differently, which is no change
        spec = trigger_spec(body, details, named(body.destinations, keys))
        status = None if body.status is None else TriggerStatus(body.status)
        yield Wanted(MemberKind.TRIGGER, key, spec, body, status)


def _done(members: Members, state: SetState) -> Iterator[str]:
    """Gives the keys of triggers that have completed and are gone, as the file wants it."""
    stored = {one.key for one in state.triggers.values()}
    for key in state.finished.keys() - stored:
        body = members.triggers.get(key)
        if body is None or body.on_completion != OnCompletion.DELETE:
            continue
        if means_same(schedule_part(body.details.as_stored()), state.finished[key]):
            yield key


def _stored_destinations(state: SetState) -> Iterator[Stored]:
    for one in state.destinations.values():
        seal = hashlib.sha256(one.sealed.data).hexdigest()
        yield Stored(
            MemberKind.DESTINATION,
            one.id,
            one.key,
            one.set_name,
            one.spec,
            seal=seal,
            form=one.form,
        )


def _stored_triggers(state: SetState) -> Iterator[Stored]:
    keys = state.keys
    for one in state.triggers.values():
        spec = trigger_spec(one, one.details, named(one.destinations, keys))
        yield Stored(MemberKind.TRIGGER, one.id, one.key, one.set_name, spec, one.status)


def _changed_secrets(
    members: Members, state: SetState, vault: Vault, errors: list[FieldError]
) -> Iterator[tuple[tuple[MemberKind, str], Sequence[Change]]]:
    """Compares headers and secrets with the stored ones.

    Adds an error for stars that stand for nothing, and for settings that do not go together. The
    shown part of a certificate is compared with the other fields.
    """
    stored = {one.key: one for one in state.destinations.values()}
    for key, body in members.destinations.items():
        try:
            form = RequestForm.of(body)
            form.check()
            check_secret(body.secret, form)
            check_use(body.headers, form)
            changes = [
                *_changed_of(stored.get(key), body, vault),
                *_changed_certificate(stored.get(key), body, vault),
            ]
        except Invalid as refused:
            errors += [placed(one, MemberKind.DESTINATION, key) for one in refused.errors]
            continue
        path = pointer(MemberKind.DESTINATION.place, key)
        shown = [Change(path + one.pointer[1:], one.before, one.after) for one in changes]
        yield (MemberKind.DESTINATION, key), shown


def _changed_hook_secrets(
    members: Members, state: SetState
) -> Iterator[tuple[tuple[MemberKind, str], Sequence[Change]]]:
    """Names the secrets of hooks that are given, and are not those that are stored."""
    for one in state.triggers.values():
        body = None if one.key is None else members.triggers.get(one.key)
        given = None if body is None else body.details.given_secret
        if one.key is None or given is None:
            continue
        if differs(given, state.hook_secrets.get(one.id)):
            change = hook_secret_change(MemberKind.TRIGGER.place, one.key)
            yield (MemberKind.TRIGGER, one.key), [change]


def _changed_of(
    stored: DestinationState | None, body: DestinationInSet, vault: Vault
) -> list[Change]:
    """Lists what differs; decrypts nothing if headers are sent as they are shown, and no secret.

    A URL of another origin keeps no value, so that each has to be sent.
    """
    if stored is None:
        with_stored(body.headers, {})
        return []
    if stored.form.url != body.url and not is_same_origin(stored.form.url, body.url):
        moved = _values(with_stored(body.headers, {}))
        return [*header_changes(dict.fromkeys(stored.header_names), moved)]
    if keeps_all(body.headers, stored.header_names):
        if body.secret is None:
            return []
        return [*secret_change(stored.open_secrets(vault).current, body.secret)]
    old = stored.open_secrets(vault)
    wanted = _values(with_stored(body.headers, old.headers))
    changes = [] if is_same(wanted, old.headers) else [*header_changes(old.headers, wanted)]
    return [*changes, *secret_change(old.current, body.secret)]


def _changed_certificate(
    stored: DestinationState | None, body: DestinationInSet, vault: Vault
) -> Sequence[Change]:
    """Lists what differs besides the part that is shown; raises Invalid for one not to be kept."""
    shown, moves = None, False
    if stored is not None:
        shown = stored.spec.get("client_certificate")
        moves = stored.form.url != body.url and not is_same_origin(stored.form.url, body.url)

    def has_pair() -> bool:
        return stored is not None and stored.open_secrets(vault).client_certificate is not None

    sent, url = body.client_certificate, body.url
    return certificate_after(shown, sent, url=url, moves=moves, has_pair=has_pair).changes


def _values(headers: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}


def _missing_destinations(members: Members, state: SetState, plan: SetPlan) -> Iterator[FieldError]:
    """Names destinations that do not exist, or that the plan would remove."""
    removed = {one.id for one in plan.remove if one.kind == MemberKind.DESTINATION}
    for key, body in members.triggers.items():
        for place, name in enumerate(body.destinations):
            where = pointer(MemberKind.TRIGGER.place, key, "destinations", place)
            if state.named.get(name) in removed:
                yield FieldError("pointer", where, "Prune would remove it: add it to the file.")
            elif name not in state.named and name not in members.destinations:
                yield FieldError("pointer", where, "There is no such destination.")


def _changed_types(plan: SetPlan) -> Iterator[FieldError]:
    for one in plan.update:
        place = pointer(*one.wanted.place, "type")
        if any(change.pointer == place for change in one.changes):
            detail = "A trigger keeps its type. Use another key, or delete the trigger first."
            yield FieldError("pointer", place, detail)
