"""A live service, and a client of it for threads: in the loop it would wait for itself."""

from collections.abc import AsyncIterator, Iterator

import pytest

from event_trigger_client import Client
from tests.client_cli.conftest import Terminal, ada_at, service_settings, terminal
from tests.support.services import ADA, Service, token_of
from tests.support.streams import listening

__all__ = ["Terminal", "ada_at", "service_settings", "terminal"]


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, token=token_of(ADA)) as made:
        yield made
