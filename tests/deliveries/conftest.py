"""Runs a service that may call loopback and retries quickly, and a receiver there."""

from collections.abc import AsyncIterator

import pytest

from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.services import Service, running_service


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    settings = {"retry_after": "0.05,0.1", **ALLOW_LOOPBACK}
    async with running_service(database_url, **settings) as running:
        yield running
