"""Checks the forms of requests that a plan would store, as that of one destination is checked."""

import asyncio
from dataclasses import dataclass, field

from event_trigger.destinations.form_check import FormCheck
from event_trigger.destinations.formats import RequestForm
from event_trigger.errors import FieldError, Invalid
from event_trigger.sets.comparison import MemberKind, SetPlan, Wanted
from event_trigger.sets.members import placed, raise_all
from event_trigger.sets.state import in_slices

_CHECKED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class FormChecks:
    """Looks up hosts and tries templates, each form once a request, without a connection."""

    form_check: FormCheck
    _allowed: set[RequestForm] = field(default_factory=set)

    async def check(self, plan: SetPlan, *, owner_id: int) -> None:
        """Checks new and changed forms; raises Invalid with their places in the file."""
        destinations = plan.of(MemberKind.DESTINATION)
        new: list[tuple[Wanted, RequestForm | None]] = [(one, None) for one in destinations.create]
        new += [(one.wanted, one.stored.form) for one in destinations.update]
        errors: list[FieldError] = []
        for some in in_slices(new, _CHECKED_AT_ONCE):
            for found in await asyncio.gather(
                *(self._refusals(*one, owner_id=owner_id) for one in some)
            ):
                errors += found
        raise_all(errors)

    async def _refusals(
        self, wanted: Wanted, known: RequestForm | None, *, owner_id: int
    ) -> list[FieldError]:
        form = RequestForm.of(wanted.body)
        if form == known or form in self._allowed:
            return []
        try:
            await self.form_check.check(form, owner_id=owner_id, known=known)
        except Invalid as refused:
            return [placed(one, MemberKind.DESTINATION, wanted.key) for one in refused.errors]
        self._allowed.add(form)
        return []
