"""The data of an older embedded PostgreSQL is upgraded, beside the old data.

EVENT_TRIGGER_TEST_OLD_PG_BIN names a folder with the programs of an older PostgreSQL; without
pg_controldata and pg_resetwal in it, the upgrade restores a dump.
"""

import asyncio
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from event_trigger.db.embedded.server import find_binaries, has_data
from tests.support.commands import Here
from tests.support.processes import environment, free_port, log_entries, run, serving, start
from tests.support.reading import read_all
from tests.support.triggers import make_api
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("embedded servers")

OLD_BIN = "EVENT_TRIGGER_TEST_OLD_PG_BIN"
OLD = os.environ.get(OLD_BIN, "")


def _why_not() -> str | None:
    if not OLD:
        return f"{OLD_BIN} names no folder with the programs of an older PostgreSQL"
    # 15.20 and its siblings write this storage parameter into dumps, which 18.6 does not know
    new, only_in_old = find_binaries() / "postgres", b"pg_attver"
    is_ahead = only_in_old in Path(OLD, "postgres").read_bytes()
    if is_ahead and only_in_old not in new.read_bytes():
        return "the older PostgreSQL is of a later day, and writes what the newer one cannot read"
    return None


WHY_NOT = _why_not()
needs_old = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")
DATA = ".event-trigger"
ASKS_FOR_UPGRADE = "Run 'event-trigger upgrade', which needs the programs of PostgreSQL"


def version_of(programs: str | Path) -> str:
    said = subprocess.run(
        [Path(programs, "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return said.stdout.split()[2].split(".")[0]


@dataclass(frozen=True)
class OldData:
    """Data of the older version, made by a service that was killed."""

    folder: Path
    password: str
    events: list[dict[str, Any]]

    @property
    def cluster(self) -> Path:
        return self.folder / DATA / "cluster"

    @property
    def kept(self) -> Path:
        return self.folder / DATA / f"cluster-{version_of(OLD)}"


@pytest.fixture
async def old_data(folder: Path) -> OldData:
    async with serving(folder, EVENT_TRIGGER_PG_BIN=OLD) as served:
        password = served.password
        async with served.client(await served.sign_in()) as client:
            details = {"interval": "PT1S", "recurring": True, "catch_up": "all"}
            body = {"type": "scheduled", "details": details}
            assert (await client.post("/triggers", json=body)).status_code == 201
            trigger = await make_api(client)
            for number in range(50):
                call = await client.post(f"/triggers/{trigger['id']}/trigger", json={"n": number})
                assert call.status_code == 200
            await eventually(lambda: read_all(client, "/events"), lambda found: len(found) > 52)
            events = await read_all(client, "/events")
        await served.end(signal.SIGKILL)
    return OldData(folder, password, events)


@needs_old
async def test_data_of_an_older_version_is_upgraded_and_every_instant_adds_up(
    old_data: OldData,
) -> None:
    folder, new = old_data.folder, version_of(find_binaries())

    served = await asyncio.to_thread(run, folder, "serve")
    migrated = await asyncio.to_thread(run, folder, "migrate")
    upgraded = await asyncio.to_thread(run, folder, "upgrade", "--old-binaries", OLD)
    again = await asyncio.to_thread(run, folder, "upgrade")
    async with serving(folder) as running:
        token = await running.sign_in(password=old_data.password)
        async with running.client(token) as client:
            caught_up = await eventually(
                lambda: read_all(client, "/events"), lambda found: len(found) > len(old_data.events)
            )
        [started] = log_entries(running, "started")
    verified = await asyncio.to_thread(run, folder, "verify")

    for refused in (served, migrated):
        assert (refused.returncode, refused.stdout) == (1, "")
        assert ASKS_FOR_UPGRADE in refused.stderr
        assert "Traceback" not in refused.stderr
    assert upgraded.returncode == 0, upgraded.stderr
    assert "It adds up." in upgraded.stdout
    assert (again.returncode, again.stdout.startswith("Nothing to do")) == (0, True)
    assert {one["id"]: one["payload"] for one in old_data.events}.items() <= {
        one["id"]: one["payload"] for one in caught_up
    }.items()
    assert started["postgres"].split(".")[0] == new
    assert (old_data.cluster / "PG_VERSION").read_text().strip() == new
    assert (verified.returncode, "It adds up." in verified.stdout) == (0, True)


@needs_old
async def test_the_old_data_is_kept_and_can_be_gone_back_to(old_data: OldData) -> None:
    upgraded = await asyncio.to_thread(run, old_data.folder, "upgrade", "--old-binaries", OLD)
    said = upgraded.stdout
    old_data.cluster.rename(old_data.cluster.with_name("of-the-new-version"))
    old_data.kept.rename(old_data.cluster)

    async with serving(old_data.folder, EVENT_TRIGGER_PG_BIN=OLD) as served:
        token = await served.sign_in(password=old_data.password)
        async with served.client(token) as client:
            events = await read_all(client, "/events")

    assert f"The old data is in {old_data.kept}" in said
    assert {one["id"] for one in old_data.events} <= {one["id"] for one in events}


@needs_old
@pytest.mark.parametrize("moment", ["cluster.upgrading", "cluster.upgrading/pg_wal"])
async def test_an_upgrade_that_is_killed_leaves_usable_data_and_can_be_repeated(
    old_data: OldData, moment: str
) -> None:
    command = ("-m", "event_trigger", "upgrade")
    upgrading = start(old_data.folder, ["--old-binaries", OLD], environment(), command).process

    async def has_begun() -> bool:
        assert upgrading.poll() is None
        return (old_data.folder / DATA / moment).exists()

    await eventually(has_begun, bool)
    upgrading.kill()
    await asyncio.to_thread(upgrading.wait)

    by_old = await asyncio.to_thread(run, old_data.folder, "verify", EVENT_TRIGGER_PG_BIN=OLD)
    repeated = await asyncio.to_thread(run, old_data.folder, "upgrade", "--old-binaries", OLD)

    assert (by_old.returncode, "It adds up." in by_old.stdout) == (0, True)
    assert (repeated.returncode, "It adds up." in repeated.stdout) == (0, True)
    left = {one.name for one in (old_data.folder / DATA).iterdir()}
    assert left == {"cluster", old_data.kept.name, "jwt-secret", "lock", "postgres.log", "run"}


@needs_old
async def test_an_upgrade_that_cannot_succeed_changes_nothing(
    old_data: OldData, here: Here
) -> None:
    data = old_data.folder / DATA
    async with serving(old_data.folder, EVENT_TRIGGER_PG_BIN=OLD):
        running = await asyncio.to_thread(here, "upgrade", "--old-binaries", OLD)
    of_wrong_version = here("upgrade", "--old-binaries", str(find_binaries()))
    (data / "cluster" / "large").touch()
    os.truncate(data / "cluster" / "large", 2**43)  # a file with a hole, which takes no room
    without_room = here("upgrade", "--old-binaries", OLD)
    (data / "cluster" / "large").unlink()
    old_data.kept.mkdir()
    without_name = here("upgrade", "--old-binaries", OLD)
    old_data.kept.rmdir()
    verified = await asyncio.to_thread(run, old_data.folder, "verify", EVENT_TRIGGER_PG_BIN=OLD)

    for done, words in (
        (running, "The service runs on this data: stop it first."),
        (of_wrong_version, f"name a folder with the programs of PostgreSQL {version_of(OLD)}"),
        (without_room, "make room, or move the data directory to a larger disk"),
        (without_name, "is there already, from an earlier upgrade; move it away"),
    ):
        assert (done.code, done.out) == (1, "")
        assert words in done.err
    assert (verified.returncode, "It adds up." in verified.stdout) == (0, True)


@pytest.fixture
def of_another_version(folder: Path) -> Path:
    """A cluster that has nothing but the file with its version."""
    version = folder / DATA / "cluster" / "PG_VERSION"
    version.parent.mkdir(parents=True)
    return version


@pytest.mark.parametrize(
    ("version", "arguments", "words"),
    [
        ("17", ("serve",), f"{ASKS_FOR_UPGRADE} 17"),
        ("17", ("migrate",), f"{ASKS_FOR_UPGRADE} 17"),
        ("99", ("serve",), "Data cannot go back to an older PostgreSQL"),
        ("99", ("upgrade",), "data cannot go back to an older one"),
        ("9", ("upgrade",), "there is no PostgreSQL 9 in a usual place"),
        ("17", ("upgrade", "--old-binaries", "."), "there is no PostgreSQL 17 in ."),
        ("no version", ("upgrade",), "is not a PostgreSQL cluster"),
    ],
)
def test_data_of_another_version_is_met_with_words(
    here: Here, of_another_version: Path, version: str, arguments: tuple[str, ...], words: str
) -> None:
    of_another_version.write_text(f"{version}\n")

    done = here(*arguments, PORT=free_port())

    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert [one.name for one in of_another_version.parent.iterdir()] == ["PG_VERSION"]


def test_only_embedded_data_can_be_upgraded(here: Here, folder: Path) -> None:
    of_a_server = here("upgrade", DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")
    of_nothing = here("upgrade")

    assert (of_a_server.code, "DATABASE_URL is set" in of_a_server.err) == (1, True)
    assert (of_nothing.code, "There is no database in .event-trigger" in of_nothing.err) == (
        1,
        True,
    )
    assert not list(folder.iterdir())


def test_data_between_two_names_is_found(here: Here, folder: Path) -> None:
    assert here("migrate").code == 0
    cluster = folder / DATA / "cluster"
    cluster.rename(
        cluster.with_name("cluster.upgraded")
    )  # as a crash between two renames leaves it
    is_known = has_data(folder / DATA)
    upgraded = here("upgrade", EVENT_TRIGGER_PG_BIN=str(find_binaries()))
    before = here("check")

    assert is_known
    assert (upgraded.code, "EVENT_TRIGGER_PG_BIN chooses it" in upgraded.out) == (0, True)
    assert (before.code, "is at revision" in before.out) == (0, True)
    assert cluster.is_dir()
