"""Reads the stored state that the plan of a set starts from, and shows it in the form of a file."""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.signing_secrets import Secrets, open_secrets
from event_trigger.errors import Conflict
from event_trigger.models import Destination, TriggerStatus
from event_trigger.sets.members import Members
from event_trigger.sets.repository.members import ROWS_PER_STATEMENT, SetRows, TriggerState
from event_trigger.sets.repository.sets import SetCalendars, Sets
from event_trigger.sets.specs import calendar_spec, destination_spec, named, trigger_spec
from event_trigger.triggers.hook_port import HookKeeper, hook_in
from event_trigger.vault import Sealed, Vault
from event_trigger.web.entity_tags import etag
from event_trigger.web.mask import MASK
from event_trigger.web.schemas import JsonObject

LARGEST_SET_BYTES = 16 * 1024 * 1024  # of details and payloads; a file has at most 1 MiB


class SetTooLarge(Conflict):
    slug, title = "set-too-large", "The set is too large"
    default_detail = (
        "The members of this set, or those that have its keys, hold more than 16 MiB of details,"
        " payloads and dates, which no file can describe. Change or delete the largest of them"
        " first."
    )


class Moved(Exception):
    """Raised if the state is not the one that the plan was made from."""


@dataclass(frozen=True, slots=True)
class DestinationState:
    """The parts of a destination that a plan depends on."""

    owner_id: int
    id: int
    key: str | None
    set_name: str | None
    form: RequestForm
    spec: JsonObject
    header_names: tuple[str, ...]
    sealed: Sealed = field(repr=False)

    def open_secrets(self, vault: Vault) -> Secrets:
        """Decrypts the signing secrets and header values; raises SealBroken."""
        return open_secrets(
            vault,
            owner_id=self.owner_id,
            key_id=self.sealed.key_id,
            sealed=self.sealed.data,
            has_certificate="client_certificate" in self.spec,
        )


class CalendarState(NamedTuple):
    """The parts of a calendar that a plan depends on."""

    id: int
    key: str
    set_name: str | None
    spec: JsonObject


@dataclass(frozen=True, slots=True)
class SetState:
    """The members of a set, those with keys of its file, and the destinations that they name."""

    set_id: int | None
    triggers: Mapping[int, TriggerState]
    destinations: Mapping[int, DestinationState]
    calendars: Mapping[int, CalendarState]
    named: Mapping[int | str, int]  # ids and keys of destinations, with their ids
    finished: Mapping[str, JsonObject]  # schedules of triggers that are done and gone, by key
    # of hooks for which the file gives a secret, by the ids of their triggers
    hook_secrets: Mapping[int, str] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> dict[int, str]:
        """The keys of destinations by their ids."""
        return {row_id: key for key, row_id in self.named.items() if isinstance(key, str)}


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


Row = TypeVar("Row", bound=_HasId)
Item = TypeVar("Item")


async def read_state(
    session: AsyncSession, hooks: HookKeeper, owner_id: int, name: str, wanted: Members
) -> SetState:
    """Reads at most 1,000 rows a statement; raises SetTooLarge."""
    rows, calendars = SetRows(session, owner_id), SetCalendars(session, owner_id)
    found = await Sets(session).get(owner_id, name)
    size = await rows.size_of(name, [*wanted.triggers])
    if size + await calendars.size_of(name, [*wanted.calendars]) > LARGEST_SET_BYTES:
        raise SetTooLarge
    destinations = await _read_all(
        lambda after: rows.list_destinations(name, after=after),
        lambda keys: rows.list_other_destinations(name, keys),
        wanted.destinations,
    )
    triggers = await _read_all(
        lambda after: rows.list_triggers(name, after=after),
        lambda keys: rows.list_other_triggers(name, keys),
        wanted.triggers,
    )
    # last: a trigger is deleted in the transaction that notes it here
    finished = await _read_finished(rows, name)
    return SetState(
        None if found is None else found.id,
        {one.id: one for one in triggers},
        {one.id: _state_of(one) for one in destinations},
        {
            one.id: CalendarState(one.id, one.key, one.set_name, calendar_spec(one.dates, one.ics))
            for one in await calendars.list_members(name, [*wanted.calendars])
        },
        await _read_named(rows, triggers, wanted),
        finished,
        await _read_hook_secrets(session, hooks, triggers, wanted),
    )


async def _read_hook_secrets(
    session: AsyncSession, hooks: HookKeeper, triggers: Iterable[TriggerState], wanted: Members
) -> dict[int, str]:
    """Reads secrets only where the file gives one to compare."""
    given = {key for key, one in wanted.triggers.items() if one.details.given_secret is not None}
    given |= {one.before for one in wanted.moved if one.after in given}
    hooked = [one.id for one in triggers if one.key in given and hook_in(one.details) is not None]
    secrets: dict[int, str] = {}
    for some in in_slices(hooked, ROWS_PER_STATEMENT):
        opened = await hooks.list_opened(session, some)
        secrets |= {key: one.secret for key, one in opened.items() if one.secret is not None}
    return secrets


async def _read_all(
    list_own: Callable[[int], Awaitable[Sequence[Row]]],
    list_others: Callable[[Sequence[str]], Awaitable[Sequence[Row]]],
    keys: Collection[str],
) -> list[Row]:
    found: list[Row] = []
    batch: Sequence[Row] = await list_own(0)
    while len(batch) == ROWS_PER_STATEMENT:
        found += batch
        batch = await list_own(batch[-1].id)
    found += batch
    for some in in_slices([*keys], ROWS_PER_STATEMENT):
        found += await list_others(some)
    return found


async def _read_finished(rows: SetRows, name: str) -> dict[str, JsonObject]:
    found = batch = await rows.list_finished(name, after="")
    while len(batch) == ROWS_PER_STATEMENT:
        batch = await rows.list_finished(name, after=batch[-1].key)
        found = found + batch
    return dict(found)


async def _read_named(
    rows: SetRows, triggers: Iterable[TriggerState], wanted: Members
) -> dict[int | str, int]:
    names: set[int | str] = {name for one in triggers for name in one.destinations}
    names |= {name for one in wanted.triggers.values() for name in one.destinations}
    if not names:
        return {}
    ids = sorted(name for name in names if isinstance(name, int))
    keys = sorted(name for name in names if isinstance(name, str))
    named: dict[int | str, int] = {}
    for row_id, key in await rows.list_named(ids, keys):
        named |= {row_id: row_id} if key is None else {row_id: row_id, key: row_id}
    return named


def in_slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _state_of(row: Destination) -> DestinationState:
    return DestinationState(
        row.owner_id,
        row.id,
        row.key,
        row.set_name,
        RequestForm.of(row),
        destination_spec(row),
        tuple(row.header_names),
        Sealed(row.key_id, row.sealed),
    )


@dataclass(frozen=True, slots=True)
class ShownSet:
    """The content of a set as JSON, and its `ETag`."""

    json: str
    etag: str


def show(state: SetState) -> ShownSet:
    """Takes some 20 µs a member, so call it off the event loop.

    The tag also tells secrets apart, and members that the content leaves out.
    """
    text = json.dumps(_content_of(state))
    sealed = sorted((one.id, one.sealed.data) for one in state.destinations.values())
    return ShownSet(text, etag("set", state.set_id, text, sorted(state.triggers), sealed))


def _content_of(state: SetState) -> JsonObject:
    """Writes a set so that putting it back changes nothing; stars keep the values of headers.

    Members that have lost their keys by hand are left out: a file could not name them.
    """
    keys = state.keys
    triggers = {}
    for one in state.triggers.values():
        spec = trigger_spec(one, one.details, named(one.destinations, keys))
        if one.status == TriggerStatus.PAUSED:
            spec["status"] = one.status
        triggers[one.key] = spec
    destinations = {}
    for row in state.destinations.values():
        stars = dict.fromkeys(row.header_names, MASK)
        destinations[row.key] = row.spec | ({"headers": stars} if stars else {})
    calendars: dict[str | None, JsonObject] = {
        one.key: one.spec for one in state.calendars.values()
    }
    return {
        "triggers": _sorted(triggers),
        "destinations": _sorted(destinations),
        "calendars": _sorted(calendars),
    }


def _sorted(members: dict[str | None, JsonObject]) -> JsonObject:
    return {key: members[key] for key in sorted(one for one in members if one is not None)}
