"""Fixtures for sign-in tests: sessions beside the service's own."""

from collections.abc import AsyncIterator

import pytest

from event_trigger.db.engine import Sessions, create_engine, create_sessions


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()
