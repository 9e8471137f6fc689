"""A receiver, and a service that may call it and soon gives up."""

from collections.abc import AsyncIterator

import pytest

from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.services import Service, running_service

GIVES_UP_SOON = {"retry_after": "0.05", **ALLOW_LOOPBACK}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url, **GIVES_UP_SOON) as running:
        yield running
