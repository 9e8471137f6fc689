"""Checks the URLs that a plan would store, as they are checked when one destination is saved."""

import asyncio
from dataclasses import dataclass, field

from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.url_check import check_url
from event_trigger.errors import FieldError, Invalid
from event_trigger.sets.comparison import MemberKind, SetPlan, Wanted
from event_trigger.sets.members import placed, raise_all
from event_trigger.sets.state import in_slices

_LOOKED_UP_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class UrlChecks:
    """Looks up hosts, each URL once a request; call it without a connection."""

    policy: AddressPolicy
    resolver: DnsResolver
    _allowed: set[str] = field(default_factory=set)

    async def check(self, plan: SetPlan) -> None:
        """Checks new and changed URLs; raises Invalid with their places in the file."""
        destinations = plan.of(MemberKind.DESTINATION)
        new = [*destinations.create]
        new += [
            one.wanted
            for one in destinations.update
            if one.stored.spec["url"] != one.wanted.body.url
        ]
        errors: list[FieldError] = []
        for some in in_slices(new, _LOOKED_UP_AT_ONCE):
            for found in await asyncio.gather(*(self._refusals(one) for one in some)):
                errors += found
        raise_all(errors)

    async def _refusals(self, wanted: Wanted) -> list[FieldError]:
        url: str = wanted.body.url
        if url in self._allowed:
            return []
        try:
            await check_url(url, self.policy, self.resolver.lookup)
        except Invalid as refused:
            return [placed(one, MemberKind.DESTINATION, wanted.key) for one in refused.errors]
        self._allowed.add(url)
        return []
