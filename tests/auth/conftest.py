"""Fixtures for sign-in tests: sessions beside the service's own, and a second replica."""

from collections.abc import AsyncIterator

import pytest

from event_trigger.db.engine import Sessions, create_engine, create_sessions
from tests.support.services import Service, running_service


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def elsewhere(service: Service) -> AsyncIterator[Service]:
    """Runs a second replica."""
    async with running_service(service.database_url) as running:
        yield running
