"""Lets the service call loopback and retry quickly, and runs a receiver there."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {"retry_after": "0.05,0.1", **ALLOW_LOOPBACK}
