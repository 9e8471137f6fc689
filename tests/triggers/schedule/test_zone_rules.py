"""The newest zone rules of a machine are in force, in whichever folder they are."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import tzdata

from event_trigger.triggers.schedule.zone_rules import UNKNOWN, ZoneRules, is_newer, sources
from tests.support.processes import run, with_database
from tests.support.zones import make_zones, zone_file

HOUR = timedelta(hours=1)
MARCH, MAY = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC)
ZONE = {"Europe/Berlin": zone_file(7 * HOUR)}


def rules(folder: Path, version: str) -> ZoneRules:
    make_zones(folder / "zones", version, ZONE)
    return ZoneRules(sources([str(folder / "missing"), str(folder / "zones")]))


def offset_of(found: ZoneRules, key: str) -> timedelta | None:
    return MARCH.astimezone(found.get(key).zone).utcoffset()


def test_newer_rules_of_the_machine_come_before_those_of_the_package(folder: Path) -> None:
    found = rules(folder, "2090a")

    assert found.version == found.get("Europe/Berlin").version == "2090a"
    assert offset_of(found, "Europe/Berlin") == 7 * HOUR


def test_older_rules_of_the_machine_come_after_those_of_the_package(folder: Path) -> None:
    found = rules(folder, "1999a")

    assert found.version == found.get("Europe/Berlin").version == tzdata.IANA_VERSION
    assert offset_of(found, "Europe/Berlin") == HOUR


def test_rules_without_a_version_count_as_older(folder: Path) -> None:
    found = rules(folder, "unknown")

    assert found.version == tzdata.IANA_VERSION
    assert offset_of(found, "Europe/Berlin") == HOUR


def test_a_zone_that_the_newest_source_lacks_is_read_from_another(folder: Path) -> None:
    found = rules(folder, "2090a")

    assert found.get("Europe/Paris").version == tzdata.IANA_VERSION


def test_versions_are_compared_as_iana_counts_them() -> None:
    ascending = [UNKNOWN, "1999z", "2025b", "2025c", "2026a", "2026z", "2026aa", "2027a"]

    for older, newer in pairwise(ascending):
        assert is_newer(newer, than=older)
        assert not is_newer(older, than=newer)
    assert not is_newer("2026a", than="2026a")


def test_a_zone_file_of_ours_is_read_as_it_was_meant(folder: Path) -> None:
    make_zones(folder / "zones", "2090a", {"Test/Zone": zone_file(HOUR, (MAY, -3 * HOUR))})

    zone = ZoneRules(sources([str(folder / "zones")])).get("Test/Zone").zone

    assert (MAY - HOUR).astimezone(zone).utcoffset() == HOUR
    assert MAY.astimezone(zone).utcoffset() == -3 * HOUR


@pytest.mark.xdist_group("processes")
async def test_check_names_the_rules(folder: Path, database_url: str) -> None:
    setting = make_zones(folder / "zones", "2090a", ZONE)

    ended = run(folder, "check", **with_database(database_url), **setting)

    assert f"Zone rules: 2090a of {folder}/zones; the tzdata package has" in ended.stdout
