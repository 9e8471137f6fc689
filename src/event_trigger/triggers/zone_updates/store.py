"""Stores the zone rules that plans are made and judged by, the same for all replicas."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import ZoneRulesRecord
from event_trigger.triggers.schedule.cron import read_rules
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.schedules import Cron
from event_trigger.triggers.schedule.zone_rules import Rules, is_newer, zone_rules

_ADD = text("""
    INSERT INTO zone_rules (digest, zone, version, data, planned_at)
    VALUES (:digest, :zone, :version, :data, CAST(:planned_at AS timestamptz))
    ON CONFLICT (digest) DO NOTHING
""")


class OnRecord(NamedTuple):
    """Rules without their data; `planned_at` is None until all of the zone is planned by them."""

    id: int
    zone: str
    version: str
    digest: str
    planned_at: datetime | None


@dataclass(frozen=True)
class ZoneStore:
    session: AsyncSession

    async def newest_id(self) -> int:
        """Grows with each addition; 0 if nothing is on record."""
        return await self.session.scalar(select(func.max(ZoneRulesRecord.id))) or 0

    async def list_all(self) -> list[OnRecord]:
        """In the order in which they came."""
        record = ZoneRulesRecord
        columns = (record.id, record.zone, record.version, record.digest, record.planned_at)
        rows = await self.session.execute(select(*columns).order_by(record.id))
        return [OnRecord(*row) for row in rows]

    async def load(self, digests: Collection[str]) -> None:
        """Makes rules known to this process, as far as they are on record."""
        missing = [one for one in digests if zone_rules().get_known(one) is None]
        if not missing:
            return
        record = ZoneRulesRecord
        rows = await self.session.execute(
            select(record.zone, record.version, record.data).where(record.digest.in_(missing))
        )
        for zone, version, data in rows:
            zone_rules().remember(Rules.read(zone, version, data))

    async def add(self, rules: Rules, *, planned_at: datetime | None) -> None:
        await self.session.execute(
            _ADD,
            {
                "digest": rules.digest,
                "zone": rules.key,
                "version": rules.version,
                "data": rules.data,
                "planned_at": planned_at,
            },
        )

    async def note(self, plan: Plan, *, at: datetime) -> None:
        """Puts the rules of a plan that was just made on record, if its zone has none."""
        schedule = plan.schedule
        if not isinstance(schedule, Cron):
            return
        rules, record = read_rules(schedule.timezone), ZoneRulesRecord
        known = select(record.digest).where(record.zone == rules.key).limit(1)
        if await self.session.scalar(known) is None:
            await self.add(rules, planned_at=at)

    async def confirm(self, digest: str, version: str) -> None:
        """Notes that a newer version says the same."""
        record = ZoneRulesRecord
        await self.session.execute(
            update(record).where(record.digest == digest).values(version=version)
        )

    async def mark_planned(self, digests: Collection[str], *, at: datetime) -> None:
        """Notes that all triggers of their zones are planned by them."""
        record = ZoneRulesRecord
        await self.session.execute(
            update(record).where(record.digest.in_(digests)).values(planned_at=at)
        )


def in_force(found: Collection[OnRecord]) -> dict[str, OnRecord]:
    """Of each zone the newest; of two of one version, the one that came first."""
    newest: dict[str, OnRecord] = {}
    for one in found:
        if one.zone not in newest or is_newer(one.version, newest[one.zone].version):
            newest[one.zone] = one
    return newest


def before(found: Collection[OnRecord], one: OnRecord) -> OnRecord | None:
    """The rules of the zone that those of `one` replaced."""
    return in_force([each for each in found if each.id < one.id]).get(one.zone)


async def adopt(session: AsyncSession) -> list[OnRecord]:
    """Goes by the newest rules on record, unless this machine has those, or newer ones."""
    store = ZoneStore(session)
    found = await store.list_all()
    newest = [one for one in in_force(found).values() if not _machine_has(one)]
    await store.load([one.digest for one in newest])
    for one in newest:
        known = zone_rules().get_known(one.digest)
        if known is not None:
            zone_rules().adopt(known)
    return found


def _machine_has(one: OnRecord) -> bool:
    machine = zone_rules().of_machine(one.zone)
    return machine is not None and (
        machine.digest == one.digest or is_newer(machine.version, one.version)
    )
