"""Gives each module that walks openapi.json one service with one resource of each kind."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.security.world import World, inhabited
from tests.support.databases import fresh_database
from tests.support.receiver import receiving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server_url: str, template: str) -> AsyncIterator[World]:
    async with (
        fresh_database(server_url, template=template) as url,
        receiving() as receiver,
        inhabited(url, receiver) as made,
    ):
        yield made
