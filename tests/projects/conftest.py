"""Fixtures of the tests of projects: a project that Ada owns, and a second replica."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.projects import make_project
from tests.support.services import Service, running_service


@pytest.fixture
async def project(ada: httpx.AsyncClient) -> int:
    """A project that Ada owns, and nobody else is a member of."""
    return await make_project(ada)


@pytest.fixture
async def elsewhere(service: Service) -> AsyncIterator[Service]:
    """Runs a second replica."""
    async with running_service(service.database_url) as running:
        yield running
