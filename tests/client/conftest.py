"""A live service, and clients of it in threads: a blocking client in the loop would wait for it."""

from collections.abc import AsyncIterator

import pytest

from event_trigger_client import AsyncClient, Client
from tests.support.services import ADA, Service, token_of
from tests.support.streams import listening


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as address:
        yield address


@pytest.fixture
async def events(url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url, token=token_of(ADA)) as client:
        yield client


@pytest.fixture
def blocking(url: str) -> Client:
    return Client(url, token=token_of(ADA))
