"""Runs a receiver, and lets the service call it and give up soon."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving

GIVES_UP_SOON = {"retry_after": "0.05", **ALLOW_LOOPBACK}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {**GIVES_UP_SOON}
