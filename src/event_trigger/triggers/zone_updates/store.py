"""Stores the zone rules by which all replicas make and judge plans."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.plain_session import ReadSession
from event_trigger.models import ZoneRulesRecord
from event_trigger.triggers.schedule.bases import Local
from event_trigger.triggers.schedule.plan import Plan
from event_trigger.triggers.schedule.zone_rules import Rules, is_newer, zone_rules
from event_trigger.triggers.schedule.zones import read_rules

_INSERT_RULES = text("""
    INSERT INTO zone_rules (digest, zone, version, data, planned_at)
    VALUES (:digest, :zone, :version, :data, CAST(:planned_at AS timestamptz))
    ON CONFLICT (digest) DO NOTHING
""")
_LIST_RULES = text("SELECT id, zone, version, digest, planned_at FROM zone_rules ORDER BY id")
_READ_RULES = text("""
    SELECT zone, version, data FROM zone_rules WHERE digest = ANY (CAST(:digests AS text[]))
""")


class RecordedRules(NamedTuple):
    """Rules without their data; `planned_at` is None until all plans of the zone are by them."""

    id: int
    zone: str
    version: str
    digest: str
    planned_at: datetime | None


@dataclass(frozen=True)
class ZoneStore:
    session: AsyncSession

    async def newest_id(self) -> int:
        """Returns the id of the rules added last; 0 if there are none."""
        return await self.session.scalar(select(func.max(ZoneRulesRecord.id))) or 0

    async def add(self, rules: Rules, *, planned_at: datetime | None) -> None:
        await self.session.execute(
            _INSERT_RULES,
            {
                "digest": rules.digest,
                "zone": rules.key,
                "version": rules.version,
                "data": rules.data,
                "planned_at": planned_at,
            },
        )

    async def add_first(self, plan: Plan, *, at: datetime) -> None:
        """Adds the rules of a new plan, if its zone has none on record."""
        base = plan.schedule.base
        if not isinstance(base, Local):
            return
        rules, record = read_rules(base.timezone), ZoneRulesRecord
        known = select(record.digest).where(record.zone == rules.key).limit(1)
        if await self.session.scalar(known) is None:
            await self.add(rules, planned_at=at)

    async def set_version(self, digest: str, version: str) -> None:
        """Stores that a newer version has the same rules."""
        record = ZoneRulesRecord
        await self.session.execute(
            update(record).where(record.digest == digest).values(version=version)
        )

    async def mark_planned(self, digests: Collection[str], *, at: datetime) -> None:
        """Stores that all triggers of these rules' zones are planned by them."""
        record = ZoneRulesRecord
        await self.session.execute(
            update(record).where(record.digest.in_(digests)).values(planned_at=at)
        )


async def list_rules(session: ReadSession) -> list[RecordedRules]:
    """Lists all rules on record, in the order of their addition."""
    return [RecordedRules(*row) for row in await session.execute(_LIST_RULES)]


async def load_rules(session: ReadSession, digests: Collection[str]) -> None:
    """Makes recorded rules known to this process; skips digests that are not on record."""
    missing = [one for one in digests if zone_rules().get_known(one) is None]
    if not missing:
        return
    for zone, version, data in await session.execute(_READ_RULES, {"digests": missing}):
        zone_rules().remember(Rules.read(zone, version, data))


def newest_by_zone(recorded: Collection[RecordedRules]) -> dict[str, RecordedRules]:
    """Picks the newest rules of each zone; of two of one version, the one added first."""
    newest: dict[str, RecordedRules] = {}
    for one in recorded:
        if one.zone not in newest or is_newer(one.version, than=newest[one.zone].version):
            newest[one.zone] = one
    return newest


def rules_before(recorded: Collection[RecordedRules], one: RecordedRules) -> RecordedRules | None:
    """Returns the rules of the zone that `one` replaced."""
    return newest_by_zone([each for each in recorded if each.id < one.id]).get(one.zone)


async def adopt_recorded_rules(session: ReadSession) -> list[RecordedRules]:
    """Puts the newest rules on record in force, unless this machine has them, or newer ones."""
    recorded = await list_rules(session)
    newest = [one for one in newest_by_zone(recorded).values() if not _machine_has(one)]
    await load_rules(session, [one.digest for one in newest])
    for one in newest:
        known = zone_rules().get_known(one.digest)
        if known is not None:
            zone_rules().adopt(known)
    return recorded


def _machine_has(one: RecordedRules) -> bool:
    machine = zone_rules().of_machine(one.zone)
    return machine is not None and (
        machine.digest == one.digest or is_newer(machine.version, than=one.version)
    )
