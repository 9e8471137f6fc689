"""Fixtures of every test: one PostgreSQL, a database a test, the application, three users."""

import gc
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.support.commands import Here, commands_in
from tests.support.compiled import share_compiled_statements, share_types
from tests.support.databases import (
    connect,
    create_database,
    drop_database,
    fresh_database,
    make_template,
    postgres_server,
)
from tests.support.lending import Lending
from tests.support.logs import plain_logs
from tests.support.mail_server import MailServer, mail_server
from tests.support.one_server import skip_on_cluster
from tests.support.processes import open_folder
from tests.support.putting_back import remember_in
from tests.support.services import (
    ADA,
    ADMIN,
    BOB,
    Service,
    fill_with_people,
    fill_with_people_and_partitions,
    idle_service,
    running_service,
)
from tests.support.shards import ShardWatch

_LENDING = pytest.StashKey[Lending]()
_LENT = ("lent_service", "lent_idle_service")

# no example fails because the machine is busy
settings.register_profile(
    "without-clock", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("without-clock")

# httpx looks for it in all folders at each call, to learn whether the loop is Trio's
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


def pytest_sessionstart() -> None:
    """Collects no garbage among the tests' imports, and lets tests interrupt their processes.

    A shell that runs the tests in the background ignores SIGINT, and so would those.
    """
    gc.disable()  # a seventh of the time until the first test
    # httpx imports it at each call, if trio has brought it; to look for it in vain takes a tenth
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before `-m database` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of SQL, which run with another PostgreSQL too, and puts lent services last.

    Between other tests, those of a lent service would start it again and again; so would those of
    services with other settings, which therefore stay together, and in one worker.
    """
    for item in items:
        if not {"server_url", "database_url"}.isdisjoint(_fixtures(item)):
            item.add_marker("database")
        if (kind := _settings_of(item)) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(kind))
    items.sort(key=lambda one: ([lent in _fixtures(one) for lent in _LENT], _settings_of(one)))


def _fixtures(item: pytest.Item) -> Sequence[str]:
    assert isinstance(item, pytest.Function)
    return item.fixturenames


def _settings_of(item: pytest.Item) -> str:
    """Names the fixture of a lent service's settings; gives "" for the usual ones, or for none."""
    if "lent_service" not in _fixtures(item):
        return ""
    assert isinstance(item, pytest.Function)
    *_, nearest = item._fixtureinfo.name2fixturedefs["service_settings"]
    name = f"{nearest.func.__module__}.{nearest.func.__qualname__}"
    return "" if name == f"{__name__}.service_settings" else name


def pytest_collection_finish() -> None:
    """Keeps the collector away from all that was imported, and lets it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _shared_by_connections() -> None:
    share_compiled_statements()
    share_types()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    return make_template(server_url, fill_with_people_and_partitions)


@pytest.fixture(scope="session")
def template_without_partitions(server_url: str) -> str:
    return make_template(server_url, fill_with_people)


@pytest.fixture(scope="session")
def lent_template(server_url: str, template: str) -> str:
    """A template that remembers its rows, for services that are lent."""
    return make_template(server_url, remember_in, template=template)


@pytest.fixture(scope="session")
def shard_watch() -> ShardWatch:
    return ShardWatch()


@pytest.fixture(autouse=True)
def _every_statement_names_its_shard(shard_watch: ShardWatch) -> Iterator[None]:
    shard_watch.offenders.clear()
    shard_watch.reasons.clear()
    yield
    assert shard_watch.offenders == []


@pytest.fixture
async def new_database_url(server_url: str, template: str) -> AsyncIterator[str]:
    async with fresh_database(server_url, template=template) as url:
        yield url


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """The database of the test's service, or else a new one."""
    for name in (*_LENT, "own_service"):
        if name in request.fixturenames:
            service: Service = request.getfixturevalue(name)
            return service.database_url
    url: str = request.getfixturevalue("new_database_url")
    return url


@pytest.fixture
async def unpartitioned_url(
    server_url: str, template_without_partitions: str
) -> AsyncIterator[str]:
    """A database for retention windows of seconds, which need partitions of their own width."""
    skip_on_cluster("partitions of seconds are needed faster than all nodes make them")
    async with fresh_database(server_url, template=template_without_partitions) as url:
        yield url


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    with plain_logs():
        yield


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    """A connection beside the service's, to read its tables or to hold locks against it."""
    connection = await connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def lending(
    server_url: str, lent_template: str, request: pytest.FixtureRequest
) -> AsyncIterator[Lending]:
    services = request.session.stash[_LENDING] = Lending(server_url, lent_template)
    yield services
    await services.close()


@pytest.fixture
async def _lending_ended(request: pytest.FixtureRequest) -> None:
    if (services := request.session.stash.get(_LENDING, None)) is not None:
        await services.close()


@pytest.fixture(autouse=True)
def _no_other_service_runs(request: pytest.FixtureRequest) -> None:
    """Ends the lent service before a test that would see its jobs: their statements, or lines."""
    is_lent = not {*_LENT}.isdisjoint(request.fixturenames)
    if iscoroutinefunction(request.function) and not is_lent:
        request.getfixturevalue("_lending_ended")


@pytest.fixture
def service_settings() -> dict[str, Any]:
    """The settings of the lent service, for a module or a folder to replace."""
    return {}


@pytest.fixture
async def lent_service(
    lending: Lending, service_settings: dict[str, Any]
) -> AsyncIterator[Service]:
    async with lending.lend(running_service, service_settings) as service:
        yield service


@pytest.fixture
async def lent_idle_service(lending: Lending) -> AsyncIterator[Service]:
    async with lending.lend(idle_service, {}) as service:
        yield service


@pytest.fixture
async def own_service(
    new_database_url: str, service_settings: dict[str, Any]
) -> AsyncIterator[Service]:
    """A service that starts and stops with its test, on a new database."""
    async with running_service(new_database_url, **service_settings) as service:
        yield service


@pytest.fixture
def service(lent_service: Service) -> Service:
    """A running service, which others had before: ids go on, and jobs may run at any time.

    A module whose tests cannot bear that puts `own_service` in its place.
    """
    return lent_service


@pytest.fixture
def idle(lent_idle_service: Service) -> Service:
    """A service without jobs, which others had before: due triggers do not fire."""
    return lent_idle_service


@pytest.fixture
def ada(service: Service) -> httpx.AsyncClient:
    return service.client(ADA)


@pytest.fixture
def bob(service: Service) -> httpx.AsyncClient:
    return service.client(BOB)


@pytest.fixture
def admin(service: Service) -> httpx.AsyncClient:
    return service.client(ADMIN)


@pytest.fixture(scope="session")
async def shared_mails() -> AsyncIterator[MailServer]:
    """A mail server, for the settings of services; tests read their mails in `mails`."""
    async with mail_server() as made:
        yield made


@pytest.fixture
def mails(shared_mails: MailServer) -> MailServer:
    shared_mails.forget()
    return shared_mails


@pytest.fixture
def overseer(service: Service) -> httpx.AsyncClient:
    """An admin who reads all projects."""
    return service.client(ADMIN, project="*")


@pytest.fixture
def anonymous(service: Service) -> httpx.AsyncClient:
    return service.client()


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    url = await create_database(server_url)
    yield url
    await drop_database(url)


@pytest.fixture
def here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Here]:
    """Runs a command in this process, as if in a folder with these settings only."""
    with commands_in(folder, monkeypatch, capsys) as run_here:
        yield run_here
