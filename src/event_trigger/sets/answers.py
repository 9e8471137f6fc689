"""Writes the answers to a file and to a list of sets; new secrets are shown once."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.destinations.signing_secrets import secrets_of
from event_trigger.models import Calendar, Destination, OwnedSet, Trigger
from event_trigger.sets.comparison import MemberKind, Stored, Update, Wanted
from event_trigger.sets.lifecycle import Outcome
from event_trigger.sets.repository.members import MemberTable
from event_trigger.sets.repository.sets import Sets
from event_trigger.sets.schemas import (
    ChangeRead,
    MoveRead,
    SetMemberCreated,
    SetMemberRead,
    SetMemberUpdated,
    SetPlanRead,
    SetSummary,
)
from event_trigger.vault import Vault
from event_trigger.web.schemas import JsonObject


async def summaries_of(session: AsyncSession, sets: Sequence[OwnedSet]) -> list[SetSummary]:
    """Counts the members of all these sets in one statement for each kind."""
    if not sets:
        return []
    triggers = await _counts(session, Trigger, sets)
    destinations = await _counts(session, Destination, sets)
    calendars = await _counts(session, Calendar, sets)
    return [
        SetSummary(
            id=one.id,
            name=one.name,
            triggers=triggers[one.owner_id, one.name],
            destinations=destinations[one.owner_id, one.name],
            calendars=calendars[one.owner_id, one.name],
            created_at=one.created_at,
            updated_at=one.updated_at,
        )
        for one in sets
    ]


async def _counts(
    session: AsyncSession, kind: MemberTable, sets: Sequence[OwnedSet]
) -> Counter[tuple[int, str | None]]:
    counted = await Sets(session).count_members(kind, sets)
    return Counter({(one.owner_id, one.set_name): one.members for one in counted})


@dataclass(frozen=True, slots=True)
class PlanWriter:
    """Writes the answer to one PUT; `hooks_url` is None for callers that may not fire."""

    outcome: Outcome
    vault: Vault
    hooks_url: str | None

    def as_json(self) -> str:
        """Takes some 20 µs a member, so call it off the event loop."""
        forecast = self.outcome.forecast
        plan = forecast.plan
        return SetPlanRead(
            digest=plan.digest,
            create=[self._created(one) for one in plan.create],
            update=[self._updated(one) for one in plan.update],
            adopt=_members(one.stored for one in plan.adopt),
            unchanged=plan.unchanged,
            remove=_members(plan.remove),
            removes_most=plan.removes_most,
            moves=[
                MoveRead(id=one.id, key=one.key, from_=one.before, to=one.after)
                for one in forecast.moves
            ],
        ).model_dump_json()

    def _created(self, wanted: Wanted) -> SetMemberCreated:
        return SetMemberCreated(
            kind=wanted.kind, key=wanted.key, id=self._id_of(wanted), **self._shown_once(wanted)
        )

    def _updated(self, update: Update) -> SetMemberUpdated:
        changes = [
            ChangeRead(pointer=one.pointer, from_=one.before, to=one.after)
            for one in update.changes
        ]
        wanted = update.wanted
        return SetMemberUpdated(
            kind=wanted.kind,
            key=wanted.key,
            id=update.stored.id,
            changes=changes,
            **self._shown_once(wanted),
        )

    def _id_of(self, wanted: Wanted) -> int | None:
        written = self.outcome.written
        if written is None:
            return None
        rows: Mapping[MemberKind, Mapping[str, Trigger | Destination | Calendar]] = {
            MemberKind.TRIGGER: written.triggers,
            MemberKind.DESTINATION: written.destinations,
            MemberKind.CALENDAR: written.calendars,
        }
        return rows[wanted.kind][wanted.key].id

    def _shown_once(self, wanted: Wanted) -> JsonObject:
        """Returns the next instant of a trigger, and the secrets that were just made."""
        key, written = wanted.key, self.outcome.written
        if wanted.kind == MemberKind.CALENDAR:
            return {"warnings": [*wanted.body.warnings]}
        if wanted.kind == MemberKind.DESTINATION:
            if written is None:
                return {}
            row = written.destinations[key]
            secret = self._secret_of(row) if key in written.new_secrets else None
            return {"secret": secret, "warnings": written.warnings.get(key, [])}
        if written is None:
            return {"next_fire_at": self.outcome.forecast.next_instants[key]}
        hook = written.hooks.get(key)
        shown: JsonObject = {"next_fire_at": written.triggers[key].next_fire_at}
        if hook is not None:
            shown["hook_secret"] = hook.secret
            if self.hooks_url is not None:
                shown["hook_url"] = f"{self.hooks_url}{hook.token}"
        return shown

    def _secret_of(self, row: Destination) -> str:
        return secrets_of(row, self.vault).current


def _members(stored: Iterable[Stored]) -> list[SetMemberRead]:
    return [SetMemberRead(kind=one.kind, key=one.key, id=one.id) for one in stored]
