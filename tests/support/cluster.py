"""Runs a Citus cluster on this machine: a coordinator and two workers, over Unix sockets.

EVENT_TRIGGER_TEST_CITUS_BIN names the folder of programs of a PostgreSQL with the Citus extension.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from event_trigger.db.citus.plan import ROLE_SETTINGS, CatalogState, plan_statements
from event_trigger.db.embedded.binaries import binaries_for
from event_trigger.db.embedded.data_directory import prepare_cluster
from event_trigger.db.embedded.os_user import os_user_for
from event_trigger.db.embedded.postmaster import PORT, ServerConfig, start, stop
from tests.support.databases import WORKERS_OF, connect, in_database, in_memory

CITUS_BIN = "EVENT_TRIGGER_TEST_CITUS_BIN"
WORKERS = 2
PARTS = 4  # of each table: a database of 32 is copied in a second rather than in 0.1 s
_SETTINGS = """
shared_preload_libraries = 'citus'
max_prepared_transactions = 200
max_worker_processes = 64
max_connections = 300
citus.max_client_connections = -1
citus.enable_statistics_collection = off
citus.enable_version_checks = off
citus.local_hostname = '{sockets}'
"""

needs_citus = pytest.mark.skipif(
    CITUS_BIN not in os.environ, reason=f"{CITUS_BIN} names no PostgreSQL with Citus"
)


@dataclass
class Node:
    """One server of a cluster, which can be stopped, killed and started again."""

    config: ServerConfig
    server: "Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """The folder of its socket: libpq takes it for a host, as Citus does."""
        return str(self.config.sockets)

    @property
    def url(self) -> str:
        made = f"postgresql+asyncpg://postgres@/postgres?host={quote(self.address)}&port={PORT}"
        return in_database(made, "postgres")

    def start(self) -> None:
        self.server = start(self.config)

    def stop(self) -> None:
        if self.server is not None:
            stop(self.server)
        self.server = None

    def kill(self) -> None:
        """Ends the server at once; it comes back by recovery."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.server = None


@dataclass
class Cluster:
    """A coordinator, which every client connects to, and the workers that hold the rows."""

    coordinator: Node
    workers: list[Node] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.coordinator.url


async def run_on(url: str, *statements: str) -> None:
    connection = await connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def link(url: str) -> None:
    """Makes a cluster of the databases of this name, which every node must have."""
    name, workers = _parts_of(url)
    for node in (url, *(in_database(one, name) for one in workers)):
        await run_on(node, "CREATE EXTENSION IF NOT EXISTS citus")
    await run_on(
        url,
        f"SELECT citus_set_coordinator_host('{host_of(url)}', {PORT})",
        *(f"SELECT citus_add_node('{host_of(one)}', {PORT})" for one in workers),
    )


async def spread(url: str) -> None:
    """Links a filled database and distributes it as `distribute` does, in fewer parts."""
    await link(url)
    name, _ = _parts_of(url)
    await run_on(url, *plan_statements(CatalogState(name), parts=PARTS))


async def close(url: str) -> None:
    """Closes a database on each node, so that it can be copied as a template.

    A copy of each node's is a database that is spread in the same way.
    """
    name, workers = _parts_of(url)
    for node in (in_database(url, "postgres"), *workers):
        await run_on(
            node,
            f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{name}'",
        )


def host_of(url: str) -> str:
    host = make_url(url).query["host"]
    assert isinstance(host, str)
    return host


def _parts_of(url: str) -> tuple[str, Sequence[str]]:
    name = make_url(url).database
    assert name is not None
    return name, WORKERS_OF[in_database(url, "postgres")]


@contextmanager
def running_cluster(*, workers: int = WORKERS, durable: bool = False) -> Iterator[Cluster]:
    """Runs a cluster in memory, without fsync unless it is `durable`, until the body ends."""
    with (
        TemporaryDirectory(
            prefix="event-trigger-citus-",
            dir=None if durable else in_memory(),
            ignore_cleanup_errors=True,
        ) as name,
        ExitStack() as running,
    ):
        Path(name).chmod(0o755)
        names = ("coordinator", *(f"worker{number}" for number in range(1, workers + 1)))
        nodes = [Node(_prepare(Path(name, one), durable=durable)) for one in names]
        for node in nodes:
            node.start()
            running.callback(node.stop)
        cluster = Cluster(nodes[0], nodes[1:])
        WORKERS_OF[cluster.url] = [one.url for one in cluster.workers]
        yield cluster


def _prepare(folder: Path, *, durable: bool) -> ServerConfig:
    folder.mkdir()
    folder.chmod(0o755)
    account = os_user_for(folder / "cluster", folder)
    with _programs_of_citus():
        binaries = binaries_for(account)
    data = prepare_cluster(folder, account, binaries, durable=durable)
    os.chown(folder, account.uid, account.gid)
    sockets = account.make_private(folder / "run")
    with (data / "postgresql.auto.conf").open("a") as written:
        written.write(_SETTINGS.format(sockets=sockets))
        # of the whole server: a copy of a database does not have those of its roles
        written.writelines(f"{name} = '{value}'\n" for name, value in ROLE_SETTINGS.items())
    return ServerConfig(account, binaries, data, sockets, folder / "postgres.log", durable)


@contextmanager
def _programs_of_citus() -> Iterator[None]:
    before = os.environ.get("EVENT_TRIGGER_PG_BIN")
    os.environ["EVENT_TRIGGER_PG_BIN"] = os.environ[CITUS_BIN]
    try:
        yield
    finally:
        if before is None:
            del os.environ["EVENT_TRIGGER_PG_BIN"]
        else:
            os.environ["EVENT_TRIGGER_PG_BIN"] = before
