"""A live service, and a client of it for threads: in the loop it would wait for itself."""

from collections.abc import AsyncIterator

import pytest

from event_trigger_client import Client
from tests.support.services import ADA, Service, token_of
from tests.support.streams import listening


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as address:
        yield address


@pytest.fixture
def client(url: str) -> Client:
    return Client(url, token=token_of(ADA))
