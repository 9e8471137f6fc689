"""Fixtures of every test: one PostgreSQL, a database a test, the application, three users."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import (
    connect,
    create_database,
    drop_database,
    fresh_database,
    make_template,
    postgres_server,
)
from tests.support.logs import plain_logs
from tests.support.processes import open_folder
from tests.support.services import (
    ADA,
    ADMIN,
    BOB,
    Service,
    fill_with_people,
    fill_with_people_and_partitions,
    running_service,
)
from tests.support.shards import ShardWatch


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
def shard_watch() -> ShardWatch:
    return ShardWatch()


@pytest.fixture(autouse=True)
def _every_statement_names_its_shard(shard_watch: ShardWatch) -> Iterator[None]:
    shard_watch.offenders.clear()
    shard_watch.reasons.clear()
    yield
    assert shard_watch.offenders == []


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    async with fresh_database(server_url, template=template) as url:
        yield url


@pytest.fixture
async def unpartitioned_url(
    server_url: str, template_without_partitions: str
) -> AsyncIterator[str]:
    """A database for retention windows of seconds, which need partitions of their own width."""
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


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url) as running:
        yield running


@pytest.fixture
def ada(service: Service) -> httpx.AsyncClient:
    return service.client(ADA)


@pytest.fixture
def bob(service: Service) -> httpx.AsyncClient:
    return service.client(BOB)


@pytest.fixture
def admin(service: Service) -> httpx.AsyncClient:
    return service.client(ADMIN)


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
